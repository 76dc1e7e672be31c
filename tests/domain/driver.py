"""One order on its way, driven as the runtime drives it, with everything that may go wrong in between.

Decisions are applied as consumers.runtime.work does: the inventory is local, so what it is asked is settled at once.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Final, NamedTuple

from consumers.adapters.gateway.references import could_name
from consumers.reactions import BY_NAME, BY_TRIGGER
from consumers.runtime.work import inventory_call
from domain.decision import Decision
from domain.edges import EDGES
from domain.goods import expire_hold
from domain.ids import EventId, OperationId
from domain.lease import settle_answer
from domain.operating import Move, gateway_call, may_send_again, next_move
from domain.operation import BESIDE_OTHERS, GATEWAY_KINDS, GatewayCall, Operation, OperationKind
from domain.order import Order, OrderLine, Status
from domain.outcome import NotExecuted, NotFound, Outcome, Unknown
from domain.ports.inventory import InventoryCall
from domain.resolving import resolve
from domain.rules import Context, Rules
from domain.ruling import No, Ruling, Word
from domain.values import replace
from schemas import events as e
from tests.domain.builders import AT
from tests.domain.world import Gateway, Shelf
from tests.schemas import builders

K = OperationKind
RULES: Final = Rules(attempts_max=3, pending_hold_s=30_000)
LATE_MAX: Final = timedelta(hours=1)
"""No copy of a call is in the network for longer."""
LINES: Final = {"SKU-1": 2, "SKU-2": 1}
LOCAL_ORDER: Final = {K.RELEASE: 0, K.CONFIRM: 1, K.RESERVE: 2}


class Claim(NamedTuple):
    """An operation as a worker took it, with the token of its attempt."""

    operation: Operation
    token: str | None


class Late(NamedTuple):
    """A copy of a call that is still in the network."""

    call: GatewayCall
    sent_at: datetime


@dataclass
class Run:
    """The order, its messages and answers under way, and the world outside."""

    rng: Random
    at: datetime = AT
    faults: bool = True
    order: Order | None = None
    journal: list[e.OwnEvent] = field(default_factory=list)
    undelivered: list[e.Event] = field(default_factory=list)
    delivered: list[e.Event] = field(default_factory=list)
    inbox: set[EventId] = field(default_factory=set)
    claims: list[Claim] = field(default_factory=list)
    answers: list[tuple[OperationId, Outcome, datetime | None]] = field(default_factory=list)
    late: list[Late] = field(default_factory=list)
    clicks: int = 0
    operated: int = 0
    history: dict[OperationId, Operation] = field(default_factory=dict)
    moves: set[tuple[Status | None, Status]] = field(default_factory=set)
    rules: Rules = RULES

    def __post_init__(self) -> None:
        copies = self.rng.choice((1, 1, 2))
        self.leaves_refunds = self.rng.random() < 0.7
        self.gateway = Gateway(self.rng, self.at)
        self.shelf = Shelf({sku: n * copies for sku, n in LINES.items()})
        self.undelivered.append(builders.order_confirmed())
        if self.rng.random() < 0.2:
            self.undelivered.append(builders.order_confirmed(event_id=builders.event_id("sent twice")))

    def deliver(self) -> None:
        """Deliver any message that is under way: topics keep no order among each other."""
        if self.undelivered:
            event = self.undelivered.pop(self.rng.randrange(len(self.undelivered)))
            assert EventId(event.event_id) not in self.inbox
            self.inbox.add(EventId(event.event_id))
            self.delivered.append(event)
            self._plan(event)

    def deliver_again(self) -> None:
        """Deliver a message twice and let the inbox forget it: even then nothing may happen twice."""
        ours = [event for event in self.delivered if not isinstance(event, e.PaymentRetryRequested)]
        if ours:
            event = self.rng.choice(ours)
            if not isinstance(event, e.CustomerNotificationRequested):
                before, emitted = self.order, len(self.journal)
                self._plan(event)
                assert (self.order, len(self.journal)) == (before, emitted), f"{event.TYPE} again had an effect"

    def _plan(self, event: e.Event) -> None:
        reaction = BY_TRIGGER[event.TYPE]
        decision = reaction.plan(self.order, event, Context(self.at, EventId(event.event_id), self.rules))
        assert decision.refused is None, decision.detail
        self._transact(decision)

    def click(self) -> None:
        """Let the customer pay again after some attempt that failed, perhaps an old one, perhaps twice."""
        failed = [event.attempt for event in self.journal if isinstance(event, e.PaymentFailed)]
        if failed and self.clicks < 4:
            self.clicks += 1
            event_id = builders.event_id(f"click {self.clicks}")
            after = self.rng.choice(failed) if self.rng.random() < 0.3 else failed[-1]
            self.undelivered.append(
                builders.payment_retry_requested(event_id=event_id, after_attempt=after, occurred_at=self.at)
            )

    def _transact(self, decision: Decision) -> None:
        before = self.order
        self._apply(decision)
        self._perform_local()
        if self.order is not None:
            self.order = replace(self.order, operations=tuple(o for o in self.order.operations if o.unfinished))
            known = {o.operation_id for o in before.operations} if before else set()
            # A worker may die between opening an operation and performing it.
            self.claims += [
                self._claim(o)
                for o in self.order.operations
                if o.operation_id not in known and (not self.faults or self.rng.random() < 0.85)
            ]

    def _perform_local(self) -> None:
        for _ in range(4):
            order = self.order
            local = [o for o in order.operations if o.unfinished and o.kind not in GATEWAY_KINDS] if order else []
            if not local:
                break
            assert order is not None
            context = Context(self.at, None, self.rules)
            calls = [(o, inventory_call(order, o, context)) for o in sorted(local, key=lambda o: LOCAL_ORDER[o.kind])]
            self._settle_local([(o, self.shelf.perform(o.attempt, call)) for o, call in calls])
        else:
            raise AssertionError("local operations open each other without end")

    def _settle_local(self, answers: list[tuple[Operation, Outcome]]) -> None:
        for operation, outcome in answers:
            assert self.order is not None
            settle = BY_NAME[operation.reaction].settle
            self._apply(settle(self.order, operation, outcome, Context(self.at, operation.causation_id, self.rules)))

    def _apply(self, decision: Decision) -> None:
        if decision.order is None:
            return
        move = None if self.order is None else self.order.status, decision.order.status
        assert move[0] is move[1] or move in EDGES
        assert sum(o.unfinished and o.kind not in BESIDE_OTHERS for o in decision.order.operations) <= 1
        self.moves.add(move)
        self.order = decision.order
        self.history |= {o.operation_id: o for o in decision.order.operations if o.kind in GATEWAY_KINDS}
        self.journal += decision.events
        self.undelivered += [event for event in decision.events if event.TYPE in BY_TRIGGER]

    def _claim(self, operation: Operation) -> Claim:
        assert self.order is not None
        return Claim(operation, self.order.attempts[operation.attempt - 1].token)

    def sweep(self) -> None:
        """Claim what is due: operations put off, and those whose worker let its lease lapse."""
        if self.order is not None:
            for operation in self.order.operations:
                if operation.due_at is not None and operation.due_at <= self.at:
                    due_at = self.at + timedelta(seconds=self.rules.lease_s)
                    taken = replace(operation, due_at=due_at)
                    self.order = self.order.with_operation(taken)
                    self.claims.append(self._claim(taken))

    def act(self) -> None:
        """Perform or look up what some worker has claimed; its answer may be lost, or be settled much later."""
        if not self.claims:
            return
        operation, token = self.claims.pop(self.rng.randrange(len(self.claims)))
        assert operation.due_at is not None
        if self.at >= operation.due_at:
            return  # The lease is over: this worker stops by itself.
        asked_at = operation.due_at - timedelta(seconds=self.rules.lease_s)
        call = gateway_call(operation, token)
        if next_move(operation, asked_at, self.rules) is Move.LOOK_UP:
            outcome: Outcome = Unknown("time-out") if self._fault(0.1) else self.gateway.look_up(call)
            if isinstance(outcome, NotFound) and may_send_again(operation, asked_at, self.rules):
                outcome = self._perform(call)
        else:
            outcome = self._perform(call)
        self.answers.append((operation.operation_id, outcome, operation.due_at))
        if not self._fault(0.2):
            self.settle(len(self.answers) - 1)

    def _perform(self, call: GatewayCall) -> Outcome:
        self._check_capture(call)
        match self.rng.choices(("", "lost", "late", "429", "500"), (70, 8, 8, 8, 6))[0] if self.faults else "":
            case "lost":
                self.gateway.execute(call)
                return Unknown("connection reset")
            case "late":
                self.late.append(Late(call, self.at))
                return Unknown("time-out")
            case "429":
                return NotExecuted("HTTP 429")
            case "500":
                return self.gateway.execute(call, stores_500=True)
            case _:
                return self.gateway.execute(call)

    def _check_capture(self, call: GatewayCall) -> None:
        order = self.order
        if call.kind is K.CAPTURE and order is not None and order.operation(call.operation_id) is not None:
            hold = order.hold_of(call.attempt)
            assert hold is not None
            assert hold.is_live(self.at), "a capture without live goods"

    def _fault(self, share: float) -> bool:
        return self.faults and self.rng.random() < share

    def settle(self, n: int) -> None:
        """Settle an answer by its operation's id; one of an operation that is settled changes nothing."""
        operation_id, outcome, lease = self.answers.pop(n)
        operation = self.order.operation(operation_id) if self.order else None
        if self.order is not None and operation is not None:
            settle = BY_NAME[operation.reaction].settle
            context = Context(self.at, operation.causation_id, self.rules)
            known = self._look_back(self.order, operation, outcome)
            self._transact(settle_answer(settle, known, operation, outcome, lease, context))

    def _look_back(self, order: Order, _: Operation, __: Outcome) -> Order:
        """Return the order as the settler loads it for this answer."""
        return order

    def arrive(self) -> None:
        """Let a copy of a call arrive that was long given up."""
        if self.late:
            self.gateway.execute(self.late.pop(self.rng.randrange(len(self.late))).call)

    def operate(self) -> None:
        """Let an operator settle what was given up, after a look at the gateway's own books; some leave it lying."""
        order = self.order
        if order is None or order.status is not Status.MANUAL_REVIEW:
            return
        waiting = next((o for o in order.operations if o.unfinished), None)
        if waiting is not None and waiting.due_at is None and self._is_over(waiting):
            self._rule(Word.EXECUTED if self._is_done(waiting) else Word.NOT_EXECUTED, waiting)
        elif waiting is None and order.review_reason == "refund_failed" and not self.leaves_refunds:
            # Paid back by other means.
            self.gateway.accounts[order.attempt].refund = "succeeded"
            self._rule(Word.EXECUTED, None)

    def _is_over(self, operation: Operation) -> bool:
        """Have the operator cancel what asks its customer, and wait for what a bank processes."""
        account = self.gateway.accounts.get(operation.attempt)
        if account is not None and account.waits in {"asks", "not_confirmed"}:
            account.voided, account.waits = True, ""
        return account is None or not account.waits

    def act_for_customer(self) -> None:
        """Let the customer of the current attempt do what their bank asks of them."""
        if self.order is not None:
            self.gateway.act_for_customer(self.order.attempt)

    def _is_done(self, operation: Operation) -> bool:
        account = self.gateway.accounts.get(operation.attempt)
        return account is not None and {
            K.AUTHORIZE: account.authorized,
            K.CAPTURE: account.captured,
            K.VOID: account.voided or account.lapsed,
            K.REFUND: account.refund == "succeeded",
        }.get(operation.kind, False)

    def _rule(self, word: Word, operation: Operation | None) -> None:
        assert self.order is not None
        names = {K.AUTHORIZE: "pi", K.REFUND: "re", None: "outside:transfer"}
        kind = operation.kind if operation else None
        reference = f"{names[kind]}_{self.order.attempt}" if word is Word.EXECUTED and kind in names else None
        ruling = Ruling(word, "looked it up", "an operator", reference)
        settles = {name: reaction.settle for name, reaction in BY_NAME.items()}
        history = sorted(self.history.values(), key=lambda o: (o.opened_at, o.try_number))
        decision = resolve(self.order, history, ruling, settles, could_name, Context(self.at, None, self.rules))
        assert not isinstance(decision, No), decision.why
        self.operated += 1
        self._transact(decision)

    def expire(self) -> None:
        """Let holds run out that nobody pinned."""
        for hold in self.order.holds if self.order else ():
            assert self.order is not None
            decision = expire_hold(self.order, hold.attempt, Context(self.at, None, self.rules))
            if decision.order is not None:
                release = InventoryCall(
                    OperationId(builders.event_id("expiry")), K.RELEASE, hold.reservation_id, self.order.lines, self.at
                )
                self.shelf.perform(hold.attempt, release)
                self._transact(decision)

    def rival(self) -> None:
        """Sell the same goods to somebody else."""
        self.shelf.rival(tuple(OrderLine(sku, n) for sku, n in LINES.items()))

    def wait(self, seconds: float) -> None:
        """Let time pass; no copy of a call outlives the network's patience."""
        self.at += timedelta(seconds=seconds)
        self.gateway.at = self.at
        self.late = [late for late in self.late if self.at - late.sent_at < LATE_MAX]
