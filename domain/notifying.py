"""The message to a customer, made from the event that requests it."""

from domain.case import Case
from domain.decision import Decision, Notification
from domain.ids import EventId, OrderId
from schemas.events import CustomerNotificationRequested


def notify(case: Case) -> Decision:
    """Turn the event into one message; stale if it is too old to be useful."""
    event, context = case.event_as(CustomerNotificationRequested), case.context
    age_s = (context.at - event.occurred_at).total_seconds()
    notification = Notification(
        key=EventId(event.event_id),
        order_id=OrderId(event.order_id),
        customer_id=event.customer_id,
        kind=str(event.kind),
        text=event.reason or "",
        occurred_at=event.occurred_at,
        stale=age_s > context.rules.notification_max_age_s,
    )
    return Decision(None, notifications=(notification,))
