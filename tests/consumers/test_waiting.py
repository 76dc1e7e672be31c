"""What is not a message's fault is waited for: no dead letter, an alarm, and a process that still stops when told."""

import pytest
from structlog.testing import capture_logs

from consumers.order_confirmed import authorize_payment
from consumers.reactions import REACTIONS
from schemas.events import Event
from tests.consumers.conftest import MakePipeline
from tests.consumers.orders import order

pytestmark = pytest.mark.integration


async def test_newer_schema_on_a_topic_of_ours_waits_with_an_alarm_for_the_release_that_knows_it(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await make_pipeline()
    await pipeline.stock(SKU_1=10, SKU_2=10)
    older = await pipeline.join([authorize_payment], relay=False)
    await pipeline.publish(order())
    await pipeline.until_status("payment_authorized", "order-1")
    await older.leave()
    ((key, known),) = await pipeline.rows("SELECT key, body FROM event")
    await pipeline.rows("DELETE FROM outbox")
    newer = b"\xc3\x01newer...." + known[10:]
    await pipeline.publish_raw("PaymentAuthorized", key, newer)

    with capture_logs() as log:
        older = await pipeline.join()

        async def alarmed() -> bool:
            return any(line.get("alarm") and "newer than this release" in line.get("error", "") for line in log)

        await pipeline.until(alarmed, "an alarm")
        await older.leave()
    assert await pipeline.status("order-1") == "payment_authorized"
    assert await pipeline.value("SELECT count(*) FROM dead_letter") == 0

    def decode(event_type: str, key: bytes | None, value: bytes | None) -> Event:
        return pipeline.codec.decode(event_type, key, known if value == newer else value)

    await pipeline.join(REACTIONS, decode=decode)
    await pipeline.until_status("paid_and_confirmed", "order-1")
    await pipeline.until_quiet()
    assert await pipeline.effects("order-1") == ["authorize", "capture"]
