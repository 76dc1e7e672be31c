"""What no client can read is one line of a replay's rejected.jsonl; everything else is in its files."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.reading.segments import Batch, Segment
from tests.replaying.deployment import Deployment, figures, ids, orders
from tests.replaying.test_folder import ids_of

pytestmark = pytest.mark.integration

DAMAGE: dict[str, Callable[[Segment, Batch], None]] = {
    "flipped bit": lambda s, b: s.flip(b),
    "zstd that is none": lambda s, b: s.name_codec(b, 4),
    "says that it lies elsewhere": lambda s, b: s.move(b, b.first + 100_000),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
async def test_a_batch_that_cannot_be_read_is_rejected_and_nothing_else_is_lost(
    kafka_bootstrap: str, data_dir: Path, topic_prefix: str, tmp_path: Path, damage: Callable[[Segment, Batch], None]
) -> None:
    here = Deployment(kafka_bootstrap, topic_prefix, tmp_path / "out")
    await here.make()
    for names in (("a-0", "a-1", "a-2"), ("bad-0", "b-1", "bad-2"), ("c-0", "c-1", "c-2")):
        await here.publish(orders(*names))
    segment = Segment(data_dir, here.topic, 0)
    bad = segment.at(2)
    damage(segment, bad)
    assert (bad.first, bad.last) == (2, 3)
    assert figures(await here.run()) == (7, 7, 0, 1, 2)
    (line,) = (json.loads(line) for line in (here.out / "rejected.jsonl").read_text().splitlines())
    assert (line["partition"], line["offset"], line["to_offset"], line["reason"]) == (0, 2, 3, "unreadable")
    assert ids_of(here.out, "jsonl") == ids(orders("a-0", "a-1", "a-2", "b-1", "c-0", "c-1", "c-2"))
    assert figures(await here.run()) == (0, 0, 0, 0, 0)
