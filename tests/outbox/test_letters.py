"""The copy of a dead letter fits on its topic whatever its original carried; the table keeps everything."""

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import psycopg
import pytest

from domain.dead_letter import DeadLetter
from domain.ports.publisher import Publisher
from domain.ports.store import Changes
from outbox.journal.letters import COPY_BYTES_MAX, FIRST_OF_OURS, Header, cut_copy, recut_copy
from outbox.journal.rows import dead_letter_row, letter_id
from outbox.relay import Relay
from outbox.store import PostgresStore
from outbox.store.statements import INSERT_LETTER
from producers.kafka_publisher import KafkaPublisher
from producers.topics import create_topics
from schemas.rejection import Reason
from tests.outbox.migrated import database_template, store
from tests.producers.reading import read_all

__all__ = ["database_template", "store"]

AT = datetime(2026, 3, 1, tzinfo=UTC)
OURS: list[Header] = [(FIRST_OF_OURS, b"topic"), ("payments_reason", b"undecodable")]
BIG = b"x" * 2_000_000
SHAPES: dict[str, tuple[bytes | None, bytes | None, list[Header]]] = {
    "one header of 2 MB": (b"key", b"body", [("big", BIG), ("traceparent", b"00")]),
    "headers of 1.5 MB": (b"key", b"body", [(f"h{n}", b"x" * 1_500) for n in range(1_000)]),
    "a name of 2 MB": (b"key", b"body", [("n" * 2_000_000, b"")]),
    "100,000 empty headers": (b"key", b"body", [("", b"")] * 100_000),
    "100,000 headers without a value": (b"key", b"body", [("", None)] * 100_000),
    "a key of 2 MB": (BIG, b"body", []),
    "a body of 2 MB": (b"key", BIG, []),
    "everything": (BIG, BIG, [("big", BIG), *((f"h{n}", b"x" * 1_500) for n in range(1_000))]),
}


def size(key: bytes | None, body: bytes | None, headers: list[Header]) -> int:
    return len(key or b"") + len(body or b"") + sum(len(n.encode()) + len(v or b"") + 8 for n, v in headers)


def letter(topic: str, headers: list[Header], key: bytes | None = b"key", offset: int = 7) -> DeadLetter:
    original = tuple((name, value or b"") for name, value in headers)
    return DeadLetter("group", topic, 0, offset, 0, key, b"body", original, False, Reason.UNDECODABLE, "no event")


@pytest.mark.parametrize("shape", SHAPES)
def test_a_copy_is_small_and_says_what_was_cut(shape: str) -> None:
    key, body, headers = SHAPES[shape]
    copy = cut_copy(key, body, headers, OURS)
    assert size(*copy) <= COPY_BYTES_MAX
    said = dict(copy.headers)
    assert said.items() >= dict(OURS).items()
    if copy.body != body:
        assert (said["payments_length"], copy.body) == (b"2000000", BIG[:65_536])
        assert said["payments_sha256"] == hashlib.sha256(BIG).hexdigest().encode()
    if copy.key != key:
        assert (said["payments_key_length"], copy.key) == (b"2000000", BIG[:4_096])
        assert said["payments_key_sha256"] == hashlib.sha256(BIG).hexdigest().encode()
    kept = [header for header in copy.headers if header in headers]
    assert int(said.get("payments_headers_left_out") or b"0") == len(headers) - len(kept)
    assert (len(kept) < len(headers)) == ("payments_headers_sha256" in said)


def test_small_headers_beside_a_large_one_are_kept_in_their_order() -> None:
    copy = cut_copy(b"key", b"body", [("a", b"1"), ("big", BIG), ("b", None)], OURS)
    assert copy.headers[:2] == [("a", b"1"), ("b", None)]
    assert dict(copy.headers)["payments_headers_left_out"] == b"1"


def test_a_letter_within_the_bounds_is_copied_as_it_is() -> None:
    headers: list[Header] = [("a", b"1"), ("empty", b""), ("none", None)]
    assert cut_copy(b"k" * 4_096, b"b" * 65_536, headers, OURS) == (b"k" * 4_096, b"b" * 65_536, [*headers, *OURS])


@pytest.mark.parametrize("shape", SHAPES)
def test_what_an_older_release_wrote_uncut_is_cut_and_a_cut_copy_stays_as_it_is(shape: str) -> None:
    key, body, headers = SHAPES[shape]
    # The original may have been a dead letter itself.
    original: list[Header] = [*headers, *OURS]
    once = recut_copy(key, body, [*original, *OURS])
    assert size(*once) <= COPY_BYTES_MAX
    assert once == cut_copy(key, body, original, OURS)
    assert recut_copy(*once) == once


def test_different_headers_have_different_hashes() -> None:
    others: list[list[Header]] = [
        [("ab", BIG)],
        [("a", b"b" + BIG)],
        [("a", b""), ("b", BIG)],
        [("a", None), ("b", BIG)],
    ]
    hashes = {dict(cut_copy(None, None, headers, []).headers)["payments_headers_sha256"] for headers in others}
    assert len(hashes) == len(others)


@pytest.fixture
async def topic(kafka_bootstrap: str, topic_prefix: str) -> str:
    """Make the topic of the copies as we make topics."""
    name = f"{topic_prefix}OrderConfirmed"
    await create_topics(
        {"bootstrap_servers": kafka_bootstrap},
        [f"{name}.dlt"],
        partitions=1,
        replication_factor=1,
        event_bytes_max=1_000_000,
    )
    return name


@pytest.fixture
def relay(database_url: str, kafka_bootstrap: str, topic_prefix: str) -> Relay:
    async def make() -> Publisher:
        publisher = KafkaPublisher({"bootstrap_servers": kafka_bootstrap})
        await publisher.start()
        return publisher

    return Relay(database_url.replace("+psycopg", ""), make, prefix=topic_prefix)


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[psycopg.AsyncConnection[tuple[object, ...]]]:
    url = database_url.replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as opened:
        yield opened


@pytest.mark.integration
@pytest.mark.parametrize("shape", ["headers of 1.5 MB", "one header of 2 MB", "100,000 empty headers", "a key of 2 MB"])
async def test_a_dead_letter_of_any_size_is_sent_and_kept_whole(
    store: PostgresStore,
    relay: Relay,
    connection: psycopg.AsyncConnection[tuple[object, ...]],
    kafka_bootstrap: str,
    topic: str,
    shape: str,
) -> None:
    key, _, headers = SHAPES[shape]
    async with store.transaction() as transaction:
        await transaction.save(Changes(dead_letters=[letter(topic, headers, key)]))
    assert await relay.once() == 1
    (copy,) = await read_all(kafka_bootstrap, f"{topic}.dlt")
    said = dict(copy.headers)
    assert said["kafka_dlt-original-offset"] == (7).to_bytes(8, "big")
    assert "payments_headers_sha256" in said or "payments_key_sha256" in said
    whole = (
        "SELECT key, cardinality(header_names), (SELECT sum(length(v)) FROM unnest(header_values) v) FROM dead_letter"
    )
    kept = await (await connection.execute(whole)).fetchall()
    assert kept == [(key, len(headers), sum(len(v or b"") for _, v in headers) if headers else None)]


@pytest.mark.integration
async def test_a_letter_that_an_older_release_left_held_is_sent(
    relay: Relay, connection: psycopg.AsyncConnection[tuple[object, ...]], kafka_bootstrap: str, topic: str
) -> None:
    _, _, headers = SHAPES["headers of 1.5 MB"]
    row = list(dead_letter_row(1, letter(topic, []), AT))
    ours = list(zip(row[8], row[9], strict=True))
    names, values = zip(*headers, *ours, strict=True)
    await connection.execute(INSERT_LETTER, [*row[:8], list(names), list(values), *row[10:]])
    await connection.execute("INSERT INTO outbox (event_ids) VALUES ('{1}')")
    assert await relay.once() == 1
    (copy,) = await read_all(kafka_bootstrap, f"{topic}.dlt")
    said = dict(copy.headers)
    assert said.items() >= dict(ours).items()
    assert int(said["payments_headers_left_out"]) > 0
    assert row[1] == letter_id("group", topic, 0, 7, said["payments_origin"].decode())


@pytest.mark.integration
async def test_a_header_without_a_value_is_sent_as_it_came(
    relay: Relay, connection: psycopg.AsyncConnection[tuple[object, ...]], kafka_bootstrap: str, topic: str
) -> None:
    row = list(dead_letter_row(1, letter(topic, []), AT))
    await connection.execute(INSERT_LETTER, [*row[:8], ["ce_id", *row[8]], [None, *row[9]], *row[10:]])
    await connection.execute("INSERT INTO outbox (event_ids) VALUES ('{1}')")
    assert await relay.once() == 1
    (copy,) = await read_all(kafka_bootstrap, f"{topic}.dlt")
    assert copy.headers[0] == ("ce_id", None)
