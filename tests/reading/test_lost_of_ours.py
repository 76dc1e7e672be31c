"""What this module published and no consumer could read is sent again: nobody else has it."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete
from structlog.testing import capture_logs

from consumers.reactions import BY_NAME, BY_TRIGGER
from deploy.auditing import run_audit
from deploy.passing import Wish, say_pass
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import Pipeline
from tests.consumers.orders import order
from tests.reading.test_topics import admin_of, delete_topic, make_topic
from tests.reading.world import alarms, rewind, segment, topic_of, until_rung

pytestmark = pytest.mark.integration

DECLINED = "pm_card_chargeDeclined"
OF_A_FAILED_ORDER = ("PaymentFailed", "CustomerNotificationRequested")
Loss = Callable[[Pipeline, Path, str], Awaitable[None]]


async def damaged(pipeline: Pipeline, data_dir: Path, event_type: str) -> None:
    bad = segment(pipeline, data_dir, 0, event_type)
    for batch in bad.batches():
        bad.flip(batch)


async def deleted(pipeline: Pipeline, _: Path, event_type: str) -> None:
    place = TopicPartition(topic_of(pipeline, event_type), 0)
    async with admin_of(pipeline) as admin:
        await admin.delete_records({place: RecordsToDelete(before_offset=1)})


@pytest.mark.parametrize("lose", [damaged, deleted])
async def test_last_events_of_an_order_that_were_lost_on_their_topics_are_sent_again(
    make_pipeline: MakePipeline, data_dir: Path, lose: Loss
) -> None:
    pipeline = await make_pipeline(topic_partitions=1)
    member = await pipeline.join(consume=[BY_NAME["authorize_payment"]])
    await pipeline.publish(order("failed", DECLINED))
    await pipeline.until_status("payment_failed", "failed")
    await pipeline.until(lambda: pipeline.has("SELECT 1 WHERE NOT EXISTS (SELECT FROM outbox)"), "sent")
    await member.leave()
    for event_type in OF_A_FAILED_ORDER:
        await rewind(pipeline, BY_TRIGGER[event_type], 0)
        await lose(pipeline, data_dir, event_type)
    with capture_logs() as log:
        await pipeline.join()
        if lose is damaged:
            await until_rung(pipeline, log, "unreadable", len(OF_A_FAILED_ORDER))
            for event_type in OF_A_FAILED_ORDER:
                await say_pass(pipeline.settings, Wish(event_type, 0, 0, 0, "a bad disk", "ada"))
        await pipeline.until(lambda: told(pipeline), "the customer is told")
        await pipeline.until_quiet()
    letters = [entry for entry in alarms(log, "unreadable") if "sent_again" in entry]
    assert {entry["topic"]: entry["sent_again"] for entry in letters} == {
        topic_of(pipeline, event_type): 1 for event_type in OF_A_FAILED_ORDER
    }
    report = await run_audit(pipeline.settings, topics=True, wait_s=20, ledger=pipeline.gateway)
    assert report.holds
    assert report.quiescent


async def test_what_was_not_read_of_a_topic_of_ours_that_was_made_anew_is_sent_again(
    make_pipeline: MakePipeline, data_dir: Path
) -> None:
    pipeline = await make_pipeline(topic_partitions=1)
    member = await pipeline.join(consume=[BY_NAME["authorize_payment"]])
    await pipeline.publish(order("lost", DECLINED))
    await pipeline.until_status("payment_failed", "lost")
    await pipeline.until(lambda: pipeline.has("SELECT 1 WHERE NOT EXISTS (SELECT FROM outbox)"), "sent")
    await member.leave()
    await damaged(pipeline, data_dir, "CustomerNotificationRequested")
    with capture_logs() as log:
        await pipeline.join()
        await until_rung(pipeline, log, "unreadable")
        await delete_topic(pipeline, "CustomerNotificationRequested")
        await make_topic(pipeline, event_type="CustomerNotificationRequested")
        await until_rung(pipeline, log, "topic_made_anew")
        await pipeline.until(lambda: told(pipeline), "the customer is told")
        await pipeline.until_quiet()


async def told(pipeline: Pipeline) -> bool:
    return bool(await pipeline.value("SELECT count(*) = 1 FROM notification"))


async def test_what_the_consumer_has_processed_is_not_sent_again(make_pipeline: MakePipeline, data_dir: Path) -> None:
    pipeline = await make_pipeline(topic_partitions=1)
    member = await pipeline.join()
    await pipeline.publish(order("processed", DECLINED))
    await pipeline.until_quiet()
    await member.leave()
    member = await pipeline.join(consume=[BY_NAME["authorize_payment"]])
    await pipeline.publish(order("lost", DECLINED))
    await pipeline.until_status("payment_failed", "lost")
    await pipeline.until(lambda: pipeline.has("SELECT 1 WHERE NOT EXISTS (SELECT FROM outbox)"), "sent")
    await member.leave()
    bad = segment(pipeline, data_dir, 0, "CustomerNotificationRequested")
    bad.flip(bad.at(1))
    with capture_logs() as log:
        await pipeline.join()
        await until_rung(pipeline, log, "unreadable")
        await say_pass(pipeline.settings, Wish("CustomerNotificationRequested", 0, 1, 1, "a bad disk", "ada"))
        await pipeline.until_quiet()
    assert [entry["sent_again"] for entry in alarms(log, "unreadable") if "sent_again" in entry] == [1]
    assert await pipeline.value("SELECT count(*) FROM notification") == 2
