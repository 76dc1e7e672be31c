"""An order as in driver.py whose customer changes their mind: cancels, refunds on request, messages that are early.

What truly happens at the bank and to the stock is in second_world.py.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from consumers.adapters.gateway.references import could_name
from consumers.gateway_told import ROWS
from consumers.reactions import BY_NAME, BY_TRIGGER
from consumers.runtime.work import inventory_call
from domain.decision import Decision
from domain.disputing import KnownDispute
from domain.edges import EDGES
from domain.hearing import Fact, Hearing, attempt_of, facts_of, hear, with_closed
from domain.ids import EventId
from domain.lease import looks_back
from domain.news import Dispute, RefundFailure, TransactionNews
from domain.operation import GATEWAY_KINDS, Operation, OperationKind
from domain.order import Order, Status
from domain.outcome import Outcome
from domain.pending import waits_for_others
from domain.resolving import resolve
from domain.rules import Context
from domain.ruling import No, Ruling, Word
from domain.values import replace
from schemas import events as e
from tests.domain.builders import TOTAL
from tests.domain.driver import LOCAL_ORDER, Run
from tests.domain.second_world import Bank, Stock
from tests.schemas import builders

K = OperationKind
S = Status
SETTLES: Final = {name: reaction.settle for name, reaction in BY_NAME.items()}
REFUNDS_MAX: Final = 5
CANCELS_MAX: Final = 2
AMOUNTS: Final = (None, None, 1, 80, 1_000, 2_000, TOTAL)
BEGINS_NOTHING: Final = frozenset({K.RESERVE, K.CAPTURE, K.CONFIRM, K.AUTHORIZE})


@dataclass
class Life(Run):
    """One order with second thoughts. waiting: messages that came before it."""

    waiting: list[e.Event] = field(default_factory=list)
    alarms: Counter[str] = field(default_factory=Counter)
    refunds_asked: int = 0
    cancels_asked: int = 0
    prepared: bool = False
    outside_minor: Counter[int] = field(default_factory=Counter)
    disputes: list[KnownDispute] = field(default_factory=list)
    told_status: str = ""
    said: dict[int, tuple[TransactionNews, datetime]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.gateway: Bank = Bank(self.rng, self.at)
        self.shelf: Stock = Stock(self.shelf.available)

    # What comes

    def cancel(self) -> None:
        """Ask to cancel the order, at any moment, perhaps before it is there."""
        if self.cancels_asked < CANCELS_MAX:
            self.cancels_asked += 1
            name = f"C-{self.cancels_asked}"
            event_id = builders.event_id(name)
            self.undelivered.append(
                builders.order_cancel_requested(event_id=event_id, request_id=name, occurred_at=self.at)
            )

    def ask_refund(self) -> None:
        """Ask for a refund, perhaps of more than is kept; now and then the same once more under another event id."""
        if self.refunds_asked >= REFUNDS_MAX:
            return
        self.refunds_asked += 1
        rng, number = self.rng, self.refunds_asked
        lines = rng.choice(((), (), (e.Item(sku="SKU-1", quantity=1),), (e.Item(sku="SKU-2", quantity=1),)))
        amount = rng.choice(AMOUNTS)
        for copy in range(rng.choice((1, 1, 1, 2))):
            event_id = builders.event_id(f"R-{number} {copy}")
            self.undelivered.append(
                builders.refund_requested(
                    event_id=event_id,
                    request_id=f"R-{number}",
                    amount_minor=amount,
                    lines=lines,
                    occurred_at=self.at,
                )
            )

    def prepare(self) -> None:
        """Begin to prepare the order once it is said to be paid; that it is cancelled meanwhile is not known there."""
        if not self.prepared and any(isinstance(event, e.PaidAndConfirmed) for event in self.journal):
            self.prepared = True
            self.undelivered.append(builders.preparation_started(occurred_at=self.at))

    def take_back(self) -> None:
        self.gateway.take_back()

    def refund_in_dashboard(self) -> None:
        # Who pays past the gateway as well pays twice: nobody here does.
        if not self.outside_minor.total():
            self.gateway.refund_in_dashboard()

    def dispute(self) -> None:
        self.gateway.dispute()

    def tell(self) -> None:
        """Have the sweep ask what the bank has that nobody waits for: late failures, refunds of others, a dispute."""
        if self.order is None:
            return
        for made in list(self.gateway.refunds.values()):
            # A list tells of the refund alone; asked about its transaction, the bank tells all of it.
            if made.state == "came_back" and made.operation_id is not None and self.rng.random() < 0.3:
                self._hear(RefundFailure("order-1", made.operation_id, made.name, made.amount_minor, "lost"))
        for attempt in sorted({made.attempt for made in self.gateway.refunds.values()}):
            news, asked_at = self._news(attempt)
            known = with_closed(self.order, list(self.history.values()))
            for fact in facts_of(known, news, asked_at, warned=False):
                if not isinstance(fact, TransactionNews):  # nobody takes money in the dashboard
                    self._hear(fact, attempt, asked_at)
        if self.gateway.was_disputed:
            attempt = max(n for n, account in self.gateway.accounts.items() if account.captured)
            status, over = ("needs_response", False) if self.gateway.disputed else ("won", True)
            fact = Dispute(
                "dp_1", f"pi_{attempt}", status, TOTAL, "EUR", "fraudulent", not over, over, opened_at=self.at
            )
            if fact.status != self.told_status:
                self._hear(fact, attempt)

    def _news(self, attempt: int) -> tuple[TransactionNews, datetime]:
        """Return what the bank says of an attempt, now or when it was asked before, and when that was.

        The sweep asks without a lock on the order, so that calls may end between the answer and its booking.
        """
        now = self.gateway.news(attempt), self.at
        before, self.said[attempt] = self.said.get(attempt, now), now
        return before if self.rng.random() < 0.3 else now

    def _hear(self, fact: Fact, attempt: int | None = None, asked_at: datetime | None = None) -> None:
        assert self.order is not None
        order = with_closed(self.order, list(self.history.values()))
        found = None if attempt is None else attempt_of(order, f"pi_{attempt}", None)
        asked_at = asked_at or self.at
        hearing = Hearing(order, fact, Context(self.at, None, self.rules), found, tuple(self.disputes), asked_at)
        decision = hear(ROWS, hearing)
        if decision is None:
            return
        if decision.dispute is not None:
            self.disputes = [decision.dispute]
            self.told_status = decision.dispute.status
        if decision.order is not None:
            self._transact(decision)

    def is_overpaid(self) -> bool:
        """Whether persons have given back more than was paid, at the bank and past it: one of them must be told."""
        back = Counter({n: self.gateway.returned_minor(n) for n in self.gateway.accounts})
        return any(n > TOTAL for n in (back + self.outside_minor).values())

    def is_untold(self) -> bool:
        """Whether the bank has something that is not in the books yet, and can be."""
        if self.is_overpaid():
            return False
        for made in self.gateway.refunds.values():
            if made.operation_id is None and not any(o.reference == made.name for o in self.history.values()):
                return True
            ours = next((o for o in self.history.values() if str(o.operation_id) == made.operation_id), None)
            if made.state == "came_back" and ours is not None and ours.state == "approved":
                return True
        return self.gateway.was_disputed and self.told_status != "won"

    def sweep_early(self) -> None:
        """Apply what came before its order and was missed when it came."""
        if self.order is not None:
            while self.waiting:
                self._plan(self.waiting.pop(0))

    def deliver_again(self) -> None:
        """Deliver a message twice, but none that still waits for its order: the inbox has it for as long."""
        if not self.waiting:
            super().deliver_again()

    # How it is decided

    def _plan(self, event: e.Event) -> None:
        reaction = BY_TRIGGER[event.TYPE]
        context = Context(self.at, EventId(event.event_id), self.rules)
        came: list[e.Event] = []
        if reaction.begins and self.order is None and self.rng.random() < 0.7:
            # Else the two transactions miss each other, and the sweep finds it.
            came, self.waiting = self.waiting, []
            context = replace(context, early=tuple(came))
        decision = reaction.plan(self.order, event, context)
        if decision.early:
            if event not in self.waiting:
                self.waiting.append(event)
            return
        assert decision.refused is None, decision.detail
        self._transact(decision)
        for early in came:
            self._plan(early)

    def _look_back(self, order: Order, operation: Operation, outcome: Outcome) -> Order:
        closed = list(self.history.values()) if looks_back(order, operation, outcome) else []
        return with_closed(order, closed)

    def _transact(self, decision: Decision) -> None:
        before = self.order
        self._apply(decision)
        self._perform_local()
        if self.order is not None:
            self.order = replace(self.order, operations=tuple(o for o in self.order.operations if o.unfinished))
            known = {o.operation_id for o in before.operations} if before else set()
            self.claims += [
                self._claim(o)
                for o in self.order.operations
                if o.operation_id not in known
                and o.due_at is not None
                and o.due_at > self.at
                and (not self.faults or self.rng.random() < 0.85)
            ]

    def _perform_local(self) -> None:
        for _ in range(6):
            order = self.order
            local = [o for o in order.operations if o.unfinished and o.kind not in GATEWAY_KINDS] if order else []
            if not local:
                return
            assert order is not None
            context = Context(self.at, None, self.rules)
            for operation in sorted(local, key=lambda o: (LOCAL_ORDER | {K.RESTOCK: 3})[o.kind]):
                call = inventory_call(order, operation, context)
                self._settle_local([(operation, self.shelf.perform(operation.attempt, call))])
        raise AssertionError("local operations open each other without end")

    def _apply(self, decision: Decision) -> None:
        if decision.alarm:
            self.alarms[decision.alarm] += 1
        if decision.order is None:
            return
        before, after = self.order, decision.order
        move = None if before is None else before.status, after.status
        assert move[0] is move[1] or move in EDGES, move
        assert sum(o.blocks for o in after.operations) <= 1
        known = {o.operation_id for o in before.operations} if before else set()
        new = [o for o in after.operations if o.unfinished and o.operation_id not in known]
        for operation in new:
            assert operation.operation_id not in self.history, f"{operation.kind} has the key of an earlier call"
        if before is not None and before.cancel is not None and after.cancel is not None:
            assert not {o.kind for o in new} & BEGINS_NOTHING, "something begins though a cancel is noted"
            assert not any(isinstance(event, e.PaidAndConfirmed) for event in decision.events)
        for attempt in after.attempts:
            assert 0 <= attempt.refunded_minor <= attempt.captured_minor
            # What the gateway has refused for a refund of others is not made, and will not be if too little is left.
            made = after.left_minor(attempt) + sum(
                o.amount_minor
                for o in after.operations
                if o.attempt == attempt.number and o.unfinished and waits_for_others(o)
            )
            assert made >= 0, "more is on its way back than is kept"
        self.moves.add(move)
        self.order = after
        self.history |= {o.operation_id: o for o in after.operations if o.kind in GATEWAY_KINDS}
        self.journal += decision.events
        self.undelivered += [event for event in decision.events if event.TYPE in BY_TRIGGER]

    # An operator

    def operate(self) -> None:
        """Let an operator settle what is in question, after a look at the gateway's own books."""
        order = self.order
        if order is None or order.status is not S.MANUAL_REVIEW:
            return
        waiting = next((o for o in order.operations if o.unfinished and o.due_at is None), None)
        if waiting is not None:
            if self._is_over(waiting):
                self._rule(Word.EXECUTED if self._is_done(waiting) else Word.NOT_EXECUTED, waiting)
        elif any(o.unfinished for o in order.operations):
            return  # what was sent again, or is pending, comes first
        elif order.review_reason == "refund_failed":
            may_pay = not self.gateway.disputed
            self._rule(self.rng.choice((Word.EXECUTED, Word.NOT_EXECUTED)) if may_pay else Word.NOT_EXECUTED, None)
        elif order.review_reason == "void_refused":
            self._rule(Word.NOT_EXECUTED, None)

    def _is_done(self, operation: Operation) -> bool:
        if operation.kind is not K.REFUND:
            return super()._is_done(operation)
        return any(m.operation_id == str(operation.operation_id) and m.is_back for m in self.gateway.refunds.values())

    def _rule(self, word: Word, operation: Operation | None) -> None:
        assert self.order is not None
        reference = None
        if word is Word.EXECUTED and operation is None:
            # Any refund of the bank may be named, also a wrong one: that must be refused.
            names = [made.name for made in self.gateway.refunds.values()]
            reference = self.rng.choice((f"outside:transfer {self.operated}", *names))
        elif word is Word.EXECUTED and operation is not None and operation.kind is K.AUTHORIZE:
            reference = f"pi_{operation.attempt}"
        elif word is Word.EXECUTED and operation is not None and operation.kind is K.REFUND:
            made = next(m for m in self.gateway.refunds.values() if m.operation_id == str(operation.operation_id))
            made.state, reference = "succeeded", made.name
        before = {attempt.number: attempt.refunded_minor for attempt in self.order.attempts}
        history = sorted(self.history.values(), key=lambda o: (o.opened_at, o.attempt, o.try_number))
        seen = tuple(map(self.gateway.news, self.gateway.accounts))
        ruling = Ruling(word, "looked it up", "an operator", reference, None, seen, self.at)
        decision = resolve(self.order, history, ruling, SETTLES, could_name, Context(self.at, None, self.rules))
        may_differ = operation is None or operation.kind is K.CAPTURE
        if isinstance(decision, No) and word is Word.EXECUTED and may_differ:
            # Another refund took what this one was to give back, or nothing is in question but the money itself. Or
            # somebody has given back what was captured.
            self._rule(Word.NOT_EXECUTED, operation)
            return
        assert not isinstance(decision, No), decision.why
        self.operated += 1
        self._transact(decision)
        if reference is not None and reference.startswith("outside:"):
            booked = {n.number: n.refunded_minor - before.get(n.number, 0) for n in self.order.attempts}
            assert sum(booked.values()) > 0, "nothing was booked as paid past the gateway"
            self.outside_minor.update(booked)
