"""One audit: the order in which the sources are read, and the report.

Kafka's lag is read first, then the snapshot, then the gateway's ledger. So a later source has everything that an
earlier one has. Where it has more, the audit looks at the order a second time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, Final, LiteralString

import psycopg

from domain.ports.gateway import GatewayLedger
from outbox.audit import ledger as gateway
from outbox.audit.books import Books, Scope
from outbox.audit.cards import check_tables
from outbox.audit.disputed import disputed
from outbox.audit.goods import check_goods
from outbox.audit.histories import history_problems, journal_problems
from outbox.audit.holds import HoldList
from outbox.audit.listed import Lists
from outbox.audit.money import LISTED_MAX, check_bounds, check_sums
from outbox.audit.orders import capture_problems, leftover_problems, outcome_problems, twice_problems
from outbox.audit.profiles import Profile, ProfileGroup, read_profiles
from outbox.audit.quiescence import unfinished_work
from outbox.audit.report import Report
from outbox.audit.stock import check_stock
from outbox.audit.topics import TopicReader, check_topics, drop_table, make_table
from outbox.store.quarantine import IN_QUARANTINE
from schemas.texts import counted

ONLY_QUIESCENT: Final = frozenset({7, 8, 9})
"""Judged only if the pipeline is quiescent."""
POLL_FIRST_S: Final = 0.1
POLL_MAX_S: Final = 2.0

_BY_PROFILE: Final[tuple[tuple[int, Callable[[Profile], Iterator[str]]], ...]] = (
    (2, twice_problems),
    (3, capture_problems),
    (5, history_problems),
    (6, journal_problems),
    (7, outcome_problems),
    (9, leftover_problems),
)
SETUP: Final[tuple[LiteralString, ...]] = (
    # Every query reads whole tables; without statistics the planner might loop over one of them.
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
    SELECT count(*), (array_agg(order_id ORDER BY order_id))[1:{LISTED_MAX}]
      FROM ({IN_QUARANTINE}) w"""  # noqa: S608 - literals only
_CHANGED: Final[LiteralString] = "SELECT order_id, updated_at FROM orders WHERE order_id = ANY(%s)"

Lag = Callable[[], Awaitable[Sequence[str]]]
"""Returns the consumer groups that are behind on their topics, a line each; empty if none is."""


async def audit(
    connection: psycopg.AsyncConnection[Any],
    scope: Scope,
    *,
    ledger: GatewayLedger | Lists | None = None,
    topics: TopicReader | None = None,
    lag: Lag | None = None,
    holds: HoldList | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Report:
    """Check invariants 1 to 9 in one snapshot, and 10 and 11 if topics are given. ledger None: database only.

    ledger: a gateway's ledger is read after the snapshot; lists were read before, over this connection. holds: the list
    of an inventory elsewhere, read before over this connection; None: the stock is in this database. progress: gets a
    line before each part; each part may take a minute where there are millions of orders.

    The connection must be idle, and is idle afterwards. Changes nothing; for topics it makes a temporary table. Raises
    psycopg.OperationalError if the database does not answer, Transient if the gateway or Kafka does not, and Transient
    if the inbox has no partitions.
    """
    behind = tuple(await lag()) if lag is not None else ()
    committed = await topics.committed() if topics is not None else {}
    if topics is not None:
        await make_table(connection)
    await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
    await connection.set_read_only(True)
    try:
        books = Books(connection, scope)
        async with connection.transaction():
            for statement in SETUP:
                await connection.execute(statement)
            progress("looking for unfinished work")
            waiting = behind + await unfinished_work(connection, scope)
            await _check_database(books, progress)
            if holds is not None:
                progress("comparing the holds with the inventory's")
                await check_goods(books, holds)
            progress("comparing the attempts with the gateway's record")
            await _compare(books, ledger)
            before = await _changed(books)
            if topics is not None:
                progress("reading tables and topics")
                await check_tables(books)
                await check_topics(books, topics, committed)
        await _judge_suspects(books, before)
    finally:
        await connection.set_read_only(None)
        await connection.set_isolation_level(None)
    if topics is not None:
        await drop_table(connection)
    return _report(books, range(1, 10 if topics is None else 12), waiting)


async def wait_until_quiet(
    connection: psycopg.AsyncConnection[Any],
    scope: Scope,
    timeout_s: float,
    *,
    lag: Lag | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> bool:
    """Poll, less and less often, until nothing is under way; return whether that was in time.

    The connection must be in autocommit: each poll must see the present. progress gets each new answer.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout_s
    pause_s, last = POLL_FIRST_S, ""
    while True:
        # The topics, then the database again: it may have received messages from the topics since the first query.
        waiting = tuple(await unfinished_work(connection, scope)) or (tuple(await lag()) if lag is not None else ())
        waiting = waiting or await unfinished_work(connection, scope)
        if not waiting:
            return True
        if (text := "; ".join(waiting)) != last:
            last = text
            progress(text)
        if loop.time() + pause_s > end:
            return False
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 1.5, POLL_MAX_S)


async def _compare(books: Books, ledger: GatewayLedger | Lists | None) -> None:
    """Compare our attempts with what the gateway shows."""
    if ledger is None:
        gateway.without_ledger([books.findings[number] for number in gateway.COMPARED])
    elif isinstance(ledger, Lists):
        await gateway.compare(books, ledger.pairs())
        gateway.report_disputed(books, await disputed(books.connection, ledger.began))
        gateway.note_lists(books, ledger.since)
    else:
        await gateway.compare(books, gateway.pairs_of(books, await ledger.entries()))


async def _check_database(books: Books, progress: Callable[[str], None]) -> None:
    parts = (("amounts of each attempt", check_bounds), ("the stock", check_stock), ("all money", check_sums))
    for what, check in parts:
        progress(f"checking {what}")
        await check(books)
    progress("checking the history of each order")
    async for group in read_profiles(books):
        _judge(books, group)
    ((waiting, some),) = await books.rows(_WAITING)
    if waiting:
        more = f" and {waiting - LISTED_MAX} more" if waiting > LISTED_MAX else ""
        orders = counted(waiting, "order waits", "orders wait")
        books.findings[7].notes.append(
            f"{orders} in quarantine ({', '.join(some)}{more}): `payments dlq list --reason quarantined`"
        )
    books.findings[6].add_violations(
        f"topic {topic}: {counted(letters, 'dead letter')} in the table and {copies} in the journal"
        for topic, letters, copies in await books.rows(_DEAD_LETTERS)
    )


def _judge(books: Books, group: ProfileGroup) -> None:
    """Judge all orders of one profile together."""
    counts = {
        3: sum(o.kind == "capture" for o in group.profile.operations),
        6: len(group.profile.decisions()),
        9: group.profile.status in {"payment_failed", "cancelled"},
    }
    for number, problems_of in _BY_PROFILE:
        findings = books.findings[number]
        findings.checked += group.orders * counts.get(number, 1)
        for problem in problems_of(group.profile):
            findings.add_violations((f"order {order_id}: {problem}" for order_id in group.examples), times=group.orders)


async def _changed(books: Books) -> dict[str, Any]:
    """Read when the orders with differences last changed."""
    suspects = _suspects(books)
    return dict(await books.rows(_CHANGED, [sorted(suspects)])) if suspects else {}


async def _judge_suspects(books: Books, before: dict[str, Any]) -> None:
    """Judge the orders with differences, except those that have changed since the snapshot.

    The gateway is called only after a commit. So an order on which it worked since the snapshot has changed.
    """
    after = await _changed(books)
    changed = frozenset(order_id for order_id in _suspects(books) if after.get(order_id) != before.get(order_id))
    for number in gateway.COMPARED:
        books.findings[number].judge_suspects(changed)


def _suspects(books: Books) -> frozenset[str]:
    return frozenset[str]().union(*(books.findings[n].suspects for n in gateway.COMPARED))


def _report(books: Books, numbers: Iterable[int], waiting: tuple[str, ...]) -> Report:
    quiescent = not waiting
    invariants = tuple(books.findings[n].conclude(judgeable=quiescent or n not in ONLY_QUIESCENT) for n in numbers)
    return Report(all(i.holds is not False for i in invariants), quiescent, invariants, waiting)
