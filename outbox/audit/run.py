"""One audit: in which order the sources are read, and the conclusion.

What commits first is read first, so that no source can lack what an earlier one spoke of: the gateway's books are read
after the snapshot, which is after Kafka's lag. Where a later source knows more, the order is looked at once more.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, Final, LiteralString

import psycopg

from domain.ports.gateway import GatewayLedger
from outbox.audit import ledger as gateway
from outbox.audit.books import Books, Scope
from outbox.audit.cards import check_tables
from outbox.audit.histories import history_problems, journal_problems
from outbox.audit.money import LISTED, check_bounds, check_places
from outbox.audit.orders import capture_problems, leftover_problems, outcome_problems, twice_problems
from outbox.audit.quiescence import unrest
from outbox.audit.report import Report
from outbox.audit.stock import check_stock
from outbox.audit.stories import Chapter, Story, stories
from outbox.audit.topics import TopicReader, check_topics, clean_up, prepare
from outbox.store.quarantine import IN_QUARANTINE

AT_REST: Final = frozenset({7, 8, 9})
"""Said at quiescence only."""
POLL_FIRST_S: Final = 0.1
POLL_MAX_S: Final = 2.0

_BY_STORY: Final[tuple[tuple[int, Callable[[Story], Iterator[str]]], ...]] = (
    (2, twice_problems),
    (3, capture_problems),
    (5, history_problems),
    (6, journal_problems),
    (7, outcome_problems),
    (9, leftover_problems),
)
_SETUP: Final[tuple[LiteralString, ...]] = (
    # Every question is about whole tables; without statistics the planner might loop over one of them.
    "SET LOCAL enable_nestloop = off",
    "SET LOCAL enable_hashjoin = on",
    "SET LOCAL enable_seqscan = on",
    "SET LOCAL jit = off",
    "SET LOCAL work_mem = '64MB'",
    "SET LOCAL idle_in_transaction_session_timeout = 0",
)
_DEAD_LETTERS: Final[LiteralString] = """
    WITH letters AS (SELECT topic || '.dlt' AS topic, count(*) AS n FROM dead_letter GROUP BY 1),
    copies AS (SELECT topic, count(*) AS n FROM event WHERE order_version = 0 GROUP BY 1)
    SELECT topic, coalesce(letters.n, 0), coalesce(copies.n, 0) FROM letters FULL JOIN copies USING (topic)
     WHERE letters.n IS DISTINCT FROM copies.n ORDER BY topic"""
_WAITING: Final[LiteralString] = f"""
    SELECT count(*), (array_agg(order_id ORDER BY order_id))[1:{LISTED}] FROM ({IN_QUARANTINE}) w"""  # noqa: S608 - literals only
_CHANGED: Final[LiteralString] = "SELECT order_id, updated_at FROM orders WHERE order_id = ANY(%s)"

Lag = Callable[[], Awaitable[Sequence[str]]]
"""Says which consumer groups are behind on their topics, one line each; nothing when none is."""


async def audit(
    connection: psycopg.AsyncConnection[Any],
    scope: Scope,
    *,
    ledger: GatewayLedger | None = None,
    topics: TopicReader | None = None,
    lag: Lag | None = None,
) -> Report:
    """Check invariants 1 to 9 in one snapshot, and with topics 10 and 11; ledger None: against the database alone.

    The connection must be idle, and is given back so. Nothing is changed; topics need a temporary table. Raises
    psycopg.OperationalError when the database does not answer, Transient when the gateway's books or Kafka do not, and
    without inbox partitions.
    """
    behind = tuple(await lag()) if lag is not None else ()
    committed = await topics.committed() if topics is not None else {}
    if topics is not None:
        await prepare(connection)
    await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
    await connection.set_read_only(True)
    try:
        books = Books(connection, scope)
        async with connection.transaction():
            for statement in _SETUP:
                await connection.execute(statement)
            waiting = behind + await unrest(connection, scope)
            await _check_database(books)
            if ledger is None:
                gateway.without_ledger([books.about(number) for number in gateway.COMPARED])
            else:
                await gateway.compare(books, await ledger.entries())
            before = await _changed(books)
            if topics is not None:
                await check_tables(books)
                await check_topics(books, topics, committed)
        await _settle_suspects(books, before)
    finally:
        await connection.set_read_only(None)
        await connection.set_isolation_level(None)
    if topics is not None:
        await clean_up(connection)
    return _report(books, range(1, 10 if topics is None else 12), waiting)


async def wait_until_quiet(
    connection: psycopg.AsyncConnection[Any],
    scope: Scope,
    timeout_s: float,
    *,
    lag: Lag | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> bool:
    """Ask until nothing is under way, ever more rarely; return whether it came to that in time.

    The connection must be in autocommit, for each question is about a new moment. progress hears each new answer.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout_s
    pause_s, told = POLL_FIRST_S, ""
    while True:
        # The topics last: what the database lacks now may have come from there a moment ago.
        waiting = tuple(await unrest(connection, scope)) or (tuple(await lag()) if lag is not None else ())
        waiting = waiting or await unrest(connection, scope)
        if not waiting:
            return True
        if "; ".join(waiting) != told:
            told = "; ".join(waiting)
            progress(told)
        if loop.time() + pause_s > end:
            return False
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 1.5, POLL_MAX_S)


async def _check_database(books: Books) -> None:
    await check_bounds(books)
    await check_stock(books)
    await check_places(books)
    async for chapter in stories(books):
        _judge(books, chapter)
    ((waiting, some),) = await books.rows(_WAITING)
    if waiting:
        more = f" and {waiting - LISTED} more" if waiting > LISTED else ""
        books.about(7).notes.append(
            f"{waiting} orders wait in quarantine ({', '.join(some)}{more}): `payments dlq list --reason quarantined`"
        )
    books.about(6).wrong(
        f"topic {topic}: {letters} dead letters in the table and {copies} in the journal"
        for topic, letters, copies in await books.rows(_DEAD_LETTERS)
    )


def _judge(books: Books, chapter: Chapter) -> None:
    """Judge the orders of one story, all at once."""
    counts = {
        3: sum(o.kind == "capture" for o in chapter.story.operations),
        6: len(chapter.story.decisions()),
        9: chapter.story.status == "payment_failed",
    }
    for number, problems_of in _BY_STORY:
        findings = books.about(number)
        findings.checked += chapter.orders * counts.get(number, 1)
        for problem in problems_of(chapter.story):
            findings.wrong((f"order {order_id}: {problem}" for order_id in chapter.examples), times=chapter.orders)


async def _changed(books: Books) -> dict[str, Any]:
    """Read when the orders with differences last changed."""
    suspects = sorted(frozenset[str]().union(*(books.about(n).suspects for n in gateway.COMPARED)))
    return dict(await books.rows(_CHANGED, [suspects])) if suspects else {}


async def _settle_suspects(books: Books, before: dict[str, Any]) -> None:
    """Look again at the orders with differences: those that have changed since the snapshot are not judged.

    A gateway is called only for what is committed, so what it did since the snapshot shows here.
    """
    suspects = frozenset[str]().union(*(books.about(n).suspects for n in gateway.COMPARED))
    after = await _changed(books)
    moved = frozenset(order_id for order_id in suspects if after.get(order_id) != before.get(order_id))
    for number in gateway.COMPARED:
        books.about(number).settle_suspects(moved)


def _report(books: Books, numbers: Iterable[int], waiting: tuple[str, ...]) -> Report:
    quiescent = not waiting
    invariants = tuple(books.about(n).result(sayable=quiescent or n not in AT_REST) for n in numbers)
    return Report(all(i.holds is not False for i in invariants), quiescent, invariants, waiting)
