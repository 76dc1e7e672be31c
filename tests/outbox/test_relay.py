"""The relay sends every row at least once, per key in the order of ids, and one topic's trouble is not another's."""

import asyncio
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from domain.ports.publisher import Publisher
from outbox.driver.conninfo import connect_as
from outbox.driver.session import Session
from outbox.journal.waking import CHANNEL
from outbox.relay import Relay, run
from producers.kafka_publisher import KafkaPublisher
from tests.eventually import EVENTUALLY_S
from tests.outbox.migrated import database_template
from tests.outbox.relaying import (
    Notebook,
    Unlocked,
    append,
    append_together,
    connection,
    conninfo,
    left,
    making,
    running,
    until,
)
from tests.producers.reading import make_topic, read_all

__all__ = ["connection", "database_template"]
pytestmark = pytest.mark.integration


async def test_messages_are_sent_in_the_order_of_rows_and_ids_and_forgotten(
    database_url: str, connection: psycopg.AsyncConnection[Any]
) -> None:
    await append_together(connection, (4, "b", "m"), (5, "a", "m"))
    await append(connection, (1, "b", "k"), (2, "a", "l"), (3, "a", "k"))
    notebook = Notebook()
    assert await Relay(conninfo(database_url), making(notebook), batch=10).once() == 5
    assert notebook.sent == [4, 5, 1, 2, 3]
    assert await left(connection) == []


async def test_a_batch_is_of_whole_rows_with_as_many_messages_as_it_may_have_or_of_one(
    database_url: str, connection: psycopg.AsyncConnection[Any]
) -> None:
    await append(connection, (1, "a", "k"), (2, "a", "k"))
    await append_together(connection, (3, "a", "l"), (4, "a", "l"))
    await append_together(connection, (5, "a", "m"), (6, "a", "m"), (7, "a", "m"), (8, "a", "m"))
    await append(connection, (9, "a", "k"))
    notebook = Notebook()
    assert await Relay(conninfo(database_url), making(notebook), batch=3).once() == 9
    assert notebook.batches == [[1, 2], [3, 4], [5, 6, 7, 8], [9]]


async def test_what_is_refused_of_a_row_stays_in_it_alone(
    database_url: str, connection: psycopg.AsyncConnection[Any]
) -> None:
    await append_together(connection, (1, "good", "k"), (2, "bad", "k"), (3, "good", "l"))
    await append_together(connection, (4, "bad", "k"), (5, "bad", "l"))
    await append_together(connection, (6, "good", "k"), (7, "bad", "k"), (8, "good", "l"))
    notebook = Notebook(refuses=["bad"])
    relay = Relay(conninfo(database_url), making(notebook), batch=3)
    assert await relay.once() == 4
    assert notebook.batches == [[1, 2, 3], [6, 8]]
    assert await left(connection) == [2, 4, 5, 7]
    assert await relay.once() == 0
    notebook.refuses.clear()
    assert await Relay(conninfo(database_url), making(notebook), batch=3).once() == 4
    assert notebook.sent == [1, 3, 6, 8, 2, 4, 5, 7]
    assert await left(connection) == []


async def test_lower_id_that_commits_late_is_sent_all_the_same(
    database_url: str, connection: psycopg.AsyncConnection[Any]
) -> None:
    notebook = Notebook()
    relay = Relay(conninfo(database_url), making(notebook))
    async with await psycopg.AsyncConnection.connect(conninfo(database_url)) as late:
        await append(late, (1, "a", "k"))
        await append(connection, (2, "a", "l"))
        assert await relay.once() == 1
        await late.commit()
    assert await relay.once() == 1
    assert notebook.sent == [2, 1]
    assert await left(connection) == []


async def test_refusal_holds_the_rows_of_its_topic_with_an_alarm_and_others_go_on(
    database_url: str, connection: psycopg.AsyncConnection[Any]
) -> None:
    await append(connection, (1, "bad", "k"), (2, "good", "k"), (3, "bad", "l"), (4, "good", "l"))
    notebook = Notebook(refuses=["bad"])
    relay = Relay(conninfo(database_url), making(notebook), batch=2)
    with capture_logs() as log:
        assert await relay.once() == 2
    assert notebook.sent == [2, 4]
    assert await left(connection) == [1, 3]
    alarms = [(line["reason"], line["topic"]) for line in log if line.get("alarm")]
    assert alarms == [("produce_refused", "bad")]
    notebook.refuses.clear()
    assert await Relay(conninfo(database_url), making(notebook)).once() == 2
    assert notebook.sent == [2, 4, 1, 3]


async def test_produce_error_starts_again_from_the_lowest_row_with_a_new_producer(
    database_url: str, connection: psycopg.AsyncConnection[Any]
) -> None:
    await append(connection, *((n, "a", "k") for n in range(1, 6)))
    publishers = [Notebook(fails=1), Notebook()]
    made = iter(publishers)

    async def make() -> Publisher:
        return next(made)

    async def all_gone() -> bool:
        return await left(connection) == []

    async with running(Relay(conninfo(database_url), make)):
        await until(all_gone)
    assert [p.sent for p in publishers] == [[1], [1, 2, 3, 4, 5]]


async def test_only_one_relay_is_active_and_another_takes_over_when_it_ends(
    database_url: str, connection: psycopg.AsyncConnection[Any]
) -> None:
    first, second = Notebook(), Notebook()

    async def all_gone() -> bool:
        return await left(connection) == []

    async with running(Relay(conninfo(database_url), making(second), poll_s=0.05)):
        async with running(Relay(conninfo(database_url), making(first), poll_s=0.05)):
            await append(connection, (1, "a", "k"))
            await until(all_gone)
            assert await Relay(conninfo(database_url), making(Notebook())).once() == 0
        await append(connection, (2, "a", "k"))
        await until(all_gone)
    assert sorted(first.sent + second.sent) == [1, 2]


async def test_notification_wakes_the_relay_long_before_its_poll(
    database_url: str, connection: psycopg.AsyncConnection[Any]
) -> None:
    notebook = Notebook()

    async def sent() -> bool:
        return notebook.sent == [1]

    relay = Relay(conninfo(database_url), making(notebook), poll_s=600)
    listens = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%%outbox%%'"

    async def waits() -> bool:
        ((count,),) = await (await connection.execute(listens + " AND state = 'idle'", [])).fetchall()
        return bool(count)

    async with running(relay):
        await until(waits)
        await append(connection, (1, "a", "k"))
        await connection.execute(f"NOTIFY {CHANNEL}")
        await until(sent)


async def test_of_a_thousand_rows_the_one_that_the_broker_refuses_waits_and_the_alarm_names_it(
    database_url: str, connection: psycopg.AsyncConnection[Any], kafka_bootstrap: str, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}a.dlt"
    # A compacted topic takes no record without a key, and refuses the whole batch.
    await make_topic(kafka_bootstrap, topic, 2, cleanup_policy="compact")
    await append_together(connection, *((n, topic, f"order-{n % 50}") for n in range(1, 1_001)))
    await connection.execute("UPDATE event SET header_names = '{}', header_values = '{}', key = NULL WHERE id = 400")

    async def make() -> Publisher:
        publisher = KafkaPublisher({"bootstrap_servers": kafka_bootstrap})
        await publisher.start()
        return publisher

    with capture_logs() as log:
        assert await Relay(conninfo(database_url), make, prefix=topic_prefix).once() == 999
    assert await left(connection) == [400]
    told = [(line["reason"], line["topic"], line["message_id"], line["scope"]) for line in log if line.get("alarm")]
    assert told == [("produce_refused", topic, 400, "message")]
    found = [int(record.value) for record in await read_all(kafka_bootstrap, topic)]
    assert sorted(found) == [n for n in range(1, 1_001) if n != 400]


async def test_two_relays_that_both_think_they_are_alone_do_no_harm_but_duplicates(
    database_url: str, connection: psycopg.AsyncConnection[Any], kafka_bootstrap: str, topic_prefix: str
) -> None:
    topics = [f"{topic_prefix}a", f"{topic_prefix}b"]
    for topic in topics:
        await make_topic(kafka_bootstrap, topic, 2)
    rows = [(n, topics[n % 2], f"order-{n % 7}") for n in range(1, 301)]
    await append(connection, *rows)

    async def make() -> Publisher:
        publisher = KafkaPublisher({"bootstrap_servers": kafka_bootstrap})
        await publisher.start()
        return publisher

    relays = [Unlocked(conninfo(database_url), make, prefix=topic_prefix, batch=20) for _ in range(2)]
    await asyncio.gather(*(relay.once() for relay in relays))
    assert await left(connection) == []
    for topic in topics:
        first_seen: dict[bytes, list[int]] = {}
        for record in await read_all(kafka_bootstrap, topic):
            seen = first_seen.setdefault(record.key, [])
            if int(record.value) not in seen:
                seen.append(int(record.value))
        wanted: dict[bytes, list[int]] = {}
        for row_id, of_topic, key in rows:
            if of_topic == topic:
                wanted.setdefault(key.encode(), []).append(row_id)
        assert first_seen == wanted


async def test_a_relay_that_is_broken_off_before_it_has_begun_leaves_no_connection(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Session] = []
    setting_up = asyncio.Event()

    async def connecting(*place: Any, **how: Any) -> Session:
        made.append(await connect_as(*place, **how))
        return made[-1]

    async def hanging(_: psycopg.AsyncConnection[Any]) -> None:
        setting_up.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(run, "connect_as", connecting)
    monkeypatch.setattr(run, "_set_up", hanging)
    relaying = asyncio.ensure_future(Relay(conninfo(database_url), making(Notebook())).run(asyncio.Event()))
    await asyncio.wait_for(setting_up.wait(), EVENTUALLY_S)
    relaying.cancel()
    await asyncio.gather(relaying, return_exceptions=True)
    assert [each.closed for each in made] == [True]
