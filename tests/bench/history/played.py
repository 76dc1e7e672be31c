"""Orders really played: the demo's, through the whole pipeline, and the rows that they left."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

import psycopg
from psycopg import sql
from rich.console import Console

from deploy.demo.play import play
from deploy.demo.script import Script, ScriptedOrder, write_script
from deploy.demo.show import Show
from deploy.demo.stage import set_up
from deploy.demo.standing import Stage
from outbox.schema.tables import metadata

SEED: Final = 100_000_000
"""Nine digits, and so has every copy's: ids keep their length, within Avro bodies, too."""
PLAYED: Final = 250
"""Orders that are really played, of every kind of the demo."""
NOT_KEPT: Final = frozenset({"audit_run", "low_water", "migration", "process", "relay_lease"})
"""What processes note about themselves, and migrations about the schema."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one table as COPY writes them, in text: cells are escaped."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


Played = Mapping[str, Rows]


def play_orders(orders: int, ids: Sequence[UUID] = ()) -> Played:
    """Play the demo with so many orders on servers of its own; return the rows of every table, by its name.

    ids: of the orders, in place of the demo's. Raises RuntimeError if an order did not end as its script says: then
    there is nothing worth copying.
    """
    found: dict[str, Rows] = {}

    @contextmanager
    def set_up_and_read(show: Show, script: Script) -> Iterator[Stage]:
        with set_up(show, script) as stage:
            yield stage
            found.update(_read(stage.settings.direct_url()))

    script = write_script(orders, SEED)
    if ids:
        script = replace(script, orders=[_named(one, str(name)) for one, name in zip(script.orders, ids, strict=True)])
    played = play(script, Show(Console(file=sys.stderr, emoji=False)), set_up_and_read)
    if not played.good:
        raise RuntimeError(f"the demo did not end as its script says, so it is not copied: {played.verdict.wrong}")
    return found


def _named(order: ScriptedOrder, order_id: str) -> ScriptedOrder:
    return replace(order, order_id=order_id, confirmed={**order.confirmed, "order_id": order_id})


def _read(url: str) -> Played:
    with psycopg.connect(url) as connection:
        connection.execute("SET timezone = 'UTC'")
        return {
            table.name: _read_table(connection, table.name, [column.name for column in table.columns])
            for table in metadata.sorted_tables
            if table.name not in NOT_KEPT
        }


def _read_table(connection: psycopg.Connection, name: str, columns: Sequence[str]) -> Rows:
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    query = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(names, sql.Identifier(name))
    with connection.cursor().copy(query) as copy:
        text = b"".join(bytes(part) for part in copy).decode()
    return Rows(columns, [line.split("\t") for line in text.splitlines()])
