"""Statements sent in one write: rows as psycopg gives them, the first error, and a connection that stays usable."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from outbox.driver.binary import ARRAYS
from outbox.driver.exchange import Exchange
from outbox.driver.session import PREPARED_MAX, Session
from outbox.driver.sqlstates import Family, family_of
from tests.outbox.locks import until_it_blocks_somebody
from tests.outbox.relaying import conninfo

pytestmark = pytest.mark.integration

WAIT_S = 60.0
VALUES = "SELECT %s, %s, %s, %s::text, %s::uuid, %s::date, %s::timestamptz, %s::bytea, %s::jsonb, 'a%%b'"
GIVEN = (
    7,
    2**40,
    True,
    None,
    UUID(int=3),
    date(2026, 1, 2),
    datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
    b"\0\xff",
    '{"a": [1, 2]}',
)


@pytest.fixture
async def session(database_url: str) -> AsyncIterator[Session]:
    async with await Session.connect(conninfo(database_url)) as opened:
        yield opened


@pytest.fixture
async def other(database_url: str) -> AsyncIterator[Session]:
    async with await Session.connect(conninfo(database_url), autocommit=True) as opened:
        yield opened


async def ask(session: Session, query: str, *values: Any, commit: bool = False) -> list[Any]:
    exchange = Exchange(session)
    asked = exchange.add(query, values)
    await exchange.send(commit=commit)
    return asked.rows


async def prepared(session: Session) -> list[str]:
    """Return the names of what the server's session has prepared, as a statement that is not prepared sees them."""
    cursor = await session.execute("SELECT name FROM pg_prepared_statements ORDER BY name")
    return [name for (name,) in await cursor.fetchall()]


async def test_rows_are_what_a_cursor_of_psycopg_gives(session: Session) -> None:
    cursor = session.cursor(binary=True)
    await cursor.execute(VALUES, GIVEN)
    assert await ask(session, VALUES, *GIVEN) == await cursor.fetchall()
    assert await ask(session, VALUES, *GIVEN) == [(*GIVEN[:-1], {"a": [1, 2]}, "a%b")]


async def test_each_question_has_its_own_rows_and_a_statement_without_rows_has_none(session: Session) -> None:
    exchange = Exchange(session)
    one = exchange.add("SELECT x FROM unnest(%s::bigint[]) AS u(x)", [ARRAYS["bigint"]([1, 2])])
    none = exchange.add("CREATE TEMPORARY TABLE kept (n int)")
    exchange.add("INSERT INTO kept SELECT unnest(%s::bigint[])", [ARRAYS["bigint"]([3, 4, 5])])
    two = exchange.add("SELECT n FROM kept ORDER BY n DESC")
    assert exchange
    await exchange.send()
    assert not exchange
    assert (one.rows, none.rows, two.rows) == ([(1,), (2,)], [], [(5,), (4,), (3,)])
    assert session.info.transaction_status == TransactionStatus.INTRANS


async def test_an_exchange_ends_with_a_commit_if_asked(session: Session, other: Session) -> None:
    await ask(session, "CREATE TABLE lasting (n int)", commit=True)
    assert session.info.transaction_status == TransactionStatus.IDLE
    assert await ask(other, "SELECT count(*) FROM lasting") == [(0,)]
    await Exchange(session).send(commit=True)
    await ask(other, "DROP TABLE lasting")


async def test_the_first_error_is_raised_and_nothing_behind_it_is_done(session: Session, other: Session) -> None:
    await ask(other, "CREATE TABLE held (n int PRIMARY KEY)")
    for _ in range(3):  # again, with what was prepared before the error and what was not
        exchange = Exchange(session)
        exchange.add("INSERT INTO held VALUES (1)")
        exchange.add("INSERT INTO held VALUES (1)")
        never = exchange.add("SELECT pg_notify('never', %s)", ["x"])
        with pytest.raises(psycopg.errors.UniqueViolation, match="held_pkey"):
            await exchange.send(commit=True)
        assert never.rows == []
        assert session.info.transaction_status == TransactionStatus.INERROR
        await session.rollback()
        assert await ask(session, "SELECT count(*) FROM held") == [(0,)]
        await session.rollback()
    await ask(other, "DROP TABLE held")


async def test_an_error_that_only_the_commit_finds_is_raised(session: Session, other: Session) -> None:
    await ask(other, "CREATE TABLE late (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    exchange = Exchange(session)
    exchange.add("INSERT INTO late VALUES (1), (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        await exchange.send(commit=True)
    assert session.info.transaction_status == TransactionStatus.IDLE
    assert await ask(other, "SELECT count(*) FROM late") == [(0,)]
    await ask(other, "DROP TABLE late")


async def test_a_statement_is_prepared_once_for_its_types_and_survives_a_rollback(session: Session) -> None:
    for _ in range(3):
        await ask(session, "SELECT %s", 1)
        await session.rollback()
    assert len(await prepared(session)) == 1
    await ask(session, "SELECT %s", "text")
    assert len(await prepared(session)) == 2


async def test_behind_a_pooler_nothing_is_prepared(session: Session) -> None:
    session.pooled = True
    assert await ask(session, "SELECT %s", 1) == await ask(session, "SELECT %s", 1) == [(1,)]
    assert await prepared(session) == []


async def test_no_session_prepares_without_end(session: Session) -> None:
    session.prepared |= {(b"%d" % n, ()): b"x" for n in range(PREPARED_MAX - 1)}
    assert await ask(session, "SELECT 1") + await ask(session, "SELECT 2") == [(1,), (2,)]
    assert len(await prepared(session)) == 1


@pytest.mark.parametrize(
    ("query", "values", "said"),
    [
        ("SELECT %s", [], "has 1 parameters, but 0 are given"),
        ("SELECT 1", [1], "has 0 parameters, but 1 are given"),
        ("SELECT %(name)s", [1], "only %s stands for a parameter"),
        ("SELECT 5 % 2", [], "only %s stands for a parameter"),
    ],
)
async def test_a_statement_that_does_not_fit_its_parameters_is_refused(
    session: Session, query: str, values: list[int], said: str
) -> None:
    with pytest.raises(psycopg.ProgrammingError, match=said):
        Exchange(session).add(query, values)


async def test_a_value_that_cannot_be_written_is_refused_before_anything_is_sent(session: Session) -> None:
    exchange = Exchange(session)
    with pytest.raises(psycopg.DataError):
        exchange.add("SELECT %s", ["a\0b"])
    await exchange.send()
    assert session.info.transaction_status == TransactionStatus.IDLE


async def test_large_statements_and_large_answers_go_through_at_once(session: Session) -> None:
    megabytes = "x" * 8_000_000
    exchange = Exchange(session)
    asked = [exchange.add("SELECT %s::text", [megabytes]) for _ in range(4)]
    async with asyncio.timeout(WAIT_S):
        await exchange.send()
    assert [one.rows for one in asked] == [[(megabytes,)]] * 4


async def test_who_is_cancelled_while_it_waits_leaves_a_connection_that_works(session: Session, other: Session) -> None:
    await ask(other, "CREATE TABLE wanted AS SELECT 1 AS n")
    await other.set_autocommit(False)
    await ask(other, "UPDATE wanted SET n = 2")
    waiting = asyncio.ensure_future(ask(session, "UPDATE wanted SET n = %s", 3))
    await until_it_blocks_somebody(other)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await session.rollback()
    await other.rollback()
    assert await ask(session, "UPDATE wanted SET n = %s RETURNING n", 4, commit=True) == [(4,)]
    await ask(other, "DROP TABLE wanted", commit=True)


async def test_a_session_that_somebody_ended_says_so(session: Session, other: Session) -> None:
    await ask(session, "SELECT 1")
    await ask(other, "SELECT pg_terminate_backend(%s, 60000)", session.info.backend_pid)
    with pytest.raises(psycopg.errors.AdminShutdown) as caught:
        await ask(session, "SELECT 1")
    assert family_of(caught.value) is Family.OUTAGE
    assert session.closed
    with pytest.raises(psycopg.OperationalError) as again:
        await ask(session, "SELECT 1")
    assert family_of(again.value) is Family.OUTAGE


async def test_a_session_that_is_ended_while_it_waits_says_so(session: Session, other: Session) -> None:
    await ask(other, "CREATE TABLE wanted AS SELECT 1 AS n")
    await other.set_autocommit(False)
    await ask(other, "UPDATE wanted SET n = 2")
    waiting = asyncio.ensure_future(ask(session, "UPDATE wanted SET n = 3"))
    await until_it_blocks_somebody(other)
    await ask(other, "SELECT pg_terminate_backend(%s)", session.info.backend_pid)
    with pytest.raises(psycopg.errors.AdminShutdown):
        await asyncio.wait_for(waiting, WAIT_S)
    await other.rollback()
    await ask(other, "DROP TABLE wanted", commit=True)


async def test_a_connection_that_is_cut_is_an_outage(session: Session) -> None:
    await ask(session, "SELECT 1")
    waiting = asyncio.ensure_future(ask(session, "SELECT pg_sleep(60)"))
    await asyncio.sleep(0)
    session.pgconn.finish()
    with pytest.raises(psycopg.Error) as caught:
        await asyncio.wait_for(waiting, WAIT_S)
    assert family_of(caught.value) is Family.OUTAGE


async def test_a_notification_that_comes_with_an_answer_is_told_at_once(session: Session, other: Session) -> None:
    await session.set_autocommit(True)
    await session.execute("LISTEN news")
    await ask(other, "SELECT pg_notify('news', 'x')")
    await ask(session, "SELECT 1")
    async with asyncio.timeout(WAIT_S):
        assert [n.payload async for n in session.notifies(stop_after=1)] == ["x"]


def test_an_error_that_libpq_made_itself_is_an_outage() -> None:
    assert family_of(psycopg.DatabaseError("server closed the connection unexpectedly")) is Family.OUTAGE
    assert family_of(psycopg.ProgrammingError("no such thing")) is Family.BUG
