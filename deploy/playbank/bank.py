"""PaymentIntents and refunds: what may follow what, and what time alone does to them.

Times are Unix seconds. Amounts are whole numbers in the unit of the caller: Stripe's over HTTP, ISO 4217
minor units in the process.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from deploy.playbank.cards import CardDecline
from deploy.playbank.methods import CAPTURE_REFUSED, Method, RefundPath, method_of

KEY_TTL_S = 24 * 3600.0  # Stripe forgets keys after a day at the earliest
AUTHORIZATION_TTL_S = 7 * 24 * 3600  # Stripe's time for most cards
LAPSE_KEY = "lapsed"  # the gateway cancels by itself, under no key of ours
ELSEWHERE_KEY = "captured_elsewhere"  # as if somebody had captured in the gateway's own dashboard

HELD, CAPTURED, CANCELED, DECLINED = "requires_capture", "succeeded", "canceled", "requires_payment_method"
ASKS_CUSTOMER = "requires_action"
_CANCELABLE = frozenset([DECLINED, HELD, "requires_confirmation", ASKS_CUSTOMER, "processing"])
_PLAIN = Method()
_NOT_AUTHENTICATED = CardDecline(
    "payment_intent_authentication_failure", "authentication_required", "The customer did not prove who they are."
)


class No(StrEnum):
    """Why the bank does not do what it is asked, in the gateway's codes."""

    UNEXPECTED_STATE = "payment_intent_unexpected_state"
    TOO_LARGE = "amount_too_large"
    REFUNDED = "charge_already_refunded"
    REFUSED = CAPTURE_REFUSED.decline_code


@dataclass(slots=True, eq=False)
class Intent:
    """A PaymentIntent, and the only code that moves its money.

    `effects` is the ledger: what really happened, each with the idempotency key that did it. `terms`: what else the
    caller asked for (customer, texts, return URL, capture of this method alone), by name.
    """

    id: str
    sequence: int
    created: float
    amount: int
    currency: str
    capture_method: str
    payment_method: str | None
    behaves_as: str | None
    metadata: dict[str, Any]
    status: str
    description: str | None = None
    payment_method_types: Sequence[str] = ("card",)
    amount_received: int = 0
    capture_before: float | None = None
    canceled_at: float | None = None
    cancellation_reason: str | None = None
    charge: str | None = None
    last_payment_error: dict[str, Any] | None = None
    effects: list[dict[str, Any]] = field(default_factory=list)
    terms: dict[str, Any] | None = None

    @property
    def asked(self) -> dict[str, Any]:
        """What else the caller asked for; empty if nothing."""
        return self.terms or {}

    @property
    def method(self) -> Method:
        """What its payment method does."""
        return method_of(self.behaves_as or "") or _PLAIN

    def confirm(self, key: str, now: float) -> CardDecline | None:
        """Authorize. Also capture if the method or the intent wants that. Return why the issuer declined, or None."""
        method = self.method
        if method.decline is not None:
            self.status = DECLINED
            return method.decline
        self._approve(method, key, now)
        return None

    def authenticate(self, key: str, now: float, *, passed: bool) -> CardDecline | No | None:
        """Go on once the customer proved who they are, or failed to. Return why the issuer declined, or None."""
        if self.status != ASKS_CUSTOMER:
            return No.UNEXPECTED_STATE
        decline = self.method.after_action if passed else _NOT_AUTHENTICATED
        if decline is not None:
            self.status = DECLINED
            return decline
        self._approve(self.method, key, now)
        return None

    def capture(self, key: str, now: float, amount: int) -> No | None:
        """Collect an authorized amount, all or part of it; the rest is released."""
        if self.status != HELD:
            return No.UNEXPECTED_STATE
        if amount > self.amount:
            return No.TOO_LARGE
        if self.method.capture_refused:
            return No.REFUSED
        self._take(key, now, amount)
        return None

    def cancel(self, key: str, now: float, reason: str | None = None) -> No | None:
        """Cancel an intent that is not captured."""
        if self.status == HELD and self.method.void_finds_captured:
            self._take(ELSEWHERE_KEY, now, self.amount)
        if self.status not in _CANCELABLE:
            return No.UNEXPECTED_STATE
        self._end(key, now, reason)
        return None

    def lapse(self, now: float) -> None:
        """Cancel the authorization once its time is over."""
        if self.status == HELD and self.capture_before is not None and now >= self.capture_before:
            self._end(LAPSE_KEY, self.capture_before, "automatic")

    def add_effect(self, kind: str, key: str, at: float, amount: int) -> None:
        """Write an effect into the ledger."""
        self.effects.append({"kind": kind, "key": key, "at": at, "amount": amount})

    def _approve(self, method: Method, key: str, now: float) -> None:
        self.add_effect("authorize", key, now, self.amount)
        if method.captures_at_once or not (self.capture_method == "manual" or self.asked.get("card_capture")):
            self._take(key, now, self.amount)
        else:
            self.status, self.capture_before = HELD, now + AUTHORIZATION_TTL_S

    def _take(self, key: str, now: float, amount: int) -> None:
        self.status, self.amount_received = CAPTURED, amount
        self.add_effect("capture", key, now, amount)

    def _end(self, key: str, now: float, reason: str | None) -> None:
        held = self.amount if self.status == HELD else 0
        self.status, self.cancellation_reason, self.canceled_at = CANCELED, reason, now
        self.add_effect("cancel", key, now, held)


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

    def method(self, method_id: str) -> PaymentMethod | None:
        """Return a payment method made here."""
        return self._methods.get(method_id)

    def put(self, thing: Intent | Refund | PaymentMethod) -> None:
        """Store this object, in place of its earlier state."""
        match thing:
            case Intent():
                self._in_order[thing.sequence : thing.sequence + 1] = [thing]
                self._intents[thing.id] = thing
            case Refund():
                self._refunds[thing.id] = self._refunds_of.setdefault(thing.intent, {})[thing.id] = thing
            case PaymentMethod():
                self._methods[thing.id] = thing

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
        status = DECLINED if token is None else "requires_confirmation"
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
        for refund in self._refunds_of.get(intent.id, {}).values():
            if refund.decided_at is None or now < refund.decided_at:
                continue
            if refund.status == "pending":
                refund.status = "succeeded"
                intent.add_effect("refund", refund.key, refund.decided_at, refund.amount)
            else:
                refund.status = "failed"
            refund.decided_at = None
