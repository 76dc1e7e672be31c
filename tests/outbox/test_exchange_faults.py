"""What goes wrong while statements are sent together: nothing is lost, nothing is done twice, and nobody waits on."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg
import pytest
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus

from outbox.driver.connections import Connections
from outbox.driver.exchange import Exchange
from outbox.driver.session import PREPARED_MAX, Session
from outbox.driver.sqlstates import Family, family_of
from tests.eventually import EVENTUALLY_S
from tests.outbox.locks import until_it_blocks_somebody
from tests.outbox.relaying import conninfo
from tests.outbox.test_exchange import ask, other, prepared, session

__all__ = ["other", "session"]
pytestmark = pytest.mark.integration

TURNS, STEP_S = 60, 0.0003
"""So many are cancelled, each so much later than the one before: from the first await to past the commit."""
LEDGER = "CREATE TABLE ledger (n int PRIMARY KEY)"
CUTS = 24
"""So many places in each direction; some hundred bytes go through."""


async def test_a_commit_that_became_a_rollback_is_told(session: Session) -> None:
    with suppress(errors.DivisionByZero):
        await ask(session, "SELECT 1 / 0")
    with pytest.raises(errors.InFailedSqlTransaction, match="in place of a commit"):
        await Exchange(session).send(commit=True)
    assert session.info.transaction_status == TransactionStatus.IDLE


async def test_a_session_that_was_swapped_never_runs_another_statement(session: Session, other: Session) -> None:
    assert await ask(session, "SELECT 'mine'") + await ask(other, "SELECT 'theirs'") == [("mine",), ("theirs",)]
    # As behind a pooler that nobody noticed.
    session.prepared, other.prepared = other.prepared, session.prepared
    with pytest.raises(errors.InvalidSqlStatementName) as caught:
        await ask(session, "SELECT 'theirs'")
    assert family_of(caught.value) is Family.STALE


async def test_two_who_ask_at_once_each_have_their_own_answer(session: Session) -> None:
    asking = [ask(session, "SELECT %s::int, repeat('x', %s)", n, 1 + 99_999 * (n % 2)) for n in range(20)]
    assert await asyncio.gather(*asking) == [[(n, "x" * (1 + 99_999 * (n % 2)))] for n in range(20)]


async def test_one_exchange_prepares_no_more_than_a_session_may(session: Session) -> None:
    exchange = Exchange(session)
    asked = [exchange.add(f"SELECT {n}") for n in range(PREPARED_MAX + 10)]
    await exchange.send()
    assert [one.rows for one in asked] == [[(n,)] for n in range(PREPARED_MAX + 10)]
    assert len(await prepared(session)) == len(session.prepared) == PREPARED_MAX


@pytest.mark.parametrize("copy", ["COPY (SELECT 1) TO STDOUT", "COPY copied FROM STDIN"])
async def test_copy_among_statements_is_refused(session: Session, copy: str) -> None:
    exchange = Exchange(session)
    exchange.add("CREATE TEMPORARY TABLE copied (n int)")
    exchange.add(copy)
    with pytest.raises(psycopg.NotSupportedError, match="COPY cannot be sent together"):
        await exchange.send()
    assert session.closed


async def test_answers_stay_in_step_with_odd_statements(session: Session) -> None:
    await session.execute("CREATE TEMPORARY TABLE doubled (n int); CREATE TEMPORARY TABLE also (n int)")
    await session.execute(
        "CREATE RULE more AS ON INSERT TO doubled DO ALSO (INSERT INTO also VALUES (new.n); SELECT 5; SELECT 6)"
    )
    exchange = Exchange(session)
    asked = [
        exchange.add(query)
        for query in (
            "INSERT INTO doubled VALUES (1)",
            "",
            "DO $$ BEGIN RAISE WARNING 'look'; END $$",
            "BEGIN",
            "NOTIFY nobody",
            "SELECT n FROM also",
        )
    ]
    await exchange.send()
    assert [one.rows for one in asked] == [[], [], [], [], [], [(1,)]]


@pytest.mark.parametrize("text", ["SELECT 1; SELECT 2", "SELECT nothing FROM nowhere"])
async def test_a_statement_that_cannot_be_prepared_leaves_none_behind(session: Session, text: str) -> None:
    for _ in range(2):
        with pytest.raises(psycopg.ProgrammingError):
            await ask(session, text)
        await session.rollback()
    assert session.prepared == {}
    assert await prepared(session) == []


@pytest.mark.parametrize(
    ("setting", "first", "error", "family"),
    [
        ("idle_session_timeout", "COMMIT", errors.IdleSessionTimeout, Family.STALE),
        ("idle_in_transaction_session_timeout", "SELECT 1", errors.IdleInTransactionSessionTimeout, Family.OUTAGE),
    ],
)
@pytest.mark.parametrize("megabytes", [0, 8])
async def test_a_session_that_ended_for_its_silence_says_so_to_whoever_comes_next(
    session: Session,
    other: Session,
    setting: str,
    first: str,
    error: type[psycopg.Error],
    family: Family,
    megabytes: int,
) -> None:
    await session.execute(f"SET {setting} = 50")
    await session.execute(first)
    await until_gone(other, session.info.backend_pid)
    with pytest.raises(error) as caught:
        await ask(session, "SELECT %s::text", "x" * (megabytes << 20))
    assert family_of(caught.value) is family
    assert session.closed


async def test_who_is_cancelled_twice_leaves_no_half_read_connection(session: Session, other: Session) -> None:
    await ask(other, LEDGER)
    await other.set_autocommit(False)
    await ask(other, "INSERT INTO ledger VALUES (1)")
    waiting = asyncio.ensure_future(ask(session, "INSERT INTO ledger VALUES (1)", commit=True))
    await until_it_blocks_somebody(other)
    waiting.cancel()
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert session.closed
    await other.rollback()
    # The server had the commit, and may not hear of the end: nobody knows the outcome but the table, and it is whole.
    assert await ask(other, "SELECT count(*) FROM ledger") in ([(0,)], [(1,)])
    await ask(other, "DROP TABLE ledger", commit=True)


async def test_who_is_cancelled_at_any_await_leaves_a_connection_for_the_next(
    database_url: str, other: Session
) -> None:
    await ask(other, LEDGER)
    connections = Connections(conninfo(database_url), 1)

    async def enter(n: int) -> None:
        async with connections.lend() as lent:
            assert await ask(lent, "SELECT %s::int", n) == [(n,)]
            await ask(lent, "INSERT INTO ledger VALUES (%s)", n)
            assert await ask(lent, "SELECT %s::int + 1", n, commit=True) == [(n + 1,)]

    await enter(0)
    told = {0}
    for n in range(1, TURNS):
        with suppress(TimeoutError):
            async with asyncio.timeout(n * STEP_S):
                await enter(n)
            told.add(n)
    await enter(TURNS)
    await connections.close()
    assert told | {TURNS} <= {n for (n,) in await ask(other, "SELECT n FROM ledger")}
    await ask(other, "DROP TABLE ledger")


@pytest.mark.parametrize("direction", ["asked", "answered"])
async def test_a_connection_that_breaks_at_any_byte_is_an_outage_and_no_lie(
    database_url: str, other: Session, direction: str
) -> None:
    await ask(other, LEDGER)
    async with breaking(database_url) as (url, line):
        before = await write(url, 0, line)
        sent = line.passed[direction]
        assert before
        told = {}
        for n, at in enumerate(range(1, sent + 1, max(1, sent // CUTS)), 1):
            line.breaks = {direction: at}
            told[n] = await write(url, n, line)
            line.breaks = {}
    written = {n for (n,) in await ask(other, "SELECT n FROM ledger")}
    assert {n for n, done in told.items() if done} <= written
    assert len(told) >= CUTS
    assert sum(told.values()) <= 1  # the last byte may be all that was left
    await ask(other, "DROP TABLE ledger")


async def write(url: str, n: int, line: "Line") -> bool:
    """Write in two exchanges; return whether that was told to be done. Anything but an outage is raised."""
    breaks, line.breaks = line.breaks, {}
    async with await Session.connect(url) as writer:
        line.begin(breaks)
        try:
            async with asyncio.timeout(EVENTUALLY_S):
                exchange = Exchange(writer)
                asked = exchange.add("SELECT %s::int", [n])
                await exchange.send()
                exchange.add("INSERT INTO ledger VALUES (%s)", [n])
                await exchange.send(commit=True)
        except psycopg.Error as error:
            if family_of(error) is not Family.OUTAGE or not writer.closed:
                raise
            return False
        assert asked.rows == [(n,)]
        return True


async def until_gone(other: Session, pid: int) -> None:
    async with asyncio.timeout(EVENTUALLY_S):
        while await ask(other, "SELECT FROM pg_stat_activity WHERE pid = %s", pid):  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


class Line:
    """A connection between. breaks: after so many bytes of a direction it is reset. passed: bytes since `begin`."""

    def __init__(self) -> None:
        self.breaks: dict[str, int] = {}
        self.passed = {"asked": 0, "answered": 0}

    def begin(self, breaks: dict[str, int]) -> None:
        self.breaks = breaks
        self.passed = {"asked": 0, "answered": 0}

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: str) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                left = self.breaks.get(direction, 1 << 30) - self.passed[direction]
                self.passed[direction] += len(data)
                writer.write(data[:left])
                await writer.drain()
                if len(data) >= left:
                    break


@asynccontextmanager
async def breaking(database_url: str) -> AsyncIterator[tuple[str, Line]]:
    """Listen on a free port of loopback in front of the database; give its address."""
    line = Line()
    place = conninfo_to_dict(conninfo(database_url))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(str(place["host"]), int(str(place["port"])))
        both = [
            asyncio.ensure_future(line.carry(reader, up_writer, "asked")),
            asyncio.ensure_future(line.carry(up_reader, writer, "answered")),
        ]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for each in (writer, up_writer):
            reset(each)
        for task in both:
            task.cancel()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        yield make_conninfo("", **{**place, "host": "127.0.0.1", "port": str(port)}), line
    finally:
        server.close()


def reset(writer: asyncio.StreamWriter) -> None:
    """Reset the connection: linger off sends RST."""
    kind: Any = writer.get_extra_info("socket")
    with suppress(OSError):
        kind.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
