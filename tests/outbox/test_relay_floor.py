"""Reads of the outbox begin behind what was sent, and no row is passed over, whoever brings it however late."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import psycopg
import pytest
from structlog.testing import capture_logs

from domain.ports.publisher import always
from outbox.driver.session import Session
from outbox.relay import Relay
from outbox.relay.floor import Floor
from outbox.relay.held import HeldFilter
from outbox.relay.reading import LOWEST, MESSAGE_ID, forget, read
from outbox.relay.sending import Sending
from tests.outbox.migrated import database_template
from tests.outbox.relaying import Notebook, append, append_together, connection, conninfo, left, making, running, until

__all__ = ["connection", "database_template"]
pytestmark = pytest.mark.integration

NOTHING = HeldFilter([], [], [], [])
BATCH = 1_000


@asynccontextmanager
async def another(url: str) -> AsyncIterator[Session]:
    """Connect once more; a transaction begins with the first statement."""
    async with await Session.connect(conninfo(url)) as opened:
        yield opened


def eager(*, check_s: float = 1e9) -> Floor:
    """Return a floor that tries to rise at each call, and looks below itself after so long."""
    return Floor(0.0, rise_s=0.0, check_s=check_s)


async def send_all(connection: Session, floor: Floor, now: float = 1.0) -> list[int]:
    """Read from the floor until nothing is left, and forget it, as the relay does; return the messages."""
    sent: list[int] = []
    while True:
        await floor.raise_if_due(connection, now)
        rows = await read(connection, BATCH, NOTHING, floor.first)
        floor.note_read(rows)
        if not rows:
            return sent
        ids = [row[MESSAGE_ID] for row in rows]
        await forget(connection, rows, ids, whole=True)
        sent += ids


async def ids_of_rows(connection: Session) -> list[int]:
    return [row[0] for row in await (await connection.execute("SELECT id FROM outbox ORDER BY id")).fetchall()]


async def draw(connection: Session) -> int:
    """Draw the id of a row as an insert does, which locks the table first; the transaction goes on."""
    await connection.execute("LOCK TABLE outbox IN ROW EXCLUSIVE MODE")
    ((drawn,),) = await (await connection.execute("SELECT nextval('outbox_id_seq')")).fetchall()
    return int(drawn)


async def test_the_floor_rises_behind_what_is_gone(connection: Session) -> None:
    await append(connection, *((n, "a", "k") for n in range(1, 6)))
    last = (await ids_of_rows(connection))[-1]
    floor = eager()
    assert floor.first == LOWEST
    assert await send_all(connection, floor) == [1, 2, 3, 4, 5]
    await floor.raise_if_due(connection, 1.0)
    assert floor.first == last + 1
    await append(connection, (6, "a", "k"))
    assert await send_all(connection, floor) == [6]


async def test_a_row_that_was_read_and_not_sent_stays_above_the_floor(connection: Session) -> None:
    await append(connection, (1, "a", "k"), (2, "a", "k"), (3, "a", "k"))
    ids = await ids_of_rows(connection)
    floor = eager()
    rows = await read(connection, BATCH, NOTHING, floor.first)
    floor.note_read(rows)
    await forget(connection, [rows[0], rows[2]], [1, 3], whole=True)
    for _ in range(3):
        await floor.raise_if_due(connection, 1.0)
    assert floor.first == ids[1]
    assert await send_all(connection, floor) == [2]
    await floor.raise_if_due(connection, 1.0)
    assert floor.first == ids[2] + 1


async def test_an_open_transaction_with_a_lower_id_keeps_the_floor_below_it(
    database_url: str, connection: Session
) -> None:
    floor = eager()
    async with another(database_url) as late:
        await append(late, (1, "a", "k"))
        await append(connection, (2, "a", "l"))
        assert await send_all(connection, floor) == [2]
        for _ in range(3):
            await floor.raise_if_due(connection, 1.0)
        assert floor.first == LOWEST
        await late.commit()
    assert await send_all(connection, floor) == [1]
    await floor.raise_if_due(connection, 1.0)
    await floor.raise_if_due(connection, 1.0)
    assert floor.first > LOWEST


async def test_a_lower_id_that_was_drawn_by_a_transaction_without_an_id_of_its_own_is_waited_for(
    database_url: str, connection: Session
) -> None:
    floor = eager()
    async with another(database_url) as late:
        await draw(late)  # the sequence writes its log for many ids at once: this one may get a transaction id
        await late.rollback()
        drawn = await draw(late)
        ((own,),) = await (await late.execute("SELECT pg_current_xact_id_if_assigned()::text")).fetchall()
        assert own is None
        await append(connection, (2, "a", "l"))
        assert await send_all(connection, floor) == [2]
        for _ in range(3):
            await floor.raise_if_due(connection, 1.0)
        await append_together(late, (1, "a", "k"))
        await late.execute("UPDATE outbox SET id = %s WHERE event_ids = '{1}'", [drawn])
        await late.commit()
    assert await send_all(connection, floor) == [1]


async def test_who_begins_later_does_not_keep_the_floor_down(database_url: str, connection: Session) -> None:
    await append(connection, (1, "a", "k"))
    last = (await ids_of_rows(connection))[-1]
    floor = eager()
    assert await send_all(connection, floor) == [1]
    async with another(database_url) as later:
        await append(later, (2, "a", "k"))
        await floor.raise_if_due(connection, 1.0)
        assert floor.first == last + 1
        await later.commit()
    assert await send_all(connection, floor) == [2]


async def test_rows_that_a_person_puts_below_the_floor_are_found(connection: Session) -> None:
    await append(connection, (1, "a", "k"), (2, "a", "k"), (3, "a", "k"))
    low = (await ids_of_rows(connection))[0]
    floor = eager(check_s=60.0)
    assert await send_all(connection, floor) == [1, 2, 3]
    await floor.raise_if_due(connection, 1.0)
    assert floor.first > low
    await append(connection, (4, "a", "k"))
    await connection.execute("UPDATE outbox SET id = %s", [low])
    assert await send_all(connection, floor, 59.0) == []
    with capture_logs() as log:
        assert await send_all(connection, floor, 61.0) == [4]
    assert [line["log_level"] for line in log] == ["warning"]


async def test_after_a_reset_of_the_sequence_rows_wait_once_and_never_again(connection: Session) -> None:
    await append(connection, (1, "a", "k"), (2, "a", "k"), (3, "a", "k"))
    floor = eager(check_s=60.0)
    assert await send_all(connection, floor) == [1, 2, 3]
    assert await send_all(connection, floor) == []
    await connection.execute("TRUNCATE outbox RESTART IDENTITY")
    await append(connection, (4, "a", "k"))
    assert await send_all(connection, floor, 61.0) == [4]
    for _ in range(3):
        assert await send_all(connection, floor, 62.0) == []
    await append(connection, (5, "a", "k"))
    assert await send_all(connection, floor, 63.0) == [5]


async def test_after_a_reset_of_the_sequence_a_row_from_before_that_stays_keeps_no_other_waiting(
    connection: Session,
) -> None:
    await append(connection, (1, "a", "k"), (2, "a", "k"), (3, "a", "k"))
    floor = eager(check_s=60.0)
    for _ in range(3):
        await floor.raise_if_due(connection, 1.0)
        rows = await read(connection, BATCH, NOTHING, floor.first)
        floor.note_read(rows)
        await forget(connection, rows, [1, 2], whole=True)  # the third is held
    await connection.execute("SELECT setval('outbox_id_seq', 1, false)")
    await append(connection, (4, "a", "k"))
    await floor.raise_if_due(connection, 61.0)
    rows = await read(connection, BATCH, NOTHING, floor.first)
    assert [row[MESSAGE_ID] for row in rows] == [4, 3]
    await forget(connection, rows, [4], whole=False)
    floor.note_read(rows)
    for _ in range(3):
        await floor.raise_if_due(connection, 62.0)
    await append(connection, (5, "a", "k"))
    assert await send_all(connection, floor, 63.0) == [5, 3]


@pytest.mark.parametrize("change", ["CACHE 10", "INCREMENT -1 MINVALUE -1000"])
async def test_where_ids_are_not_drawn_in_their_order_there_is_no_floor(
    database_url: str, connection: Session, change: str
) -> None:
    await connection.execute(f"ALTER SEQUENCE outbox_id_seq {change}")
    floor = eager()
    async with another(database_url) as first:
        await append(first, (1, "a", "k"))
        await first.commit()
        await append(connection, (2, "a", "k"))
        with capture_logs() as log:
            assert sorted(await send_all(connection, floor)) == [1, 2]
            assert await send_all(connection, floor) == []
            assert await send_all(connection, floor) == []
        await append(first, (3, "a", "k"))
        await first.commit()
    assert await send_all(connection, floor) == [3]
    assert floor.first == LOWEST
    assert [line["log_level"] for line in log] == ["warning"]


async def test_a_relay_that_may_not_see_locks_sends_without_a_floor(connection: Session) -> None:
    # Only a superuser could take that right away. Here the name means a view that answers as if it were gone.
    await connection.execute("""
        CREATE FUNCTION refuse() RETURNS SETOF pg_catalog.pg_locks LANGUAGE plpgsql AS
        $$ BEGIN RAISE insufficient_privilege USING MESSAGE = 'permission denied for view pg_locks'; END $$""")
    await connection.execute("CREATE VIEW pg_locks AS SELECT * FROM refuse()")
    await connection.execute("SET search_path = public, pg_catalog")
    sending, notebook = Sending("", BATCH, 20), Notebook()
    await sending.begin(connection)
    sending._floor = eager()
    await append(connection, (1, "a", "k"), (2, "a", "k"))
    with capture_logs() as log:
        while await sending.send_batch(connection, notebook, always):
            pass
        for _ in range(3):
            assert not await sending.send_batch(connection, notebook, always)
    assert notebook.sent == [1, 2]
    assert [(line["log_level"], line["why"]) for line in log] == [("warning", "permission denied for view pg_locks")]


async def test_reads_do_not_walk_over_what_was_sent_while_a_snapshot_is_held(
    database_url: str, connection: Session
) -> None:
    floor = eager()
    async with another(database_url) as dump:
        await dump.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        await dump.execute("SELECT count(*) FROM outbox")
        await append_many(connection, 5_000)
        assert len(await send_all(connection, floor)) == 5_000
        await append(connection, (6_000, "a", "k"))
        await floor.raise_if_due(connection, 1.0)
        walked = await pages_of_read(connection, LOWEST)
        assert await pages_of_read(connection, floor.first) < walked / 10
        assert await send_all(connection, floor) == [6_000]
        await dump.rollback()


async def append_many(connection: Session, count: int) -> None:
    """Write so many events, from id 1 on, as units of work do that have one each."""
    await connection.execute(
        """INSERT INTO event (id, event_id, order_id, order_version, ordinal, topic, body, occurred_at)
           OVERRIDING SYSTEM VALUE
           SELECT n, gen_random_uuid(), 'k', n, 0, 'a', '', now() FROM generate_series(1, %s) n""",
        [count],
    )
    await connection.execute("INSERT INTO outbox (event_ids) SELECT ARRAY[n] FROM generate_series(1, %s) n", [count])


async def pages_of_read(connection: Session, first: int) -> int:
    """Return how many pages the outbox is read from, by a read that begins there."""
    await connection.execute("SET enable_seqscan = off")
    count = """SELECT heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit
                 FROM pg_statio_user_tables WHERE relname = 'outbox'"""
    pages = []
    for _ in range(2):
        await connection.execute("SELECT pg_stat_force_next_flush()")
        await connection.execute("SELECT pg_stat_clear_snapshot()")
        pages.append((await (await connection.execute(count)).fetchall())[0][0])
        rows = await read(connection, BATCH, NOTHING, first)
        assert [row[MESSAGE_ID] for row in rows] == [6_000]
    return int(pages[1] - pages[0])


async def test_a_new_connection_begins_without_a_floor(connection: Session) -> None:
    sending = Sending("", BATCH, 20)
    await sending.begin(connection)
    sending._floor = eager()
    await append(connection, (1, "a", "k"), (2, "a", "k"))
    low = (await ids_of_rows(connection))[0]
    notebook = Notebook()
    while await sending.send_batch(connection, notebook, always):
        pass
    await sending.send_batch(connection, notebook, always)
    assert sending._floor.first > low
    await append(connection, (3, "a", "k"))
    await connection.execute("UPDATE outbox SET id = %s", [low])
    assert not await sending.send_batch(connection, notebook, always)
    await sending.begin(connection)
    assert await sending.send_batch(connection, notebook, always)
    assert notebook.sent == [1, 2, 3]


async def test_what_is_held_is_sent_once_it_is_taken_while_the_floor_rises(connection: Session) -> None:
    sending = Sending("", BATCH, 20)
    await sending.begin(connection)
    sending._floor = eager()
    await append(connection, (1, "good", "k"), (2, "bad", "k"), (3, "good", "l"))
    held = (await ids_of_rows(connection))[1]
    notebook = Notebook(refuses=["bad"])
    for number in range(4, 9):
        await sending.send_batch(connection, notebook, always)
        await append(connection, (number, "good", "k"))
    while await sending.send_batch(connection, notebook, always):
        pass
    assert sending._floor.first == held
    assert await left(connection) == [2]
    notebook.refuses.clear()
    sending._held._topics.clear()
    assert await sending.send_batch(connection, notebook, always)
    assert sorted(notebook.sent) == list(range(1, 9))


async def test_many_writers_that_commit_in_any_order_lose_nothing(database_url: str, connection: Session) -> None:
    wanted = set(range(1, 121))
    notebook = Notebook()
    relay = Relay(conninfo(database_url), making(notebook), poll_s=0.01)

    def begin(floor: Sending) -> Sending:
        real = floor.begin

        async def begin_eagerly(session: Session) -> None:
            await real(session)
            floor._floor = eager()

        floor.begin = begin_eagerly  # type: ignore[method-assign]
        return floor

    begin(relay._sending)

    async def write(numbers: Sequence[int]) -> None:
        async with another(database_url) as writer:
            for number in numbers:
                await append(writer, (number, "a", f"k{number}"))
                while number % 3 == 0 and len(notebook.sent) < number / 6:  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.01)  # others are sent meanwhile; this one has a lower id
                await writer.commit()

    async def all_sent() -> bool:
        return set(notebook.sent) == wanted

    async with running(relay):
        await asyncio.gather(*(write(range(start, 121, 6)) for start in range(1, 7)))
        await until(all_sent)
    assert sorted(notebook.sent) == sorted(wanted)
    assert await left(connection) == []
    assert relay._sending._floor.first > LOWEST
