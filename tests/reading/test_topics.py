"""Topics change under the consumers: partitions added, a topic made anew, deleted, cut off at its beginning."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from structlog.testing import capture_logs

from deploy.auditing import run_audit
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import Pipeline
from tests.consumers.orders import order
from tests.reading.world import (
    AUTHORIZE,
    ORDERS,
    alarms,
    committed,
    publish_batch,
    topic_of,
    until_committed,
    until_rung,
)

pytestmark = pytest.mark.integration

SOON_S = 30.0


@asynccontextmanager
async def admin_of(pipeline: Pipeline) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**pipeline.settings.kafka_options())
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def make_topic(pipeline: Pipeline, partitions: int = 1, event_type: str = ORDERS) -> None:
    async with admin_of(pipeline) as admin:
        for _ in range(100):
            response = await admin.create_topics([NewTopic(topic_of(pipeline, event_type), partitions, 1)])
            if response.topic_errors[0][1] == 0:
                return
            await asyncio.sleep(0.1)
    raise AssertionError(response)


async def delete_topic(pipeline: Pipeline, event_type: str = ORDERS) -> None:
    async with admin_of(pipeline) as admin:
        await admin.delete_topics([topic_of(pipeline, event_type)])


async def made(make_pipeline: MakePipeline) -> Pipeline:
    pipeline = await make_pipeline(topic_partitions=1)
    await pipeline.stock(SKU_1=1_000, SKU_2=1_000)
    return pipeline


async def until_paid(pipeline: Pipeline, *order_ids: str) -> None:
    async def paid() -> bool:
        query = "SELECT count(*) FROM orders WHERE order_id = ANY(%s) AND status = 'paid_and_confirmed'"
        return int(await pipeline.value(query, list(order_ids))) == len(order_ids)

    await pipeline.until(paid, f"{order_ids} paid", timeout_s=SOON_S)


async def test_partitions_that_are_added_are_read_within_half_a_minute(make_pipeline: MakePipeline) -> None:
    pipeline = await made(make_pipeline)
    await pipeline.join()
    await publish_batch(pipeline, 0, [order("before")])
    await pipeline.until_status("paid_and_confirmed", "before")
    async with admin_of(pipeline) as admin:
        await admin.create_partitions({topic_of(pipeline): NewPartitions(3)})
    await publish_batch(pipeline, 1, [order("first")])
    await publish_batch(pipeline, 2, [order("second")])
    await until_paid(pipeline, "first", "second")


@pytest.mark.parametrize("more", [0, 3], ids=["shorter than before", "longer than before"])
async def test_topic_made_anew_is_read_from_its_beginning(make_pipeline: MakePipeline, more: int) -> None:
    pipeline = await made(make_pipeline)
    with capture_logs() as log:
        await pipeline.join()
        await publish_batch(pipeline, 0, [order("old-1"), order("old-2")])
        await publish_batch(pipeline, 0, [order("old-3")])
        await pipeline.publish_raw("OrderConfirmed", b"x", b"garbage")
        await until_committed(pipeline, {0: 4})
        await delete_topic(pipeline)
        await make_topic(pipeline)
        new = [f"new-{n}" for n in range(2 + more)]
        await publish_batch(pipeline, 0, [order(order_id) for order_id in new])
        await until_paid(pipeline, *new)
        await publish_batch(pipeline, 0, [order("later")])
        await until_paid(pipeline, "later")
        await until_committed(pipeline, {0: len(new) + 1})
    assert (await committed(pipeline))[0] == len(new) + 1
    assert alarms(log, "consumer_stalled") == []


async def test_letters_at_the_same_place_of_a_topic_made_anew_are_both_kept(make_pipeline: MakePipeline) -> None:
    pipeline = await made(make_pipeline)
    await pipeline.join()
    await pipeline.publish_raw("OrderConfirmed", b"x", b"garbage")
    await until_committed(pipeline, {0: 1})
    await delete_topic(pipeline)
    await make_topic(pipeline)
    await pipeline.publish_raw("OrderConfirmed", b"x", b"other garbage")

    async def both() -> bool:
        return bool(await pipeline.value("SELECT count(*) = 2 FROM dead_letter"))

    await pipeline.until(both, "two letters", timeout_s=SOON_S)
    await pipeline.until_quiet()
    rows = await pipeline.rows("SELECT partition, message_offset, body FROM dead_letter ORDER BY id")
    assert rows == [(0, 0, b"garbage"), (0, 0, b"other garbage")]
    copies = await pipeline.topics("OrderConfirmed", dead_letters=True)
    assert [copy.value for copy in copies] == [b"garbage", b"other garbage"]


async def test_topic_that_was_made_anew_while_nobody_read_is_read_from_its_beginning(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await made(make_pipeline)
    member = await pipeline.join()
    await publish_batch(pipeline, 0, [order("old-1"), order("old-2")])
    await until_committed(pipeline, {0: 2})
    await member.leave()
    await delete_topic(pipeline)
    await make_topic(pipeline)
    new = [f"new-{n}" for n in range(4)]
    await publish_batch(pipeline, 0, [order(order_id) for order_id in new])
    await pipeline.join()
    await until_paid(pipeline, *new)


async def test_topic_that_is_deleted_is_an_alarm_and_others_go_on(make_pipeline: MakePipeline) -> None:
    pipeline = await made(make_pipeline)
    with capture_logs() as log:
        await pipeline.join()
        await publish_batch(pipeline, 0, [order("before", token="pm_card_chargeDeclined")])
        await pipeline.until_status("payment_failed", "before")
        await delete_topic(pipeline)

        async def rung() -> bool:
            return bool(alarms(log, "topic_missing"))

        await pipeline.until(rung, "alarm topic_missing", timeout_s=SOON_S)
        from tests.consumers.orders import retry

        await pipeline.publish(retry("before"))
        await pipeline.until_status("paid_and_confirmed", "before")
        (alarm,) = alarms(log, "topic_missing")
        assert alarm["topic"] == topic_of(pipeline)
        await make_topic(pipeline)
        await publish_batch(pipeline, 0, [order("again")])
        await until_paid(pipeline, "again")


async def test_messages_that_were_deleted_unread_are_an_alarm_and_a_dead_letter(make_pipeline: MakePipeline) -> None:
    pipeline = await made(make_pipeline)
    member = await pipeline.join()
    await publish_batch(pipeline, 0, [order("before")])
    await until_committed(pipeline, {0: 1})
    await member.leave()
    await publish_batch(pipeline, 0, [order("lost-1"), order("lost-2")])
    await publish_batch(pipeline, 0, [order("behind")])
    async with admin_of(pipeline) as admin:
        await admin.delete_records({TopicPartition(topic_of(pipeline), 0): RecordsToDelete(before_offset=3)})
    with capture_logs() as log:
        await pipeline.join()
        await pipeline.until_status("paid_and_confirmed", "behind")
        (alarm,) = await until_rung(pipeline, log, "messages_lost")
        (letter,) = await until_rung(pipeline, log, "unreadable")
    assert (alarm["topic"], alarm["partition"], alarm["offset"], alarm["to_offset"]) == (topic_of(pipeline), 0, 1, 2)
    assert (letter["offset"], letter["to_offset"]) == (1, 2)
    ((group, reason, first, last),) = await pipeline.rows(
        "SELECT consumer_group, reason, message_offset, to_offset FROM dead_letter"
    )
    assert (group, reason, first, last) == (AUTHORIZE.group, "unreadable", 1, 2)
    await pipeline.until_quiet()
    report = await run_audit(pipeline.settings, topics=True, wait_s=20, ledger=pipeline.gateway)
    assert report.holds
