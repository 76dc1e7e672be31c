"""The ids that a run has committed, or found in files: exact, by day, and without reading the files again."""

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deploy.failures import Failure
from deploy.replay.known_ids import KnownIds
from tests.replaying.building import encoded, put, stretches
from tests.schemas import builders as b

TYPE = "OrderConfirmed"
DAY = (b.AT.date() - b.AT.date().replace(year=1970, month=1, day=1)).days


@pytest.fixture
def known(tmp_path: Path) -> Iterator[KnownIds]:
    with closing(KnownIds(tmp_path / "scratch")) as made:
        yield made


def drawn(count: int, seed: int) -> dict[bytes, int]:
    draw = random.Random(seed)
    return {draw.randbytes(16): draw.randrange(-(2**63), 2**63) for _ in range(count)}


def test_an_id_that_was_noted_is_found_with_its_hash_and_no_other(known: KnownIds) -> None:
    assert known.find(TYPE, DAY, [], {}) == {}
    pieces = [drawn(5_000, seed) for seed in range(4)]
    for piece in pieces:
        known.add(TYPE, DAY, piece)
    some = {event_id: hashed for piece in pieces for event_id, hashed in list(piece.items())[::50]}
    asked = dict.fromkeys(some, 0) | drawn(5_000, 9)
    assert known.find(TYPE, DAY, [], asked) == some


def test_ids_that_share_their_first_half_are_told_apart(known: KnownIds) -> None:
    known.find(TYPE, DAY, [], {})
    half, others = bytes(8), [bytes([n]) * 8 for n in range(200)]
    known.add(TYPE, DAY, {half + other: n for n, other in enumerate(others[:100])})
    assert known.find(TYPE, DAY, [], {half + other: 0 for other in others[50:]}) == {
        half + other: n for n, other in enumerate(others[:100]) if n >= 50
    }


def test_days_and_events_are_apart(known: KnownIds) -> None:
    known.find(TYPE, DAY, [], {})
    ids = drawn(10, 1)
    known.add(TYPE, DAY, ids)
    assert known.find(TYPE, DAY + 1, [], ids) == known.find("PaymentVoided", DAY, [], ids) == {}
    assert known.find(TYPE, DAY, [], ids) == ids


def test_files_of_earlier_runs_are_read_once_for_a_run(
    tmp_path: Path, known: KnownIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = [b.order_confirmed(order_id=f"o-{n}") for n in range(20)]
    put(tmp_path / "out", "parquet", *stretches(encoded(orders[:10])))
    put(tmp_path / "out", "parquet", *stretches(encoded(orders[10:]), begin=10))
    paths = sorted((tmp_path / "out").glob("topic=*/day=*/*.parquet"))
    hashes = [row["body_hash"] for path in paths for row in pq.read_table(path, partitioning=None).to_pylist()]
    opened: list[Path] = []

    def open_file(path: Path) -> Any:
        opened.append(path)
        return real(path)

    real = pq.ParquetFile
    monkeypatch.setattr(pq, "ParquetFile", open_file)
    asked = {event.event_id.bytes: 0 for event in orders} | drawn(100, 2)
    for _ in range(3):
        found = known.find(TYPE, DAY, paths, asked)
        assert found == {event.event_id.bytes: hashed for event, hashed in zip(orders, hashes, strict=True)}
    assert opened == paths


def test_files_that_were_joined_with_polars_are_searched_and_what_has_no_ids_is_named(tmp_path: Path) -> None:
    orders = encoded([b.order_confirmed(order_id=f"o-{n}") for n in range(20)])
    put(tmp_path, "parquet", *stretches(orders))
    (path,) = tmp_path.glob("topic=*/day=*/*.parquet")
    pl.read_parquet(path, hive_partitioning=False).write_parquet(path)
    assert pq.read_schema(path).field("event_id").type == pa.large_string()
    put(tmp_path, "parquet", *stretches(orders, begin=20))
    assert list(tmp_path.glob("topic=*/day=*/*.parquet")) == [path], "all of them came again"
    ours = pl.read_parquet(path, hive_partitioning=False)
    spoiled = [pl.lit("x"), pl.col("event_id").str.to_uppercase(), pl.lit(None), pl.col("kafka_offset"), pl.lit("")]
    for event_id in spoiled:
        ours.with_columns(event_id.alias("event_id")).write_parquet(path)
        with pytest.raises(Failure, match="has other ids"):
            put(tmp_path, "parquet", *stretches(orders, begin=40))
    for wrong in (b"", b"no Parquet at all"):
        path.write_bytes(wrong)
        with pytest.raises(Failure, match="has other ids"):
            put(tmp_path, "parquet", *stretches(orders, begin=40))


def test_what_was_noted_leaves_no_file_behind(tmp_path: Path) -> None:
    with closing(KnownIds(tmp_path)) as known:
        known.find(TYPE, DAY, [], {})
        known.add(TYPE, DAY, drawn(1_000, 1))
        assert list(tmp_path.iterdir()) == [], "a process that is killed leaves none either"
