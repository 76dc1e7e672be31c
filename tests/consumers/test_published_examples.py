"""The examples of the contract on real Kafka: upstream's are taken, and what follows is what the other examples say."""

from datetime import datetime
from typing import Any, Final

import pytest

from deploy.contract_pages.examples import (
    CANCELLED,
    DECLINED,
    MUG,
    PAID,
    TEA,
    examples,
    framed,
    headers_of_example,
    order_example,
)
from deploy.wiring import rules_of
from schemas.events import Event, OwnEvent
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import Pipeline, now

pytestmark = pytest.mark.integration

FOLLOWING: Final = (
    ("PaymentAuthorized", PAID),
    ("ItemsReserved", PAID),
    ("PaidAndConfirmed", PAID),
    ("PaymentRefunded", PAID),
    ("ItemsRestocked", PAID),
    ("PaymentFailed", DECLINED),
    ("CustomerNotificationRequested", DECLINED),
    ("OrderCancelled", CANCELLED),
)
"""Events of ours that the published examples lead to, and of which order."""
OF_THE_GATEWAY: Final = {"transaction_id", "refund_id"}


def said(event: Event) -> dict[str, Any]:
    """Return what an event says, its id and its cause included, without the times and what the gateway gives."""
    values = {name: value for name, value in dict(event).items() if name not in OF_THE_GATEWAY}
    return {name: value for name, value in values.items() if not isinstance(value, datetime)}


async def publish(pipeline: Pipeline, event: Event) -> None:
    """Publish an example as the pages show it: its bytes as a single object, its headers."""
    headers = [(name, value.encode()) for name, value in headers_of_example(event).items()]
    await pipeline.publish_raw(event.TYPE, event.subject.encode(), framed(event)[0], headers)


async def test_published_examples_are_taken_and_lead_to_the_other_examples(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline()
    at = now()
    shown = examples(at, rules_of(pipeline.settings))
    await pipeline.rows("INSERT INTO stock VALUES (%s, 10, 0, 0)", MUG)
    await pipeline.rows("INSERT INTO stock_adjustment (sku, delta, by) VALUES (%s, 10, 'test')", MUG)
    await pipeline.join()

    await publish(pipeline, shown["StockAdjusted"])
    await pipeline.until_taken()
    assert (await pipeline.shelf(TEA))[0] == 24

    await publish(pipeline, shown["OrderConfirmed"])
    await publish(pipeline, order_example(DECLINED, "pm_card_chargeDeclinedInsufficientFunds", at))
    await publish(pipeline, order_example(CANCELLED, "pm_card_visa", at))
    await pipeline.until_status("paid_and_confirmed", PAID, CANCELLED)
    await pipeline.until_status("payment_failed", DECLINED)

    # Their times are those of the story, hours later; a broker's clock would not let them pass yet.
    for event_type in ("PreparationStarted", "RefundRequested", "PaymentRetryRequested", "OrderCancelRequested"):
        await publish(pipeline, shown[event_type].model_copy(update={"occurred_at": at}))
    await pipeline.until_status("cancelled", CANCELLED)
    await pipeline.until_status("paid_and_confirmed", DECLINED)
    await pipeline.until_quiet()

    assert await pipeline.dead_letters() == []
    for event_type, order_id in FOLLOWING:
        example = shown[event_type]
        assert isinstance(example, OwnEvent)
        assert example.order_id == order_id
        found = [event for event in await pipeline.events(order_id, event_type) if said(event) == said(example)]
        assert len(found) == 1, f"{event_type} says {[said(e) for e in await pipeline.events(order_id, event_type)]}"
