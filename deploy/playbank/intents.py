"""PaymentIntents: what may follow what, and what time alone does to one.

Times are Unix seconds. Amounts are whole numbers in the unit of the caller: Stripe's over HTTP, ISO 4217
minor units in the process.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from deploy.playbank.cards import CardDecline
from deploy.playbank.methods import Method, method_of

AUTHORIZATION_TTL_S = 7 * 24 * 3600  # Stripe's time for most cards
LAPSE_KEY = "lapsed"  # the gateway cancels by itself, under no key of ours
ELSEWHERE_KEY = "captured_elsewhere"  # as if somebody had captured in the gateway's own dashboard

HELD, CAPTURED, CANCELED, DECLINED = "requires_capture", "succeeded", "canceled", "requires_payment_method"
ASKS_CUSTOMER, PROCESSING, UNCONFIRMED = "requires_action", "processing", "requires_confirmation"
_CANCELABLE = frozenset([DECLINED, HELD, UNCONFIRMED, ASKS_CUSTOMER])
_PARAMS_OF_CARD = {"expired_card": "exp_month", "incorrect_cvc": "cvc"}
_PLAIN = Method()
_NOT_AUTHENTICATED = CardDecline(
    "payment_intent_authentication_failure", None, "The customer did not prove who they are."
)


class No(StrEnum):
    """Why the bank does not do what it is asked, in the gateway's codes."""

    UNEXPECTED_STATE = "payment_intent_unexpected_state"
    TOO_LARGE = "amount_too_large"
    REFUNDED = "charge_already_refunded"
    DISPUTED = "charge_disputed"
    REFUSED = "generic_decline"


@dataclass(slots=True, eq=False)
class Intent:
    """A PaymentIntent, and the only code that moves its money.

    `effects` is the ledger: what really happened, each with the idempotency key that did it. `terms`: what else the
    caller asked for (customer, texts, return URL, capture of this method alone), and the key that confirmed it, by
    name. processing_since: when its bank began to decide; that is over once it has another status.
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
    processing_since: float | None = None

    @property
    def asked(self) -> dict[str, Any]:
        """What else the caller asked for; empty if nothing."""
        return self.terms or {}

    @property
    def method(self) -> Method:
        """What its payment method does."""
        return method_of(self.behaves_as or "") or _PLAIN

    @property
    def captured_at(self) -> float | None:
        """When its money was taken."""
        return next((effect["at"] for effect in self.effects if effect["kind"] == "capture"), None)

    def confirm(self, key: str, now: float) -> CardDecline | None:
        """Authorize. Also capture if the method or the intent wants that. Return why the issuer declined, or None.

        A debit is processing afterwards: its bank decides in its own time.
        """
        method = self.method
        if method.decline is not None:
            return self._decline(method.decline)
        if method.in_days:
            self.status, self.processing_since, self.charge = PROCESSING, now, self._charge_of(method)
            self.terms = self.asked | {"confirmed_under": key}
            return None
        self._approve(method, key, now)
        return None

    def authenticate(self, key: str, now: float, *, passed: bool) -> CardDecline | No | None:
        """Go on once the customer proved who they are, or failed to. Return why the issuer declined, or None."""
        if self.status != ASKS_CUSTOMER:
            return No.UNEXPECTED_STATE
        decline = self.method.after_action if passed else _NOT_AUTHENTICATED
        if decline is not None:
            return self._decline(decline)
        self._approve(self.method, key, now)
        return None

    def decide(self, now: float, pending_s: float) -> None:
        """Let the bank of a debit decide, once it has had its time."""
        decides_at = self.decides_at(pending_s)
        if decides_at is None or now < decides_at:
            return
        decline = self.method.later_decline
        if decline is None:
            self._approve(self.method, self.asked.get("confirmed_under", ""), decides_at)
        else:
            self._decline(decline)

    def decides_at(self, pending_s: float) -> float | None:
        """Return when the bank of a debit decides; None where it does not, or has."""
        if self.status != PROCESSING or self.processing_since is None or self.method.never_decided:
            return None
        return self.processing_since + pending_s

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
        processing = self.status == PROCESSING and self.method.rules.cancels_processing
        if self.status not in _CANCELABLE and not processing:
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

    def _charge_of(self, method: Method) -> str:
        """Return the id of its charge. That of a payment without a card begins otherwise, as at Stripe."""
        return f"{'ch' if method.type == 'card' else 'py'}_{self.id[3:]}"

    def _decline(self, decline: CardDecline) -> CardDecline:
        """Decline, and keep why."""
        self.status, self.charge = DECLINED, self._charge_of(self.method)
        self.last_payment_error = error_of(decline, self.charge)
        return decline

    def _approve(self, method: Method, key: str, now: float) -> None:
        self.charge = self._charge_of(method)
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


def error_of(decline: CardDecline, charge: str | None) -> dict[str, Any]:
    """Return a decline as Stripe's error object. That of a bank has no decline code (our reading)."""
    error: dict[str, Any] = {"code": decline.code, "message": decline.message}
    if decline.decline_code is None:
        return {"type": "invalid_request_error", **error}
    error |= {"type": "card_error", "decline_code": decline.decline_code, "charge": charge}
    named = {"advice_code": decline.advice_code, "param": _PARAMS_OF_CARD.get(decline.code)}
    return error | {name: value for name, value in named.items() if value is not None}
