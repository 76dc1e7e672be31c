"""What the sandbox knows: PaymentIntents, refunds, and what time alone does to them. Amounts are in Stripe's units."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from consumers.adapters.gateway.methods import Method, method_of

AUTHORIZATION_TTL_S = 7 * 24 * 3600  # Stripe's time for most cards
LAPSE_KEY = "lapsed"  # the gateway cancels by itself, under no key of ours

_PLAIN = Method()


@dataclass(slots=True, eq=False)
class Intent:
    """A PaymentIntent. `effects` is the ledger: what truly happened, each with the idempotency key that did it."""

    id: str
    sequence: int
    created: float
    amount: int
    currency: str
    capture_method: str
    payment_method: str | None
    behaves_as: str | None
    metadata: dict[str, str]
    status: str
    description: str | None = None
    payment_method_types: list[str] = field(default_factory=lambda: ["card"])
    amount_received: int = 0
    capture_before: float | None = None
    canceled_at: float | None = None
    cancellation_reason: str | None = None
    charge: str | None = None
    last_payment_error: dict[str, Any] | None = None
    effects: list[dict[str, Any]] = field(default_factory=list)

    @property
    def method(self) -> Method:
        """What its payment method does."""
        return method_of(self.behaves_as or "") or _PLAIN

    def took_effect(self, kind: str, key: str, at: float, amount: int) -> None:
        """Write into the ledger."""
        self.effects.append({"kind": kind, "key": key, "at": at, "amount": amount})


@dataclass(slots=True, eq=False)
class Refund:
    """A refund; `decided_at` is when a pending one succeeds, or one that fails later fails."""

    id: str
    intent: str
    created: float
    amount: int
    status: str
    metadata: dict[str, str]
    key: str
    reason: str | None = None
    decided_at: float | None = None


@dataclass(slots=True, eq=False)
class PaymentMethod:
    """A payment method made here, without a customer: it can be confirmed once. It behaves as a test method."""

    id: str
    behaves_as: str
    created: float
    used: bool = False


class Bank:
    """Every payment method, intent and refund, in the order of their making."""

    def __init__(self, clock: Callable[[], float], pending_s: float) -> None:
        self.now = clock
        self.pending_s = pending_s
        self.born = ""
        self._intents: dict[str, Intent] = {}
        self._in_order: list[Intent] = []
        self._refunds: dict[str, Refund] = {}
        self._refunds_of: dict[str, list[Refund]] = {}
        self._methods: dict[str, PaymentMethod] = {}

    def put_method(self, method: PaymentMethod) -> None:
        """Keep a payment method, in place of its former state."""
        self._methods[method.id] = method

    def method(self, method_id: str) -> PaymentMethod | None:
        """Return a payment method made here."""
        return self._methods.get(method_id)

    def methods_made(self) -> int:
        """Return how many payment methods were made here."""
        return len(self._methods)

    def put_intent(self, intent: Intent) -> None:
        """Keep an intent, in place of its former state."""
        former = self._intents.get(intent.id)
        self._intents[intent.id] = intent
        if former is None:
            self._in_order.append(intent)
        elif former is not intent:
            self._in_order[intent.sequence] = intent

    def put_refund(self, refund: Refund) -> None:
        """Keep a refund, in place of its former state."""
        of_intent = self._refunds_of.setdefault(refund.intent, [])
        former = self._refunds.get(refund.id)
        self._refunds[refund.id] = refund
        if former is None:
            of_intent.append(refund)
        else:
            of_intent[of_intent.index(former)] = refund

    def intents_made(self) -> int:
        """Return how many intents there are: the next one's sequence."""
        return len(self._in_order)

    def refunds_made(self) -> int:
        """Return how many refunds there are."""
        return len(self._refunds)

    def intent(self, intent_id: str) -> Intent | None:
        """Return the intent as it is now."""
        intent = self._intents.get(intent_id)
        if intent is not None:
            self.pass_time(intent)
        return intent

    def refund(self, refund_id: str) -> Refund | None:
        """Return the refund as it is now."""
        refund = self._refunds.get(refund_id)
        if refund is not None:
            self.intent(refund.intent)
        return refund

    def refunds_of(self, intent: Intent) -> list[Refund]:
        """Return the intent's refunds, oldest first."""
        return self._refunds_of.get(intent.id, [])

    def all_refunds(self) -> list[Refund]:
        """Return every refund as it is now, oldest first."""
        return [refund for refund in self._refunds.values() if self.intent(refund.intent)]

    def newest_first(self, before: Intent | None = None) -> Iterator[Intent]:
        """Go through the intents as they are now, from the one made before `before`."""
        start = before.sequence if before is not None else len(self._in_order)
        for sequence in range(start - 1, -1, -1):
            self.pass_time(self._in_order[sequence])
            yield self._in_order[sequence]

    def refunded(self, intent: Intent, *, with_pending: bool) -> int:
        """Return what went back, with what is promised to go or without."""
        counted = {"succeeded", "pending"} if with_pending else {"succeeded"}
        return sum(refund.amount for refund in self.refunds_of(intent) if refund.status in counted)

    def pass_time(self, intent: Intent) -> None:
        """Let an authorization lapse and refunds be decided, as of now."""
        now = self.now()
        if intent.status == "requires_capture" and intent.capture_before is not None and now >= intent.capture_before:
            intent.status, intent.cancellation_reason = "canceled", "automatic"
            intent.canceled_at = intent.capture_before
            intent.took_effect("cancel", LAPSE_KEY, intent.capture_before, intent.amount)
        for refund in self._refunds_of.get(intent.id, ()):
            if refund.decided_at is None or now < refund.decided_at:
                continue
            if refund.status == "pending":
                refund.status = "succeeded"
                intent.took_effect("refund", refund.key, refund.decided_at, refund.amount)
            else:
                refund.status = "failed"
            refund.decided_at = None
