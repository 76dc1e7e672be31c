"""The same thousands of lives with the stock in another system: its calls are lost, late and unknown, too.

What it holds lapses by its clock, at whatever moment. In the end it has sold what is paid and nothing else.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Final

import pytest

from domain.extending import keep_extended
from domain.goods import expire_hold
from domain.operating import Move, may_send_again, next_move
from domain.operation import INVENTORY_KINDS, Operation, OperationKind
from domain.order import HoldState, OrderLine, Status, reservation_id
from domain.outcome import NotExecuted, NotFound, Outcome, Unknown
from domain.rules import Context
from domain.stock_calls import StockCall, stock_call
from domain.values import replace
from tests.domain import test_machine
from tests.domain.driver import LINES, RULES, Claim, Run
from tests.domain.far_shelf import FarShelf

K = OperationKind
S = Status
LIVES: Final = 2_000
CHUNK: Final = 500
STEPS: Final = 80


@dataclass
class RunElsewhere(Run):
    """captured: whether the capture of an attempt was begun."""

    late_stock: list[StockCall] = field(default_factory=list)
    started: set[object] = field(default_factory=set)
    extended: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.rules = replace(RULES, inventory_elsewhere=True)
        self.far = FarShelf(self.at, dict(self.shelf.available))

    def _perform_local(self) -> None:
        """Perform nothing: all of it is elsewhere."""

    def sweep(self) -> None:
        """Claim what is due, but no capture whose hold may lapse meanwhile; have holds extended that must last."""
        order = self.order
        if order is None:
            return
        lease_over = self.at + timedelta(seconds=self.rules.lease_s)
        hold = order.hold_of(order.attempt)
        waits = hold is not None and hold.extensions > 0 and hold.needed and hold.expires_at <= lease_over
        for operation in order.operations:
            begins = operation.kind is K.CAPTURE and operation.state == "open"
            if operation.due_at is not None and operation.due_at <= self.at and not (begins and waits):
                assert self.order is not None
                taken = replace(operation, due_at=lease_over)
                self.order = self.order.with_operation(taken)
                self.claims.append(self._claim(taken))
        assert self.order is not None
        longer = keep_extended(self.order, Context(self.at, None, self.rules))
        if longer is not None:
            self.extended += 1
            before = self.order
            self.order = longer
            known = {o.operation_id for o in before.operations}
            self.claims += [self._claim(o) for o in longer.operations if o.operation_id not in known]

    def act(self) -> None:
        """Perform or look up a call, here or there."""
        chosen = self.rng.randrange(len(self.claims)) if self.claims else 0
        if not self.claims or self.claims[chosen].operation.kind not in INVENTORY_KINDS:
            if self.claims:
                self.claims.append(self.claims.pop(chosen))
                self._act_at_gateway()
            return
        operation, _ = self.claims.pop(chosen)
        assert operation.due_at is not None
        if self.at >= operation.due_at:
            return
        asked_at = operation.due_at - timedelta(seconds=self.rules.lease_s)
        call = stock_call(operation)
        if next_move(operation, asked_at, self.rules) is Move.LOOK_UP:
            outcome: Outcome = Unknown("time-out") if self._fault(0.1) else self.far.look_up(call)
            if isinstance(outcome, NotFound) and may_send_again(operation, asked_at, self.rules):
                outcome = self._send(call)
        else:
            outcome = self._send(call)
        self.answers.append((operation.operation_id, outcome, operation.due_at))
        if not self._fault(0.2):
            self.settle(len(self.answers) - 1)

    def _act_at_gateway(self) -> None:
        last: Claim = self.claims.pop()
        others, self.claims = self.claims, [last]
        super().act()
        self.claims = [*others, *self.claims]

    def _send(self, call: StockCall) -> Outcome:
        match self.rng.choices(("", "lost", "late", "429"), (72, 10, 10, 8))[0] if self.faults else "":
            case "lost":
                self.far.execute(call)
                return Unknown("connection reset")
            case "late":
                self.late_stock.append(call)
                return Unknown("time-out")
            case "429":
                return NotExecuted("HTTP 429")
            case _:
                return self.far.execute(call)

    def _check_capture(self, call: object) -> None:
        """Check that a capture begins only with goods that the other side surely holds."""
        key, kind = getattr(call, "idempotency_key", None), getattr(call, "kind", None)
        if kind is not K.CAPTURE or key in self.started or self.order is None:
            return
        if self.order.operation(getattr(call, "operation_id")) is None:  # noqa: B009 - of a test's own walk
            return
        self.started.add(key)
        self.far.lapse()
        hold = self.far.holds[reservation_id(self.order.order_id, self.order.attempt)]
        assert hold.state == "held", "a capture without live goods"

    def arrive(self) -> None:
        """Let a copy of a call arrive that was long given up, here or there."""
        if self.late_stock and self.rng.random() < 0.5:
            self.far.execute(self.late_stock.pop(self.rng.randrange(len(self.late_stock))))
        else:
            super().arrive()

    def expire(self) -> None:
        """Let holds run out that nobody pinned."""
        for hold in self.order.holds if self.order else ():
            assert self.order is not None
            decision = expire_hold(self.order, hold.attempt, Context(self.at, None, self.rules))
            if decision.order is not None:
                self._transact(decision)

    def rival(self) -> None:
        self.far.rival(tuple(OrderLine(sku, n) for sku, n in LINES.items()))

    def wait(self, seconds: float) -> None:
        super().wait(seconds)
        self.far.at = self.at

    def _is_over(self, operation: Operation) -> bool:
        return operation.kind in INVENTORY_KINDS or super()._is_over(operation)

    def _is_done(self, operation: Operation) -> bool:
        if operation.kind not in INVENTORY_KINDS:
            return super()._is_done(operation)
        self.far.lapse()
        hold = self.far.holds.get(reservation_id(operation.order_id, operation.attempt))
        state = hold.state if hold else ""
        return {
            K.RESERVE: state == "held",
            K.EXTEND: state == "held",
            K.CONFIRM: state == "confirmed",
            K.RELEASE: state not in {"held", "confirmed"},
        }[operation.kind]


def _live(seed: str) -> RunElsewhere:
    run = RunElsewhere(Random(seed))
    for _ in range(STEPS):
        test_machine._step(run)
    test_machine._quiet(run)
    while run.late_stock:
        run.arrive()
    run.wait(100_000)  # whatever is still held by nobody's wish has run out
    run.far.lapse()
    return run


def _check_goods(run: RunElsewhere) -> None:
    order = run.order
    assert order is not None
    paid = order.status is S.PAID_AND_CONFIRMED
    states = Counter(hold.state for hold in run.far.holds.values())
    assert states["held"] == 0
    assert states["confirmed"] == run.far.sold == paid, (states, order.status)
    if paid:
        assert run.far.holds[reservation_id(order.order_id, order.attempt)].state == "confirmed"
    copies = 1 + (run.shelf.available["SKU-1"] > LINES["SKU-1"])
    taken = run.far.rivals + paid
    assert run.far.available == {sku: n * (copies - taken) for sku, n in LINES.items()}
    # Goods are kept for a capture of which an operator has still to say what became of its money.
    assert order.status is S.MANUAL_REVIEW or all(hold.state is not HoldState.HELD for hold in order.holds)


@pytest.mark.parametrize("chunk", range(LIVES // CHUNK))
def test_every_life_ends_well_with_the_stock_elsewhere(chunk: int) -> None:
    for n in range(CHUNK):
        seed = f"elsewhere {chunk} {n}"
        try:
            run = _live(seed)
            test_machine._check_outcome(run)
            test_machine._check_money(run)
            _check_goods(run)
        except Exception as error:
            raise AssertionError(f"the life of seed {seed!r}") from error


def test_the_lives_meet_what_they_are_about() -> None:
    runs = [_live(f"elsewhere 0 {n}") for n in range(CHUNK)]
    assert sum(run.extended > 0 for run in runs) > 5
    assert Counter(run.order.status for run in runs if run.order)[S.PAID_AND_CONFIRMED] > CHUNK / 10
    assert any(hold.state == "lapsed" for run in runs for hold in run.far.holds.values())
