"""Stretches of thousands of records: their end is found, and nothing that can be read is passed over with them."""

from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from structlog.testing import capture_logs

from deploy.failures import Failure
from deploy.passing import Wish, say_pass
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import Pipeline
from tests.consumers.orders import order
from tests.reading.segments import Batch, Segment
from tests.reading.world import AUTHORIZE, ORDERS, publish_batch, segment, topic_of, until_committed, until_rung

pytestmark = pytest.mark.integration

LONG = 3_000
"""More records than are tried one by one."""


async def publish_records(pipeline: Pipeline, count: int, size: int) -> int:
    """Publish a batch of so many records of so many bytes; return its first offset."""
    kafka = pipeline.settings.kafka_options()
    async with AIOKafkaProducer(acks="all", max_batch_size=1 << 20, **kafka) as producer:
        batch = producer.create_batch()
        for _ in range(count):
            assert batch.append(key=None, value=b"x" * size, timestamp=None) is not None
        return int((await (await producer.send_batch(batch, topic_of(pipeline), partition=0))).offset)


async def before_it(make_pipeline: MakePipeline, count: int, size: int) -> tuple[Pipeline, int, int]:
    pipeline = await make_pipeline(topic_partitions=1)
    await pipeline.stock(SKU_1=100, SKU_2=100)
    await publish_batch(pipeline, 0, [order("before")])
    first = await publish_records(pipeline, count, size)
    return pipeline, first, first + count - 1


async def passed(pipeline: Pipeline, log: Any, first: int, last: int) -> None:
    """Let a consumer come to it; have an operator say too much, and then what the alarm says."""
    await pipeline.join(consume=[AUTHORIZE])
    (alarm, *_) = await until_rung(pipeline, log, "unreadable")
    assert (alarm["offset"], alarm["to_offset"]) == (first, last)
    await until_committed(pipeline, {0: first})
    with pytest.raises(Failure, match=f"offset {last + 1} can be read"):
        await say_pass(pipeline.settings, Wish(ORDERS, 0, first, last + 1, "they are sent again", "ada"))
    await say_pass(pipeline.settings, Wish(ORDERS, 0, first, last, "they are sent again", "ada"))
    await pipeline.until_status("payment_authorized", "before", "behind")


async def test_end_of_a_batch_of_thousands_shows_however_large_the_next_one_is(
    make_pipeline: MakePipeline, data_dir: Path
) -> None:
    pipeline, first, last = await before_it(make_pipeline, LONG, 200)
    await publish_records(pipeline, 2, 400_000)
    await publish_batch(pipeline, 0, [order("behind")])
    bad = segment(pipeline, data_dir, 0)
    bad.flip(bad.at(first))
    with capture_logs() as log:
        await passed(pipeline, log, first, last)


async def test_end_of_a_batch_of_thousands_with_a_wrong_length_is_found(
    make_pipeline: MakePipeline, data_dir: Path
) -> None:
    pipeline, first, last = await before_it(make_pipeline, LONG, 20)
    await publish_batch(pipeline, 0, [order("behind")])
    bad = segment(pipeline, data_dir, 0)
    say_wrong_length(bad, bad.at(first))
    with capture_logs() as log:
        await passed(pipeline, log, first, last)


def say_wrong_length(bad: Segment, batch: Batch) -> None:
    bad.say_length(batch, batch.size + 100)


async def test_stretch_without_an_end_is_passed_over_up_to_the_last_message_there_is(
    make_pipeline: MakePipeline, data_dir: Path
) -> None:
    pipeline, first, last = await before_it(make_pipeline, 3, 20)
    bad = segment(pipeline, data_dir, 0)
    bad.say_length(bad.at(first), 0)
    with capture_logs() as log:
        await pipeline.join(consume=[AUTHORIZE])
        (alarm, *_) = await until_rung(pipeline, log, "unreadable")
        await until_committed(pipeline, {0: first})
        assert alarm["to_offset"] is None
        with pytest.raises(Failure, match=f"offset {last} cannot be read either: say --to {last} or more"):
            await say_pass(pipeline.settings, Wish(ORDERS, 0, first, last - 1, "they are sent again", "ada"))
        await say_pass(pipeline.settings, Wish(ORDERS, 0, first, last, "they are sent again", "ada"))
        await until_committed(pipeline, {0: last + 1})
    assert await pipeline.rows("SELECT message_offset, to_offset FROM dead_letter") == [(first, last)]
