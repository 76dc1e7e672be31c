"""`python -m tests.bench.pressure.rows`: what a move of stock and a read of the outbox touch under a snapshot.

PostgreSQL alone, and the statements of this module, each beside the one of before. Pages do not depend on what else
runs on the machine; the CPU time of the server's process hardly does.
"""

import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, LiteralString

import click
import psutil
import psycopg

from deploy.embedded.postgres import PostgresServer
from outbox.driver.connections import HOT_OPTIONS
from outbox.driver.conninfo import libpq_url
from outbox.relay import reading
from outbox.schema.migrations import upgrade
from outbox.store import stock
from tests.servers.databases import fresh_database

Connection = psycopg.Connection[Any]
BEFORE_READ: Final[LiteralString] = "SELECT sku, available FROM stock WHERE sku = ANY(%s) ORDER BY sku"
BEFORE_MOVE: Final[LiteralString] = """
    UPDATE stock s SET available = s.available + u.available, reserved = s.reserved + u.reserved,
                       sold = s.sold + u.sold
      FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bigint[]) AS u(sku, available, reserved, sold)
     WHERE s.sku = u.sku"""
PARTS: Final = 6
SHARE: Final = 2 / 3
"""Of all SKUs, that one transaction moves."""
VACUUM_EVERY: Final = 30
"""Transactions, where no snapshot is held."""
ROWS: Final = (0, 1_000, 5_000, 25_000)
"""Rows of the outbox that were sent under the snapshot."""
_FILL_STOCK: Final[LiteralString] = """
    INSERT INTO stock (sku, available, reserved, sold)
    SELECT 'SKU-' || to_char(n, 'FM0000'), 1000000000, 0, 0 FROM generate_series(1, %s) n"""
_PAGES: Final[LiteralString] = """
    SELECT heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit
      FROM pg_statio_user_tables WHERE relname = %s"""


@contextmanager
def held(url: str) -> Iterator[None]:
    """Hold a snapshot of the database."""
    with psycopg.connect(url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("SELECT count(*) FROM stock")
        yield
        connection.rollback()


class Meter:
    """Reads pages of a table and CPU of a connection's process."""

    def __init__(self, connection: Connection, table: LiteralString) -> None:
        self._connection = connection
        self._table = table
        self._process = psutil.Process(connection.info.backend_pid)

    def read(self) -> tuple[int, float]:
        """Return pages touched so far, and CPU seconds."""
        self._connection.execute("SELECT pg_stat_force_next_flush()")
        self._connection.execute("SELECT pg_stat_clear_snapshot()")
        ((pages,),) = self._connection.execute(_PAGES, [self._table]).fetchall()
        times = self._process.cpu_times()
        return int(pages), times.user + times.system


def move_stock(url: str, *, now: bool, snapshot: bool, skus: int, turns: int) -> list[tuple[float, float]]:
    """Read and move SHARE of the SKUs, turns times; return pages and microseconds a row, for each of PARTS."""
    read, move = (stock._READ, stock._MOVE.sql) if now else (BEFORE_READ, BEFORE_MOVE)
    names, draw = [f"SKU-{n:04d}" for n in range(1, skus + 1)], random.Random(1)
    found = []
    with ExitStack() as stack:
        connection = stack.enter_context(
            psycopg.connect(url, autocommit=True, options=HOT_OPTIONS, prepare_threshold=1)
        )
        if not now:
            connection.execute("DROP INDEX stock_sku_era_idx")
            connection.execute("ALTER TABLE stock SET (fillfactor = 20)")
        connection.execute("ALTER TABLE stock SET (autovacuum_enabled = off)")
        connection.execute(_FILL_STOCK, [skus])
        connection.execute("VACUUM ANALYZE stock")
        if snapshot:
            stack.enter_context(held(url))
        meter = Meter(connection, "stock")
        count = int(SHARE * skus)
        for _ in range(PARTS):
            before = meter.read()
            for turn in range(turns // PARTS):
                taken = sorted(draw.sample(names, count))
                connection.execute(read, [taken]).fetchall()
                moved = connection.execute(move, stock._MOVE.arrays([(sku, -1, 1, 0) for sku in taken]))
                assert moved.rowcount == count
                if not snapshot and turn % VACUUM_EVERY == 0:
                    connection.execute("VACUUM stock")
            after = meter.read()
            rows = count * (turns // PARTS)
            found.append(((after[0] - before[0]) / rows, 1e6 * (after[1] - before[1]) / rows))
    return found


def read_outbox(url: str) -> list[tuple[int, ...]]:
    """Send ever more rows under a snapshot; return how many, and the pages of a read without and with a floor."""
    found = []
    with psycopg.connect(url, autocommit=True, options=HOT_OPTIONS) as connection, held(url):
        meter = Meter(connection, "outbox")
        gone = 0
        for rows in ROWS:
            filled = "INSERT INTO outbox (event_ids) SELECT ARRAY[n] FROM generate_series(1, %s) n"
            connection.execute(filled, [rows - gone])
            connection.execute("DELETE FROM outbox")
            gone = rows
            ((last,),) = connection.execute("SELECT last_value FROM outbox_id_seq").fetchall()
            pages = []
            for first in (reading.LOWEST, last + 1):
                before = meter.read()[0]
                connection.execute(reading._READ, [first, 2_000, 2_000]).fetchall()
                pages.append(meter.read()[0] - before)
            found.append((rows, *pages))
    return found


def show(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@click.command()
@click.option("--skus", default=300, show_default=True, help="Two thirds of them are moved by each transaction.")
@click.option("--turns", default=450, show_default=True, help="Transactions.")
def main(skus: int, turns: int) -> None:
    """Show what a moved row and a read of the outbox cost while a snapshot is held, now and before."""
    with server_alone() as server_url:
        measure(server_url, skus, turns)


@contextmanager
def server_alone() -> Iterator[str]:
    """Run a PostgreSQL; give its URL."""
    folder = Path(tempfile.mkdtemp(prefix="payments-rows-"))
    folder.chmod(0o755)
    server = PostgresServer(folder, progress=lambda _: None)
    try:
        server.start()
        yield server.url
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def measure(server_url: str, skus: int, turns: int) -> None:
    """Measure on fresh databases of this server."""
    show("| stock | pages a row, by sixth | us of the server's CPU a row, by sixth |\n|---|---|---|")
    for snapshot in (False, True):
        for now in (False, True):
            found = on_fresh(
                server_url,
                lambda url, now=now, snapshot=snapshot: move_stock(  # type: ignore[misc]
                    url, now=now, snapshot=snapshot, skus=skus, turns=turns
                ),
            )
            name = f"{'now' if now else 'before'}, {'a snapshot held' if snapshot else 'no snapshot'}"
            pages, cost = (" ".join(f"{part[n]:.1f}" for part in found) for n in (0, 1))
            show(f"| {name} | {pages} | {cost} |")
    show("\n| rows sent under the snapshot | pages of a read from the beginning | from the floor |\n|---|---|---|")
    for row in on_fresh(server_url, read_outbox):
        show("| " + " | ".join(f"{cell:,}" for cell in row) + " |")


def on_fresh(server_url: str, work: Callable[[str], Sequence[Any]]) -> Sequence[Any]:
    """Do this work on a fresh database of this server, by its URL."""
    with fresh_database(server_url, None) as url:
        upgrade(url)
        return work(libpq_url(url))


if __name__ == "__main__":
    main()
