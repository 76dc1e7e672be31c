"""What no client can read keeps its own partition only, until an operator passes over it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import Pipeline
from tests.consumers.orders import order
from tests.reading.segments import Batch, Segment
from tests.reading.world import committed, publish_batch, segment, topic_of, until_committed, until_rung

pytestmark = pytest.mark.integration

Damage = Callable[[Segment, Batch], None]
ENDED: dict[str, Damage] = {
    "flipped bit": lambda s, b: s.flip(b),
    "garbled with a new checksum": lambda s, b: s.garble(b),
    "a codec that nobody knows": lambda s, b: s.name_codec(b, 5),
    "lz4 that is none": lambda s, b: s.name_codec(b, 3),
    "zstd that is none": lambda s, b: s.name_codec(b, 4),
    "snappy that is none": lambda s, b: s.name_codec(b, 2),
    "gzip that is none": lambda s, b: s.name_codec(b, 1),
    "says that it lies elsewhere": lambda s, b: s.move(b, b.first + 100_000),
}
HIDING: dict[str, Damage] = {
    "too long": lambda s, b: s.say_length(b, b.size + 100),
    "far too long": lambda s, b: s.say_length(b, 0x7FFFFFFF),
    "too short": lambda s, b: s.say_length(b, b.size - 50),
    "no length": lambda s, b: s.say_length(b, 0),
    "less than none": lambda s, b: s.say_length(b, -40),
}
"""A batch with a wrong length hides those behind it, from every client, until the broker's index leads past it."""


async def make(make_pipeline: MakePipeline) -> Pipeline:
    pipeline = await make_pipeline(topic_partitions=2)
    await pipeline.stock(SKU_1=1_000, SKU_2=1_000)
    return pipeline


@pytest.mark.parametrize("damage", ENDED.values(), ids=ENDED.keys())
async def test_partition_stands_before_what_cannot_be_read_and_others_go_on(
    make_pipeline: MakePipeline, data_dir: Path, damage: Damage
) -> None:
    pipeline = await make(make_pipeline)
    await publish_batch(pipeline, 0, [order("before-1"), order("before-2")])
    first, last = await publish_batch(pipeline, 0, [order("lost-1"), order("lost-2"), order("lost-3")])
    await publish_batch(pipeline, 0, [order("behind")])
    await publish_batch(pipeline, 1, [order("elsewhere")])
    bad = segment(pipeline, data_dir, 0)
    damage(bad, bad.at(first))
    with capture_logs() as log:
        await pipeline.join()
        await pipeline.until_status("paid_and_confirmed", "before-1", "before-2", "elsewhere")
        (alarm, *_) = await until_rung(pipeline, log, "unreadable")
        await publish_batch(pipeline, 1, [order("later")])
        await pipeline.until_status("paid_and_confirmed", "later")
    place = {"topic": topic_of(pipeline), "partition": 0, "offset": first, "to_offset": last}
    assert {name: alarm[name] for name in place} == place
    assert alarm["cause"]
    await until_committed(pipeline, {0: first, 1: 2})
    assert (await committed(pipeline))[0] == first
    assert await pipeline.status("behind") is None
    assert await pipeline.dead_letters() == []


@pytest.mark.parametrize("damage", HIDING.values(), ids=HIDING.keys())
async def test_batch_of_wrong_length_keeps_its_own_partition_only(
    make_pipeline: MakePipeline, data_dir: Path, damage: Damage
) -> None:
    pipeline = await make(make_pipeline)
    await publish_batch(pipeline, 0, [order("before")])
    first, _ = await publish_batch(pipeline, 0, [order("lost-1"), order("lost-2")])
    await publish_batch(pipeline, 0, [order("behind")])
    bad = segment(pipeline, data_dir, 0)
    damage(bad, bad.at(first))
    with capture_logs() as log:
        await pipeline.join()
        await pipeline.until_status("paid_and_confirmed", "before")
        (alarm, *_) = await until_rung(pipeline, log, "unreadable")
        await publish_batch(pipeline, 1, [order("elsewhere")])
        await pipeline.until_status("paid_and_confirmed", "elsewhere")
    assert (alarm["partition"], alarm["offset"], alarm["to_offset"]) == (0, first, None)
    await until_committed(pipeline, {0: first, 1: 1})
    assert (await committed(pipeline))[0] == first
