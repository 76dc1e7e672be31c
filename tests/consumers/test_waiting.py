"""What is not a message's fault is waited for: no dead letter, an alarm, and a process that still stops when told."""

from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from consumers.order_confirmed import authorize_payment
from consumers.reactions import REACTIONS
from outbox.schema.partitions import day_of
from schemas.events import Event
from tests.consumers.claims import assert_all_is_well
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
    ((key, known),) = await pipeline.rows("SELECT convert_to(order_id, 'UTF8'), body FROM event")
    await pipeline.rows("DELETE FROM outbox")
    newer = b"\xc3\x01newer...." + known[10:]
    await pipeline.publish_raw("PaymentAuthorized", key, newer)

    with capture_logs() as log:
        older = await pipeline.join()

        async def alarmed() -> bool:
            return any(line.get("alarm") and line.get("reason") == "newer_schema" for line in log)

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


async def test_day_that_another_process_dropped_from_the_inbox_is_too_old_for_a_running_one(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await make_pipeline(order_max_age_s=80_000)
    await pipeline.stock(SKU_1=10, SKU_2=10)
    await pipeline.join(sweep=False)
    await pipeline.publish(order())
    await pipeline.until_status("paid_and_confirmed", "order-1")
    oldest = await pipeline.value(
        "SELECT min(inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'inbox'::regclass"
    )
    await pipeline.rows(f"DROP TABLE {oldest}")
    day = day_of(oldest)
    await pipeline.publish(order("order-2", occurred_at=datetime(day.year, day.month, day.day, 12, tzinfo=UTC)))
    await assert_all_is_well(pipeline)
    assert await pipeline.dead_letters() == [("payments.authorize_payment", "too_old")]


async def test_day_for_which_the_inbox_has_no_partition_yet_is_waited_for(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline()
    await pipeline.stock(SKU_1=10, SKU_2=10)
    ahead = await pipeline.rows(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'inbox'::regclass ORDER BY 1 DESC LIMIT 6"
    )
    for (name,) in ahead:
        await pipeline.rows(f"DROP TABLE {name}")
    with capture_logs() as log:
        await pipeline.join(sweep=False)
        await pipeline.publish(order())

        async def alarmed() -> bool:
            return any(line.get("alarm") and "partition" in line.get("error", "") for line in log)

        await pipeline.until(alarmed, "an alarm")
    store = pipeline.store()
    await store.maintain()
    await pipeline.until_status("paid_and_confirmed", "order-1")
    await assert_all_is_well(pipeline)
