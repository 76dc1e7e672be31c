"""The bank: every PaymentIntent, refund, dispute and payment method, and what time alone does to them.

Times are Unix seconds. Amounts are whole numbers in the unit of the caller: Stripe's over HTTP, ISO 4217
minor units in the process.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from deploy.playbank.disputes import Dispute, Disputes
from deploy.playbank.intents import (
    ASKS_CUSTOMER,
    AUTHORIZATION_TTL_S,
    CANCELED,
    CAPTURED,
    DECLINED,
    HELD,
    PROCESSING,
    UNCONFIRMED,
    Intent,
    No,
)
from deploy.playbank.methods import RefundPath

__all__ = [
    "ASKS_CUSTOMER",
    "AUTHORIZATION_TTL_S",
    "CANCELED",
    "CAPTURED",
    "DECLINED",
    "HELD",
    "KEY_TTL_S",
    "PROCESSING",
    "UNCONFIRMED",
    "Bank",
    "Dispute",
    "Intent",
    "No",
    "PaymentMethod",
    "Refund",
]

KEY_TTL_S = 24 * 3600.0  # Stripe forgets keys after a day at the earliest


@dataclass(slots=True, eq=False)
class Refund:
    """A refund. `decided_at`: when a pending one succeeds, or a succeeded one fails."""

    id: str
    intent: str
    created: float
    amount: int
    status: str
    metadata: dict[str, Any]
    key: str
    reason: str | None = None
    decided_at: float | None = None


@dataclass(slots=True, eq=False)
class PaymentMethod:
    """A payment method that was made here. It can be confirmed once, and behaves as a test method."""

    id: str
    behaves_as: str
    created: float
    used: bool = False
    metadata: dict[str, str] = field(default_factory=dict)
    used_by: str | None = None

    def use(self, intent_id: str) -> None:
        """Remember that it was confirmed, and with which PaymentIntent."""
        self.used, self.used_by = True, intent_id


class Bank:
    """Every payment method, intent and refund, the oldest first.

    born: stands in every id, so that two banks never give the same one.
    """

    def __init__(self, clock: Callable[[], float], pending_s: float, born: str = "") -> None:
        self.now = clock
        self.born = born
        self._pending_s = pending_s
        self._intents: dict[str, Intent] = {}
        self._in_order: list[Intent] = []
        self._refunds: dict[str, Refund] = {}
        self._refunds_of: dict[str, dict[str, Refund]] = {}
        self._methods: dict[str, PaymentMethod] = {}
        self._disputes = Disputes()

    def method(self, method_id: str) -> PaymentMethod | None:
        """Return a payment method made here."""
        return self._methods.get(method_id)

    def put(self, thing: Intent | Refund | PaymentMethod | Dispute) -> None:
        """Store this object, in place of its earlier state."""
        match thing:
            case Intent():
                self._in_order[thing.sequence : thing.sequence + 1] = [thing]
                self._intents[thing.id] = thing
            case Refund():
                self._refunds[thing.id] = self._refunds_of.setdefault(thing.intent, {})[thing.id] = thing
            case PaymentMethod():
                self._methods[thing.id] = thing
            case Dispute():
                self.pass_time(self._intents[thing.intent])
                self._disputes.put(thing)

    def make_method(self, behaves_as: str, metadata: dict[str, str] | None = None) -> PaymentMethod:
        """Make a payment method that can be confirmed once."""
        number = f"pm_1{self.born}{len(self._methods)}"
        method = PaymentMethod(number, behaves_as, self.now(), metadata=metadata or {})
        self._methods[method.id] = method
        return method

    def make_intent(
        self, amount: int, currency: str, capture_method: str, token: str | None, behaves_as: str | None, **more: Any
    ) -> Intent:
        """Make a PaymentIntent that is not confirmed. more: its other fields."""
        number = len(self._in_order)
        intent_id = f"pi_3{self.born}{number}"
        status = DECLINED if token is None else UNCONFIRMED
        intent = Intent(
            intent_id, number, self.now(), amount, currency, capture_method, token, behaves_as, status=status, **more
        )
        self._intents[intent_id] = intent
        self._in_order.append(intent)
        return intent

    def refund(self, intent: Intent, key: str, amount: int, **more: Any) -> Refund | No:
        """Give captured money back, all that is left or part of it. more: other fields of the refund."""
        left = self.left_of(intent)
        if intent.status != CAPTURED:
            return No.UNEXPECTED_STATE
        if left == 0:
            return No.REFUNDED
        self._disputes.begin(intent)
        if any(not dispute.charge_is_refundable for dispute in self._disputes.of(intent.id)):
            return No.DISPUTED
        if amount > left:
            return No.TOO_LARGE
        now, path = self.now(), intent.method.refund
        status = "pending" if path is RefundPath.PENDING else "succeeded"
        decided_at = None if path is RefundPath.AT_ONCE else now + self._pending_s
        refund_id = f"re_3{self.born}{len(self._refunds)}"
        made = Refund(refund_id, intent.id, now, amount, status, key=key, decided_at=decided_at, **more)
        self._refunds[refund_id] = self._refunds_of.setdefault(intent.id, {})[refund_id] = made
        if status == "succeeded":
            intent.add_effect("refund", key, now, amount)
        return made

    def intent(self, intent_id: str) -> Intent | None:
        """Return the intent as it is now."""
        intent = self._intents.get(intent_id)
        if intent is not None:
            self.pass_time(intent)
        return intent

    def refund_made(self, refund_id: str) -> Refund | None:
        """Return the refund as it is now."""
        refund = self._refunds.get(refund_id)
        if refund is not None:
            self.intent(refund.intent)
        return refund

    def refunds_of(self, intent: Intent) -> list[Refund]:
        """Return the intent's refunds, oldest first."""
        return list(self._refunds_of.get(intent.id, {}).values())

    def all_refunds(self) -> list[Refund]:
        """Return every refund as it is now, oldest first."""
        return [refund for refund in self._refunds.values() if self.intent(refund.intent)]

    def disputes_of(self, intent: Intent) -> list[Dispute]:
        """Return the disputes about a payment, which begin with its capture."""
        self.pass_time(intent)
        return self._disputes.of(intent.id)

    def all_disputes(self) -> list[Dispute]:
        """Return every dispute, the oldest first."""
        for intent in self._in_order:
            self.pass_time(intent)
        return self._disputes.all()

    def decides_at(self, intent: Intent) -> float | None:
        """Return when the bank of a debit decides."""
        return intent.decides_at(self._pending_s)

    def newest_first(self, before: Intent | None = None) -> Iterator[Intent]:
        """Return the intents as they are now, the newest first; only those that were made before `before`."""
        start = before.sequence if before is not None else len(self._in_order)
        for sequence in range(start - 1, -1, -1):
            self.pass_time(self._in_order[sequence])
            yield self._in_order[sequence]

    def refunded(self, intent: Intent, *, with_pending: bool) -> int:
        """Return the amount that was refunded, with or without pending refunds."""
        counted = {"succeeded", "pending"} if with_pending else {"succeeded"}
        return sum(r.amount for r in self._refunds_of.get(intent.id, {}).values() if r.status in counted)

    def left_of(self, intent: Intent) -> int:
        """Return the captured amount that is neither refunded nor in a pending refund."""
        return intent.amount_received - self.refunded(intent, with_pending=True)

    def pass_time(self, intent: Intent) -> None:
        """Apply what time does to an intent: its authorization lapses, its refunds are decided."""
        now = self.now()
        intent.lapse(now)
        if intent.status == PROCESSING:
            intent.decide(now, self._pending_s)
        if intent.status == CAPTURED:
            self._disputes.begin(intent)
        for refund in self._refunds_of.get(intent.id, {}).values():
            if refund.decided_at is None or now < refund.decided_at:
                continue
            if refund.status == "pending":
                refund.status = "succeeded"
                self._note_refunded(intent, refund, refund.decided_at)
            else:
                refund.status = "failed"
            refund.decided_at = None

    def _note_refunded(self, intent: Intent, refund: Refund, at: float) -> None:
        """Write a pending refund that has succeeded into the ledger, unless the intent was stored with it there."""
        effect = {"kind": "refund", "key": refund.key, "at": at, "amount": refund.amount}
        if effect not in intent.effects:
            intent.add_effect("refund", refund.key, at, refund.amount)
