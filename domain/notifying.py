"""Messages to a customer: the event that requests one, and the message made from it."""

from domain.case import Case
from domain.decision import Decision, Draft, Notification
from domain.ids import EventId, OrderId
from domain.order import Attempt, Order
from domain.outcome import Missing
from domain.rules import span
from schemas.events import CustomerNotificationRequested, MoneyState, NotificationKind


def draft_notice(order: Order, attempt: Attempt, kind: NotificationKind, text: str, money: MoneyState) -> Draft:
    """Draft the request of a message about an attempt that has not failed."""
    fields = {
        "customer_id": order.customer_id,
        "attempt": attempt.number,
        "kind": kind,
        "failure_code": None,
        "reason": text,
        "amount_minor": order.total_minor,
        "currency": order.currency,
        "money": money,
        "retryable": False,
        "retry_until": None,
        "missing": (),
    }
    return Draft(CustomerNotificationRequested, fields)


def notify(case: Case) -> Decision:
    """Turn the event into one message; stale if it is too old to be useful."""
    event, context = case.event_as(CustomerNotificationRequested), case.context
    # A time from the future, near the end of the calendar perhaps, does not make a message last longer.
    send_until = min(event.occurred_at, context.at) + span(context.rules.notification_max_age_s)
    notification = Notification(
        key=EventId(event.event_id),
        order_id=OrderId(event.order_id),
        customer_id=event.customer_id,
        kind=str(event.kind),
        text=event.reason or "",
        occurred_at=event.occurred_at,
        stale=context.at > send_until,
        send_until=send_until,
        failure_code=event.failure_code,
        amount_minor=event.amount_minor,
        currency=event.currency,
        money=str(event.money),
        retryable=event.retryable,
        retry_until=event.retry_until,
        missing=tuple([Missing(item.sku, item.requested, item.available) for item in event.missing]),
    )
    return Decision(None, notifications=(notification,))
