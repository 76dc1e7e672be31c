"""The bank and the stock of an order whose customer changes their mind: what truly happened.

A payment may have many refunds, each kept by its key. One may fail after it had succeeded.
"""

from collections import Counter
from dataclasses import dataclass, field

from domain.failure_codes import FailureCode
from domain.news import SeenRefund, TransactionNews
from domain.operation import GatewayCall, OperationKind, operation_id
from domain.order import HoldState
from domain.outcome import Approved, Declined, GatewayOutcome, NotFound, Outcome, Pending, ReturnedElsewhere
from domain.ports.inventory import InventoryCall
from domain.values import replace
from tests.domain.builders import ORDER_ID, TOTAL
from tests.domain.driver import LINES
from tests.domain.world import Gateway, Shelf

K = OperationKind


@dataclass
class Made:
    """A refund at the bank. state: succeeded, pending, failed, or came_back (failed after success).

    operation_id: ours; None: somebody else made it.
    """

    attempt: int
    amount_minor: int
    operation_id: str | None
    state: str
    name: str

    @property
    def is_back(self) -> bool:
        return self.state in {"succeeded", "pending"}


@dataclass
class Bank(Gateway):
    """Makes each refund once by its key, and never more than was captured: we must not ask for more."""

    refunds: dict[str, Made] = field(default_factory=dict)
    failures_left: int = 3
    disputed: bool = False
    was_disputed: bool = False

    def _do(self, call: GatewayCall) -> GatewayOutcome:
        if call.kind is not K.REFUND:
            return super()._do(call)
        assert self.accounts[call.attempt].captured
        if call.idempotency_key in self.refunds:
            # The key is forgotten. What was not captured is refused, and looked up.
            assert self.returned_minor(call.attempt) + call.amount_minor > TOTAL, "the money goes back twice"
            return self._made(call)
        if self.disputed:
            return Declined(FailureCode.GATEWAY_REFUSED, "charge_disputed")
        if self.returned_minor(call.attempt) + call.amount_minor > TOTAL:
            assert self.foreign(call.attempt), "more back than was captured"
            return ReturnedElsewhere(self.succeeded_minor(call.attempt), self.foreign(call.attempt)[-1].name)
        # A bank that refuses for ever leaves an operator no end: it does so a few times.
        weights = (60, 25, 15) if self.failures_left > 0 else (70, 30, 0)
        state = self.rng.choices(("succeeded", "pending", "failed"), weights)[0]
        self.failures_left -= state == "failed"
        name = f"re_{len(self.refunds) + 1}"
        self.refunds[call.idempotency_key] = Made(call.attempt, call.amount_minor, str(call.operation_id), state, name)
        return self._made(call)

    def look_up(self, call: GatewayCall) -> GatewayOutcome:
        if call.kind is K.CAPTURE and call.attempt in self.accounts and self.succeeded_minor(call.attempt):
            made = next(m for m in self.refunds.values() if m.attempt == call.attempt and m.state == "succeeded")
            return ReturnedElsewhere(self.succeeded_minor(call.attempt), made.name, call.transaction_id)
        if call.kind is not K.REFUND:
            return super().look_up(call)
        return self._made(call) if call.idempotency_key in self.refunds else NotFound()

    def execute(self, call: GatewayCall, *, stores_500: bool = False) -> GatewayOutcome:
        outcome = super().execute(call, stores_500=stores_500)
        # A key's stored answer says what was then; a refund is told as it is now.
        if call.kind is K.REFUND and isinstance(outcome, ReturnedElsewhere):
            return replace(outcome, total_minor=self.succeeded_minor(call.attempt))
        return self._made(call) if call.kind is K.REFUND and isinstance(outcome, Approved | Pending) else outcome

    def resolve_pending(self) -> None:
        super().resolve_pending()
        for made in self.refunds.values():
            if made.state == "pending":
                made.state = "failed" if self.failures_left > 0 and self.rng.random() < 0.3 else "succeeded"
                self.failures_left -= made.state == "failed"

    def refund_in_dashboard(self) -> None:
        """Have somebody refund a part of what is left, once."""
        attempt = max((n for n, account in self.accounts.items() if account.captured), default=0)
        left = TOTAL - self.returned_minor(attempt)
        if attempt and left > 0 and not any(made.operation_id is None for made in self.refunds.values()):
            # Now and then as much as was asked of us: it may be meant for that.
            amount = self.rng.choice((self.rng.randint(1, left), min(left, 80), min(left, 1_000), left))
            self.refunds["dashboard"] = Made(attempt, amount, None, "succeeded", "re_dashboard")

    def dispute(self) -> None:
        """Have the customer dispute the payment, once; or the dispute be won."""
        if self.disputed:
            self.disputed = False
        elif not self.was_disputed and any(account.captured for account in self.accounts.values()):
            self.disputed = self.was_disputed = True

    def news(self, attempt: int) -> TransactionNews:
        """Return what the bank says of one transaction."""
        words = {"succeeded": "succeeded", "pending": "pending", "failed": "failed", "came_back": "failed"}
        seen = tuple(
            SeenRefund(made.name, made.operation_id, words[made.state], made.amount_minor, "EUR")  # type: ignore[arg-type]
            for made in self.refunds.values()
            if made.attempt == attempt
        )
        account = self.accounts[attempt]
        made_by = operation_id(ORDER_ID, attempt, K.AUTHORIZE, 1)
        return TransactionNews(
            f"pi_{attempt}",
            ORDER_ID,
            str(made_by),
            "EUR",
            held_minor=TOTAL if account.held else 0,
            captured_minor=TOTAL if account.captured else 0,
            cancelled=account.voided or account.lapsed,
            refunds=seen,
        )

    def foreign(self, attempt: int) -> list[Made]:
        return [made for made in self.refunds.values() if made.attempt == attempt and made.operation_id is None]

    def succeeded_minor(self, attempt: int) -> int:
        return self.news(attempt).returned_minor

    def take_back(self) -> None:
        """Let a refund of ours fail after it had succeeded, whatever others have refunded."""
        done = [made for made in self.refunds.values() if made.state == "succeeded" and made.operation_id is not None]
        if done and self.failures_left > 0:
            self.failures_left -= 1
            self.rng.choice(done).state = "came_back"

    def returned_minor(self, attempt: int) -> int:
        return sum(made.amount_minor for made in self.refunds.values() if made.attempt == attempt and made.is_back)

    def _made(self, call: GatewayCall) -> GatewayOutcome:
        made = self.refunds[call.idempotency_key]
        match made.state:
            case "pending":
                return Pending(made.name, call.transaction_id)
            case "failed" | "came_back":
                return Declined(FailureCode.GATEWAY_REFUSED)
            case _:
                return Approved(call.transaction_id, made.name, made.amount_minor)


@dataclass
class Stock(Shelf):
    """Takes sold goods back, never more than were sold."""

    back: Counter[str] = field(default_factory=Counter)

    def perform(self, attempt: int, call: InventoryCall) -> Outcome:
        if call.kind is not K.RESTOCK:
            return super().perform(attempt, call)
        assert self.holds[attempt] is HoldState.SOLD
        for line in call.lines:
            self.back[line.sku] += line.quantity
            assert self.back[line.sku] <= LINES[line.sku], "more back in stock than was sold"
        self._move(call.lines, 1)
        return Approved()
