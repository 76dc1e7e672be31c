"""Fills a migrated database with copies of played orders, with COPY, as the pipeline would have left it."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import psycopg
from psycopg import sql

from outbox.schema.mapping import BLOCK
from outbox.schema.partitions import mend, read_days
from tests.bench.history.played import Played
from tests.bench.history.template import Copy, Template, span_of, templates_of

DAYS: Final = 7
"""The orders are of the last days, evenly: the inbox has all of them."""
DAY_S: Final = 86_400
PORTION: Final = 40
"""Copies of one transaction."""
TOLD: Final = 25
_STOCK: Final = (
    "UPDATE stock SET available = available * %(n)s, reserved = reserved * %(n)s, sold = sold * %(n)s",
    "UPDATE stock_adjustment SET delta = delta * %(n)s",
)
_NUMBERS: Final = f"""
    SELECT setval('order_number_seq', (SELECT max(order_number) / {BLOCK} * {BLOCK} + {BLOCK} FROM orders)),
           setval(pg_get_serial_sequence('event', 'id'), (SELECT max(id) FROM event)),
           setval(pg_get_serial_sequence('dead_letter', 'id'), (SELECT max(id) FROM dead_letter)),
           setval(pg_get_serial_sequence('stock_adjustment', 'id'), (SELECT max(id) FROM stock_adjustment))"""


def fill_database(url: str, played: Played, orders: int, now_s: int, tell: Callable[[str], None]) -> int:
    """Fill an empty, migrated database with at least so many orders; return how many they are: whole copies.

    The same play and the same time always give the same rows. now_s: the last order is of that second.
    """
    each = len(played["orders"].rows)
    copies = -(-orders // each)
    templates = templates_of(played)
    asyncio.run(_make_days(url))
    with psycopg.connect(url) as connection:
        connection.execute("SET synchronous_commit = off")
        placed = list(_placed(copies, span_of(played), now_s))
        for start in range(0, copies, PORTION):
            for template in templates:
                _copy(connection, template, placed[start : start + PORTION])
            connection.commit()
            if start // PORTION % TOLD == 0:
                tell(f"{min(copies, start + PORTION) * each:,} of {copies * each:,} orders copied")
        _stock(connection, played, copies)
        connection.execute(_NUMBERS.encode())
    with psycopg.connect(url, autocommit=True) as connection:
        tell("vacuuming")
        connection.execute("VACUUM ANALYZE")
    return copies * each


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
