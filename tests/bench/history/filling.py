"""Fills a migrated database with copies of played orders, with COPY, as the pipeline would have left it."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple
from uuid import UUID

import psycopg
from psycopg import sql

from outbox.schema.mapping import BLOCK
from outbox.schema.partitions import mend, read_days
from tests.bench.history.indexes import built_late, without_autovacuum
from tests.bench.history.played import Played
from tests.bench.history.template import Copy, Template, span_of, templates_of

DAYS: Final = 7
"""The orders are of the last days, evenly: the inbox has all of them."""
DAY_S: Final = 86_400
PORTION: Final = 40
"""Copies of one transaction."""
TOLD: Final = 25
"""Portions between two lines of progress."""
VACUUMED_AFTER: Final = 0.9
"""Of the copies. A vacuum tells inserts of the room that is left on each page, and small rows go there, each to an old
page, until it is used up: right after a vacuum of everything an order would change two pages more. Autovacuum comes
after each fifth that is new, so half of that, a tenth, has come since."""
RANDOM_VERSION: Final = 4
_STOCK: Final = (
    "UPDATE stock SET available = available * %(n)s, reserved = reserved * %(n)s, sold = sold * %(n)s",
    "UPDATE stock_adjustment SET delta = delta * %(n)s",
)
_NUMBERS: Final = f"""
    SELECT setval('order_number_seq', (SELECT max(order_number) / {BLOCK} * {BLOCK} + {BLOCK} FROM orders)),
           setval(pg_get_serial_sequence('event', 'id'), (SELECT max(id) FROM event)),
           setval(pg_get_serial_sequence('dead_letter', 'id'), (SELECT max(id) FROM dead_letter)),
           setval(pg_get_serial_sequence('stock_adjustment', 'id'), (SELECT max(id) FROM stock_adjustment))"""


class Filled(NamedTuple):
    """What was made. orders: whole copies. seconds: all that it took. copying_s: COPY alone."""

    orders: int
    seconds: float
    copying_s: float


def fill_database(
    url: str, admin_url: str, played: Played, orders: int, now_s: int, tell: Callable[[str], None]
) -> Filled:
    """Fill an empty, migrated database with at least so many orders, as autovacuum would have left it.

    The same play and the same time always give the same rows. admin_url: the database as its superuser. now_s: the last
    order is of that second.
    """
    begun = time.monotonic()
    each = len(played["orders"].rows)
    copies = -(-orders // each)
    templates = templates_of(played)
    asyncio.run(_make_days(url))
    with psycopg.connect(admin_url, autocommit=True) as admin, without_autovacuum(admin):
        names = [template.name for template in templates]
        with built_late(admin, names, _random(played), tell):
            _copy_all(url, admin, templates, list(_placed(copies, span_of(played), now_s)), each, tell)
            copied = time.monotonic()
        with psycopg.connect(url) as connection:
            _stock(connection, played, copies)
            connection.execute(_NUMBERS.encode())
        tell("analyzing")
        admin.execute("ANALYZE")
    return Filled(copies * each, time.monotonic() - begun, copied - begun)


def _random(played: Played) -> list[str]:
    """Name the columns whose values are random: event ids, and order ids that are neither the demo's nor growing."""
    at = played["orders"].columns.index("order_id")
    return ["event_id", *(["order_id"] if any(_is_random(row[at]) for row in played["orders"].rows) else [])]


def _is_random(order_id: str) -> bool:
    try:
        return UUID(order_id).version == RANDOM_VERSION
    except ValueError:
        return False


def _copy_all(
    url: str,
    admin: psycopg.Connection,
    templates: Sequence[Template],
    placed: Sequence[Copy],
    each: int,
    tell: Callable[[str], None],
) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("SET synchronous_commit = off")
        for start in range(0, len(placed), PORTION):
            for template in templates:
                _copy(connection, template, placed[start : start + PORTION])
            connection.commit()
            if start <= VACUUMED_AFTER * len(placed) < start + PORTION:
                tell("vacuuming")
                admin.execute("VACUUM")
            if start // PORTION % TOLD == 0:
                tell(f"{min(len(placed), start + PORTION) * each:,} of {len(placed) * each:,} orders copied")


async def _make_days(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        undone = await mend(connection, await read_days(connection), DAYS)
    assert not undone, undone


def _placed(copies: int, span_s: tuple[int, int], now_s: int) -> Iterator[Copy]:
    """Spread the copies over the last days, in order of time; none goes over midnight, for the inbox has days."""
    began_s, ended_s = span_s
    lasts_s = ended_s - began_s
    for number in range(copies):
        at_s = now_s - lasts_s - (copies - 1 - number) * (DAYS * DAY_S) // copies
        if at_s // DAY_S != (at_s + lasts_s) // DAY_S:
            at_s = (at_s + lasts_s) // DAY_S * DAY_S
        yield Copy(number, at_s - began_s)


def _copy(connection: psycopg.Connection, template: Template, copies: Sequence[Copy]) -> None:
    names = sql.SQL(", ").join(map(sql.Identifier, template.columns))
    query = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(template.name), names)
    with connection.cursor().copy(query) as copying:
        for copy in copies:
            copying.write(template.copy(copy))


def _stock(connection: psycopg.Connection, played: Played, copies: int) -> None:
    """Write the stock that so many copies leave."""
    for name in ("stock", "stock_adjustment"):
        rows = played[name]
        names = sql.SQL(", ").join(map(sql.Identifier, rows.columns))
        query = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(name), names)
        with connection.cursor().copy(query) as copying:
            copying.write("".join("\t".join(row) + "\n" for row in rows.rows))
    for statement in _STOCK:
        connection.execute(statement.encode(), {"n": copies})
