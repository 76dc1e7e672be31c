"""One rebuild: the database's snapshot, then all messages of the topics, the fold, and the comparison.

The snapshot is older than the end of the topics. So an order that moves meanwhile is ahead on the topics; it is looked
at a second time before it is said to differ.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final, LiteralString, Protocol

import psycopg

from outbox.audit.books import Books, Scope
from outbox.audit.rebuild import live, said
from outbox.audit.rebuild.judge import Apart, Kind, Verdict, judge
from outbox.audit.rebuild.said import said_of
from outbox.audit.rebuild.scratch import LIVE, REFUSED, Pair, Scratch, live_side
from outbox.audit.run import SETUP
from outbox.audit.topics import Committed, TopicMessage, TopicReader, Unreadable, read_by_rules_of_its_day
from schemas.models import EVENTS
from schemas.rejection import Rejected

NAMED_MAX: Final = 20
"""Messages that could not be taken, named in the result; further ones are counted."""

_COPIES: Final[LiteralString] = """
    SELECT coalesce(sum(n - bodies), 0)::bigint, count(*) FILTER (WHERE bodies > 1 AND type <> 'OrderConfirmed')
      FROM (SELECT type, count(*) AS n, count(DISTINCT body) AS bodies
              FROM said GROUP BY event_id, type HAVING count(*) > 1) e"""


class TopicHistory(TopicReader, Protocol):
    """What a rebuild reads of Kafka, beside what an audit reads."""

    async def shortened(self) -> Collection[str]:
        """Return the topics from whose beginning messages were deleted."""
        ...


@dataclass(frozen=True, slots=True)
class Sides:
    """What is compared. connection: to the live database, in autocommit and idle; it is only read."""

    connection: psycopg.AsyncConnection[Any]
    scope: Scope
    topics: TopicHistory


@dataclass(slots=True)
class Rebuilt:
    """What came of it. hashes: SHA-256 over the sorted states of all orders that are equal or differ.

    messages: read; copies: of events, by their ids and bytes. left_out: messages that are no events of ours, or cannot
    be read, a line each, NAMED_MAX at most; left_out_count: how many there are. shortened: topics that lack their first
    messages.
    """

    equal: int = 0
    differing: int = 0
    apart: Counter[Apart] = field(default_factory=Counter)
    hash_live: str = ""
    hash_topics: str = ""
    messages: int = 0
    copies: int = 0
    two_bodies: int = 0
    left_out: list[str] = field(default_factory=list)
    left_out_count: int = 0
    unreadable: tuple[Unreadable, ...] = ()
    shortened: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether no order differs."""
        return not self.differing and self.hash_live == self.hash_topics

    def leave_out(self, message: TopicMessage, why: str) -> None:
        """Count a message that says nothing of an order."""
        self.left_out_count += 1
        if len(self.left_out) < NAMED_MAX:
            self.left_out.append(f"{message.topic}-{message.partition} offset {message.offset}: {why}")


async def rebuild(
    sides: Sides,
    scratch: Scratch,
    *,
    tell: Callable[[Verdict], None] = lambda _: None,
    progress: Callable[[str], None] = lambda _: None,
) -> Rebuilt:
    """Fold all messages, and compare each order with the database. tell: gets every order that is not equal, sorted.

    Changes nothing but the scratch schema, and asks nobody but the two databases and Kafka. Raises psycopg's errors if
    a database does not answer, Transient if Kafka or a registry does not.
    """
    committed = await sides.topics.committed()
    shortened = await sides.topics.shortened()
    await _take_snapshot(sides, scratch, progress)
    result = Rebuilt(shortened=tuple(sorted(shortened)))
    await _load(sides, scratch, committed, result, progress)
    async for orders in scratch.fold_all():
        progress(f"{orders:,} orders folded")
    await _count_copies(scratch, result)
    await _compare(sides, scratch, result, tell, progress)
    return result


async def _take_snapshot(sides: Sides, scratch: Scratch, progress: Callable[[str], None]) -> None:
    """Copy the states of all orders into the scratch schema."""
    connection, orders = sides.connection, 0
    await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
    await connection.set_read_only(True)
    try:
        books = Books(connection, sides.scope)
        async with connection.transaction():
            for statement in SETUP:
                await connection.execute(statement)
            async for batch in live.read_live(books):
                await scratch.copy(LIVE, [live_side(each) for each in batch])
                orders += len(batch)
                progress(f"{orders:,} orders of the database read")
            await scratch.copy(REFUSED, await live.read_refused(books))
    finally:
        await connection.set_read_only(None)
        await connection.set_isolation_level(None)


async def _load(
    sides: Sides, scratch: Scratch, committed: Committed, result: Rebuilt, progress: Callable[[str], None]
) -> None:
    """Copy what all messages say into the scratch schema."""
    async for batch in sides.topics.messages():
        rows = []
        for message in batch:
            event_type = message.topic.removeprefix(sides.scope.prefix)
            if event_type not in EVENTS or event_type not in said.READ:
                continue
            result.messages += 1
            try:
                event = read_by_rules_of_its_day(sides.scope.codec, event_type, message)
            except Rejected as rejected:
                result.leave_out(message, str(rejected.reason))
                continue
            consumed = message.offset < committed.get((message.topic, message.partition), 0)
            row = said_of(event, message.value, consumed=consumed)
            if row is None:
                result.leave_out(message, "its id is not that of an event of ours")
            else:
                rows.append(row)
        await scratch.copy(said.INSERT, rows)
        progress(f"{result.messages:,} messages read")
    result.unreadable = tuple(sides.topics.unreadable())


async def _count_copies(scratch: Scratch, result: Rebuilt) -> None:
    """Count events that are there more than once, and events of ours under whose id there are two messages."""
    row = await (await scratch.connection.execute(_COPIES)).fetchone()
    assert row is not None
    result.copies, result.two_bodies = row


async def _compare(
    sides: Sides,
    scratch: Scratch,
    result: Rebuilt,
    tell: Callable[[Verdict], None],
    progress: Callable[[str], None],
) -> None:
    """Judge each pair; hash both sides of those that are equal or differ."""
    hash_live, hash_topics, orders = hashlib.sha256(), hashlib.sha256(), 0
    # Closed before the schema is dropped, also after an error: an open cursor would hide it behind one of its own.
    async with aclosing(scratch.pairs()) as batches:
        async for pairs in batches:
            verdicts = await _judge_all(sides, pairs, deleted=bool(result.shortened))
            for pair, verdict in zip(pairs, verdicts, strict=True):
                if verdict.kind is not Kind.APART:
                    hash_live.update(((pair.live_line or "") + "\n").encode())
                    hash_topics.update(((pair.told_line or "") + "\n").encode())
                _count(verdict, result)
                if verdict.kind is not Kind.EQUAL:
                    tell(verdict)
            orders += len(pairs)
            progress(f"{orders:,} orders compared")
    result.hash_live, result.hash_topics = hash_live.hexdigest(), hash_topics.hexdigest()


def _count(verdict: Verdict, result: Rebuilt) -> None:
    match verdict.kind:
        case Kind.EQUAL:
            result.equal += 1
        case Kind.DIFFERS:
            result.differing += 1
        case Kind.APART:
            assert verdict.reason is not None
            result.apart[verdict.reason] += 1


async def _judge_all(sides: Sides, pairs: Sequence[Pair], *, deleted: bool) -> list[Verdict]:
    """Judge these pairs. An order that differs and has changed since the snapshot is apart: nobody can say."""
    verdicts = []
    suspects: dict[str, str | None] = {}
    for pair in pairs:
        ours = pair.live()
        verdict = judge(pair.order_id, ours, pair.told(), deleted=deleted, refused=pair.refused)
        if verdict.kind is Kind.DIFFERS:
            suspects[pair.order_id] = None if ours is None else ours.seen
        verdicts.append(verdict)
    if not suspects:
        return verdicts
    now = await live.seen_now(sides.connection, suspects)
    moved = {order_id for order_id, seen in suspects.items() if now.get(order_id) != seen}
    return [
        Verdict(v.order_id, Kind.APART, Apart.MOVED) if v.kind is Kind.DIFFERS and v.order_id in moved else v
        for v in verdicts
    ]
