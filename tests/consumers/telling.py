"""What the gateway tells unasked, made by tests: notices, disputes, and a shop with an order to tell about."""

from datetime import UTC, datetime
from typing import Any, Final

from domain.ids import OrderId
from domain.news import Dispute
from domain.notices import Notice
from tests.consumers.harness import Member, Pipeline, now
from tests.consumers.orders import order

TOTAL: Final = 3_080
OPENED_AT: Final = datetime(2026, 3, 2, tzinfo=UTC)


def told(number: int | str, name: str, intent_id: str, object_id: str = "dp_1", order_id: str | None = None) -> Notice:
    """Build a notice about an object without metadata of ours, unless it names an order."""
    return Notice(
        f"evt_{number}", name, now(), object_id, intent_id, None if order_id is None else OrderId(order_id), None
    )


def dispute(intent_id: str, status: str = "needs_response", *, withdrawn: bool = True, name: str = "dp_1") -> Dispute:
    return Dispute(name, intent_id, status, TOTAL, "EUR", "fraudulent", withdrawn, not withdrawn, OPENED_AT)


async def join(pipeline: Pipeline, **rules: Any) -> Member:
    return await pipeline.join(ports={"notices": pipeline.store().notices}, **rules)


async def paid(pipeline: Pipeline, order_id: str = "order-1") -> str:
    await pipeline.publish(order(order_id))
    await pipeline.until_status("paid_and_confirmed", order_id)
    return str(await pipeline.value("SELECT transaction_id FROM attempt WHERE order_id = %s", order_id))


async def story(pipeline: Pipeline, order_id: str = "order-1") -> list[str]:
    return (await pipeline.story(order_id))[3:]
