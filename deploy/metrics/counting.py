"""Counts what a process does, at the ports that the runtime, the store and the relay have for it."""

from collections.abc import Iterable
from typing import Final

from deploy.metrics.metric import NONE, known
from deploy.metrics.numbers import Numbers
from domain.alarms import ALARMS
from domain.failure_codes import FailureCode
from domain.order import FINAL, Order, Status
from domain.ports.metering import Written
from domain.ports.store import Change
from schemas.events import OrderCancelled, OwnEvent, PaidAndConfirmed, PaymentFailed, PaymentReviewRequired
from schemas.models import EVENTS
from schemas.rejection import Reason

OUTCOMES: Final[dict[type[OwnEvent], str]] = {
    PaidAndConfirmed: Status.PAID_AND_CONFIRMED.value,
    PaymentFailed: Status.PAYMENT_FAILED.value,
    OrderCancelled: Status.CANCELLED.value,
    PaymentReviewRequired: Status.MANUAL_REVIEW.value,
}
_FAILURES: Final = frozenset(code.value for code in FailureCode)
_REVIEWS: Final = frozenset(alarm.removeprefix("review_") for alarm in ALARMS if alarm.startswith("review_"))
_BANKS: Final = frozenset({"BANK", "OTHER"})
"""Kinds of payment methods that a bank may process for days."""


def review_label(reason: str) -> str:
    """Return the label of a review's reason."""
    return known(reason, _REVIEWS)


def letter_label(reason: str) -> str:
    """Return the label of a dead letter's reason."""
    return known(reason, [r.value for r in Reason])


def event_label(topic: str, prefix: str) -> str:
    """Return the label of a topic: the event that it carries."""
    return known(topic.removeprefix(prefix), _EVENT_NAMES)


_EVENT_NAMES: Final = frozenset(EVENTS)


class Counting:
    """domain.ports.metering.StoreMeter, and the counts of consumers. prefix: of topics."""

    def __init__(self, numbers: Numbers, prefix: str) -> None:
        self._prefix = prefix
        self._orders = numbers.counter("payments_orders_total")
        for outcome in (Status.PAID_AND_CONFIRMED, Status.CANCELLED):
            self._orders.add((outcome.value, NONE), 0)
        self._times = numbers.histogram("payments_order_outcome_seconds")
        self._letters = numbers.counter("payments_dead_letters_total")
        self._quarantined = numbers.counter("payments_quarantined_total")
        for kind in ("message", "operation", "order"):
            self._quarantined.add((kind,), 0)
        self._transactions = numbers.histogram("payments_database_transaction_seconds")[()]
        self._batches = numbers.histogram("payments_batch_messages")

    def taken(self, reaction: str, messages: int) -> None:
        """Count a batch."""
        self._batches[(reaction,)].observe(messages)

    def committed(self, written: Written) -> None:
        """Count a transaction, and what it decided."""
        self._transactions.observe(written.seconds)
        for changes in written.changes:
            told = [event for event in changes.events if type(event) in OUTCOMES]
            if told:
                self._count_outcomes(told, {c.after.order_id: c for c in changes.orders}, written)
        for letter in written.letters:
            self._letters.add((event_label(letter.topic, self._prefix), letter_label(letter.reason.value)))
            if letter.reason is Reason.QUARANTINED and not letter.behind:
                self._quarantined.add(("message",))
        for kind in written.aside:
            self._quarantined.add((kind,))

    def _count_outcomes(self, told: Iterable[OwnEvent], changes: dict[str, Change], written: Written) -> None:
        for event in told:
            change = changes.get(event.order_id)
            if change is not None and change.before is not None and change.before.status is Status.MANUAL_REVIEW:
                # It was counted when its review began. How a person ends that is no second outcome of the order.
                continue
            outcome = OUTCOMES[type(event)]
            self._orders.add((outcome, _reason(event)))
            if change is not None and _is_first(change.before):
                after = change.after
                seconds = (written.now - (after.confirmed_at or after.created_at)).total_seconds()
                self._times[outcome, "yes" if _waited(after) else "no"].observe(max(seconds, 0.0))


def _reason(event: OwnEvent) -> str:
    if isinstance(event, PaymentFailed):
        return known(event.failure_code, _FAILURES)
    return review_label(event.reason) if isinstance(event, PaymentReviewRequired) else NONE


def _is_first(before: Order | None) -> bool:
    """Whether an outcome is the order's first one. A further attempt comes after a failure."""
    return before is None or (before.attempt == 1 and before.status not in FINAL)


def _waited(order: Order) -> bool:
    """Whether the customer or a bank had to act."""
    return any(a.action_expires_at is not None or a.method_kind in _BANKS for a in order.attempts)
