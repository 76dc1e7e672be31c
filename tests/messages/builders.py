"""Messages with defaults, and a directory that lives in the test."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from domain.decision import Notification
from domain.errors import Transient
from domain.ids import EventId, OrderId
from domain.messages import Message
from domain.ports.messages import Customer
from domain.values import replace

AT = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
KEY = EventId(UUID("5f0f8e0c-6b1c-5a57-9a5c-0d5c0a7e1b11"))
EMAIL = "ada@customers.example"


def notification(**overrides: Any) -> Notification:
    made = Notification(
        key=KEY,
        order_id=OrderId("order-1"),
        customer_id="customer-1",
        kind="PAYMENT_FAILED",
        text="This card has expired. Please try another payment method.",
        occurred_at=AT,
        send_until=AT + timedelta(days=1),
        failure_code="card_expired",
        amount_minor=3_080,
        currency="EUR",
        money="NONE",
        retryable=True,
        retry_until=AT + timedelta(days=1),
    )
    return replace(made, **overrides)


def message(tries: int = 0, **overrides: Any) -> Message:
    made = notification(**overrides)
    return Message(made, tries, AT + timedelta(seconds=60), made.send_until or AT, AT)


class Known:
    """A directory: these customers, and everybody else has no address. down: why it cannot say."""

    def __init__(self, customers: dict[str, Customer] | None = None, down: str | None = None) -> None:
        self.customers = {"customer-1": Customer(EMAIL)} if customers is None else customers
        self.down = down

    async def customer(self, customer_id: str) -> Customer | None:
        if self.down is not None:
            raise Transient(self.down)
        return self.customers.get(customer_id)

    async def close(self) -> None:
        pass
