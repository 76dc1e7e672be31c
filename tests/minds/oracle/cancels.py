"""Each cancel has one answer: the order is cancelled and nothing of it is left, or a refusal says truly why."""

from collections.abc import Iterator
from typing import Final

from tests.minds.evidence import Event
from tests.minds.oracle.case import Asked, Index, Violation

CANCELLED, REFUSED, PAID = "OrderCancelled", "CancellationRefused", "PaidAndConfirmed"
FORWARD: Final = (
    "PaymentAuthorized",
    "CustomerActionRequired",
    "ItemsReserved",
    "ReservationFailed",
    PAID,
    "PaymentFailed",
)
"""What must not be said of an order any more once it is cancelled."""
CALM: Final = frozenset({CANCELLED, REFUSED, "CustomerNotificationRequested", "RefundRefused"})
"""All that may be said of an order whose cancel came before it."""
CLOCK_S: Final = 0.05


def check_cancels(index: Index) -> Iterator[Violation]:
    """Look at every request to cancel, and at every order with one."""
    asked_of = {asked.order_id for asked in index.cancels}
    for asked in index.cancels:
        if asked.order_id in index.confirmed and not index.gave_up(asked):
            yield from _check_request(index, asked)
    late = {asked.order_id for asked in index.cancels if index.gave_up(asked)}
    for order_id in (asked_of & index.confirmed) - late:
        yield from _check_order(index, order_id)
    for order_id, events in index.events.items():
        if order_id not in asked_of and any(event.type in {CANCELLED, REFUSED} for event in events):
            yield Violation("cancel", order_id, "nobody asked for a cancel", index.where(order_id))


def _check_request(index: Index, asked: Asked) -> Iterator[Violation]:
    where = index.where(asked.order_id)
    answers = [e for e in index.of(asked.order_id, CANCELLED, REFUSED) if e.fields["request_id"] == asked.request_id]
    if not answers:
        yield Violation("no answer", asked.name, "neither cancelled nor refused", where)
    if len(answers) > 1:
        yield Violation("two answers", asked.name, f"{len(answers)}: {[event.type for event in answers]}", where)
    for answer in answers:
        if answer.type == REFUSED and not _fits(index, asked, answer):
            yield Violation("reason", asked.name, f"refused for {answer.fields['reason']}, which is not so", where)
        if answer.type == CANCELLED and _came_too_late(index, asked):
            yield Violation(
                "window", asked.name, "it was asked for after the window, and the order is cancelled", where
            )


def _fits(index: Index, asked: Asked, answer: Event) -> bool:
    """Whether a refusal's reason is true, by what else there is."""
    order_id = asked.order_id
    paid = [event for event in index.of(order_id, PAID) if event.at < answer.at]
    match answer.fields["reason"]:
        case "PREPARATION_STARTED":
            return order_id in index.prepared
        case "TOO_LATE":
            return bool(paid) and answer.occurred_s >= paid[0].occurred_s + index.case.window_s - CLOCK_S
        case "ALREADY_CANCELLED":
            return any(event.type == CANCELLED for event in answers_to_others(index, asked))
        case "PAYMENT_FAILED":
            failed = [event for event in index.of(order_id, "PaymentFailed") if event.at < answer.at]
            return bool(failed) and not paid and _is_over(failed[-1], answer)
        case "DISPUTED":
            return index.disputed(order_id)
        case _:
            return False


def answers_to_others(index: Index, asked: Asked) -> list[Event]:
    """Return the answers to other cancels of the order."""
    return [e for e in index.of(asked.order_id, CANCELLED, REFUSED) if e.fields["request_id"] != asked.request_id]


def _is_over(failed: Event, answer: Event) -> bool:
    until = failed.fields["retry_until"]
    return not failed.fields["retryable"] or (until is not None and until <= answer.fields["occurred_at"])


def _came_too_late(index: Index, asked: Asked) -> bool:
    paid = index.of(asked.order_id, PAID)
    return bool(paid) and asked.at - CLOCK_S * 10 > paid[0].occurred_s + index.case.window_s and _once(asked)


def _once(asked: Asked) -> bool:
    """Whether it was said once: a copy may have been acknowledged before the one that is known."""
    return len(asked.messages) == 1


def _check_order(index: Index, order_id: str) -> Iterator[Violation]:
    where, row = index.where(order_id), index.row(order_id)
    cancelled = index.of(order_id, CANCELLED)
    if len(cancelled) > 1:
        yield Violation("two answers", order_id, f"{len(cancelled)} times OrderCancelled", where)
    if cancelled:
        yield from _check_cancelled(index, order_id, cancelled[0])
    elif row.status == "cancelled":
        yield Violation("status", order_id, "the database says cancelled, and nobody was told", where)
    elif index.of(order_id, PAID) and row.status != "paid_and_confirmed":
        yield Violation("status", order_id, "its cancel was refused, and it is not paid any more", where)
    notices = [e for e in index.of(order_id, "CustomerNotificationRequested") if e.fields["kind"] == "CANCELLED"]
    if len(notices) != len(cancelled):
        yield Violation("told", order_id, f"the customer was told {len(notices)} times that it is cancelled", where)
    if cancelled and order_id in index.case.prepared & index.prepared:
        yield Violation("window", order_id, "its preparation had begun, and it is cancelled", where)
    if order_id in index.case.overtaken and not index.forgot(order_id):
        yield from _check_overtaken(index, order_id)


def _check_cancelled(index: Index, order_id: str, cancelled: Event) -> Iterator[Violation]:
    where = index.where(order_id)
    if index.row(order_id).status != "cancelled":
        yield Violation("status", order_id, "OrderCancelled was said, and the database says otherwise", where)
    for event in index.of(order_id, *FORWARD):
        if event.at > cancelled.at:
            yield Violation("after", order_id, f"{event.type} was said after OrderCancelled", where)
    captured = index.captured(order_id)
    for intent in index.intents.get(order_id, ()):
        if intent["status"] in {"requires_capture", "requires_action", "processing"}:
            yield Violation("money", order_id, f"cancelled, but its payment is {intent['status']}", where)
    # Money may also come after the cancel, and goes back then.
    claimed = cancelled.fields["money"]
    allowed = {"RETURNING", "RETURNED"} if captured and _back_before(index, order_id, cancelled) else {"NONE"}
    if captured and claimed in {"RETURNING", "NONE"} and not _back_before(index, order_id, cancelled):
        allowed = {claimed}
    if claimed not in allowed:
        yield Violation("told", order_id, f"OrderCancelled says {claimed}, captured were {captured}", where)
    order = index.case.orders[order_id]
    if (cancelled.fields["amount_minor"], cancelled.fields["currency"]) != (order.total_minor, order.currency):
        yield Violation("told", order_id, f"OrderCancelled says {cancelled.fields['amount_minor']}", where)


def _back_before(index: Index, order_id: str, cancelled: Event) -> bool:
    return any(event.at < cancelled.at for event in index.of(order_id, "PaymentRefunded"))


def _check_overtaken(index: Index, order_id: str) -> Iterator[Violation]:
    """Its cancel was there first: nothing was called, nothing else was said."""
    where = index.where(order_id)
    if intents := index.intents.get(order_id):
        yield Violation("overtaken", order_id, f"{len(intents)} payments were begun", where)
    others = {event.type for event in index.events.get(order_id, ())} - CALM
    if others:
        yield Violation("overtaken", order_id, f"also said: {sorted(others)}", where)
    if not index.of(order_id, CANCELLED):
        yield Violation("overtaken", order_id, "it is not cancelled", where)
