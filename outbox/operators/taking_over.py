"""What a take-over asks and tells the restored database, beside the orders themselves."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final, LiteralString, NamedTuple
from uuid import UUID

import psycopg

from outbox.driver.batches import Column, batch, unnest, word
from outbox.driver.binary import ARRAYS
from outbox.store.stock import COUNT, lock
from outbox.store.transaction import PgTransaction

BY: Final = "restore"
"""Who made such an adjustment of the stock, in the record."""
MISSING: Final = "sold or held by orders that the topics tell of; the restored stock had fewer"
_NAMES: Final = (Column("event_id", "uuid"), word("consumer_group"), Column("day", "date"))
_PROCESSED: Final = batch(
    f"""
    WITH named AS (SELECT * FROM {unnest(_NAMES)})
    SELECT i.event_id, i.consumer_group FROM named u
      JOIN inbox i ON i.event_id = u.event_id AND i.consumer_group = u.consumer_group AND i.day = u.day
    UNION
    SELECT d.event_id, d.consumer_group FROM named u
      JOIN dead_letter d ON d.event_id = u.event_id AND d.consumer_group = u.consumer_group""",  # noqa: S608 - literals only
    _NAMES,
)
"""A message that was refused before the decision, as one from the future, has a dead letter and no inbox row."""
_VERSIONS: Final[LiteralString] = "SELECT order_id, version FROM orders WHERE order_id = ANY(%s)"
_SENT: Final[LiteralString] = """
    WITH kept AS (
      SELECT o.id, coalesce(array_agg(e.id ORDER BY e.id) FILTER (WHERE e.event_id <> ALL(%s)), '{}') AS event_ids
        FROM outbox o CROSS JOIN unnest(o.event_ids) AS u(id) JOIN event e ON e.id = u.id
       GROUP BY o.id HAVING bool_or(e.event_id = ANY(%s)))
    UPDATE outbox SET event_ids = kept.event_ids FROM kept WHERE outbox.id = kept.id"""
_FORGET_EMPTY: Final[LiteralString] = "DELETE FROM outbox WHERE event_ids = '{}'"
_WAITING: Final[LiteralString] = """
    SELECT e.event_id FROM outbox o CROSS JOIN unnest(o.event_ids) AS u(id) JOIN event e ON e.id = u.id"""
_STOCK: Final[LiteralString] = lock("t.sku, t.available, t.reserved")
_DELTAS: Final = (word("sku"), Column("delta", "bigint", kind="number"))
_PUT_IN: Final = batch(
    f"""
    INSERT INTO stock AS s (sku, available, reserved, sold) SELECT sku, delta, 0, 0 FROM {unnest(_DELTAS)}
        ON CONFLICT (sku) DO UPDATE SET available = s.available + EXCLUDED.available, {COUNT}""",  # noqa: S608 - literals only
    _DELTAS,
)
_RECORD: Final = batch(
    f"""
    INSERT INTO stock_adjustment (sku, delta, "by", reason)
    SELECT sku, delta, '{BY}', '{MISSING}' FROM {unnest(_DELTAS)}""",  # noqa: S608 - literals only
    _DELTAS,
)
_USERS: Final[LiteralString] = """
    SELECT application_name, count(*) FROM pg_stat_activity
     WHERE datname = current_database() AND application_name LIKE 'payments%%' AND application_name <> ALL(%s)
     GROUP BY 1 ORDER BY 1"""
_WORDS: Final[LiteralString] = "SELECT name, until, roles FROM process WHERE until > now()"
_LEASE: Final[LiteralString] = "SELECT holder FROM relay_lease WHERE until > now()"


class Name(NamedTuple):
    """An inbox row, if there is one."""

    event_id: UUID
    group: str
    day: date


async def processed(connection: psycopg.AsyncConnection[Any], names: Sequence[Name]) -> set[tuple[UUID, str]]:
    """Return those of which there is an inbox row or a dead letter, by event id and group."""
    if not names:
        return set()
    rows = await (await connection.execute(_PROCESSED.sql, _PROCESSED.arrays(names))).fetchall()
    return {(event_id, group) for event_id, group in rows}


async def versions(connection: psycopg.AsyncConnection[Any], order_ids: Sequence[str]) -> dict[str, int]:
    """Return the versions of these orders; unknown ones are left out."""
    return dict(await (await connection.execute(_VERSIONS, [list(order_ids)])).fetchall())


async def waiting_to_be_sent(connection: psycopg.AsyncConnection[Any]) -> set[UUID]:
    """Return the ids of all events in the outbox."""
    return {event_id for (event_id,) in await (await connection.execute(_WAITING)).fetchall()}


async def take_out(transaction: PgTransaction, sent: Sequence[UUID]) -> None:
    """Take these events out of the outbox: they are on their topics."""
    if sent:
        await transaction.execute(_SENT, [list(sent), list(sent)])
        await transaction.execute(_FORGET_EMPTY)


async def cover(transaction: PgTransaction, moves: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Put in the units that are missing for these moves, with a record of why; return how many of each SKU.

    moves: by SKU the changes of available, reserved and sold. The goods are gone, whatever the restored stock says: an
    adjustment that is lost, by a person's command perhaps, had put them in.
    """
    skus = sorted(moves)
    there = {sku: available for sku, available, _ in await transaction.query(_STOCK, [ARRAYS["word"](skus)])}
    lacking = {sku: -(there.get(sku, 0) + moves[sku][0]) for sku in skus}
    put_in = {sku: units for sku, units in lacking.items() if units > 0 or sku not in there}
    if put_in:
        rows = [(sku, max(units, 0)) for sku, units in put_in.items()]
        await transaction.execute(_PUT_IN.sql, _PUT_IN.arrays(rows))
        recorded = [(sku, units) for sku, units in rows if units]
        if recorded:
            await transaction.execute(_RECORD.sql, _RECORD.arrays(recorded))
    return {sku: units for sku, units in put_in.items() if units > 0}


async def who_works(connection: psycopg.AsyncConnection[Any], but: Sequence[str]) -> list[str]:
    """Name the processes of ours that are connected or hold the relay's lease. but: names that do not count."""
    users = await (await connection.execute(_USERS, [list(but)])).fetchall()
    lease = await (await connection.execute(_LEASE)).fetchone()
    found = [f"{name} ({n} sessions)" for name, n in users]
    return [*found, f"the relay {lease[0]}, by its lease"] if lease is not None else found


Words = Mapping[str, datetime]
"""Until when the word of each process holds that says it runs, by its name."""


async def words(connection: psycopg.AsyncConnection[Any]) -> tuple[Words, Mapping[str, str]]:
    """Return which processes say that they run, whatever their sessions are called; and by name what each does.

    A restored database may have words of its past. One that runs says so again within some seconds.
    """
    rows = await (await connection.execute(_WORDS)).fetchall()
    return {name: until for name, until, _ in rows}, {name: str(roles) for name, _, roles in rows}


async def said_since(connection: psycopg.AsyncConnection[Any], before: Words) -> list[str]:
    """Name the processes that have said since then that they run."""
    now, roles = await words(connection)
    return [f"{roles[name]} ({name})" for name, until in sorted(now.items()) if before.get(name) != until]
