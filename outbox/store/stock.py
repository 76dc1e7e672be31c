"""The stock of the internal inventory: read for a whole batch, moved by one statement.

Stock rows are read without a lock and moved at the end of the transaction, in the order of their SKUs. So hot rows are
locked for the shortest time, and two batches cannot deadlock. The loser of a race fails the check `available >= 0`; it
runs again and locks the rows before it reads them.

While somebody holds a snapshot, every version of a row stays, and a look-up by SKU walks over all of them. So each row
has an era, which grows every MOVES_OF_ERA changes, and look-ups go to the newest era by an index over both. The index
is by the bytes of the SKU: an index by the database's language, as the primary key's, does not fit these conditions, so
no plan takes it in its place. A process of an older release changes rows without counting: they stay in their era.
"""

from collections.abc import Mapping, Sequence
from typing import Final, LiteralString

from outbox.driver.batches import Batch, Column, batch, word
from outbox.driver.binary import ARRAYS
from outbox.store.transaction import PgTransaction

_NEWEST: LiteralString = 'FROM stock t WHERE t.sku = u.sku COLLATE "C" ORDER BY t.era DESC LIMIT 1'
"""There is one row a SKU; the order leads to its newest version first."""
MOVES_OF_ERA: Final = 32
"""Versions that a look-up walks over at most. Each era costs an entry in both indexes."""
COUNT: LiteralString = """
    moves = CASE WHEN s.moves >= 31 THEN 0 ELSE s.moves + 1 END,
    era = CASE WHEN s.moves >= 31 AND s.era < 2147483647 THEN s.era + 1 ELSE s.era END"""
"""Every UPDATE of stock sets these too, with the alias s: it counts one change more. The greatest era never ends."""


def lock(columns: LiteralString) -> LiteralString:
    """Write the query that locks the rows of an array of SKUs and returns these columns of them.

    Rows are locked in the order of their bytes, as `move` does, whatever language the database sorts by.
    """
    return f"""
        SELECT n.* FROM (SELECT sku FROM unnest(%s::text[]) AS a(sku) ORDER BY sku COLLATE "C") AS u
         CROSS JOIN LATERAL (SELECT {columns} {_NEWEST} FOR UPDATE) AS n"""  # noqa: S608 - literals only


def update(columns: Sequence[Column], sets: LiteralString) -> Batch:
    """Build the UPDATE of many rows. columns: the first is the SKU. sets: of the row s, with values of u.

    A row that another transaction has changed meanwhile may be of a later era: never of an earlier one, which would be
    passed over. Nothing of ours sets an era back.
    """
    names: LiteralString = ", ".join([column.name for column in columns])
    arrays: LiteralString = ", ".join(["%s" for _ in columns])
    return batch(
        f"""
        WITH found AS MATERIALIZED (
          SELECT u.*, n.era FROM unnest({arrays}) AS u({names}) CROSS JOIN LATERAL (SELECT t.era {_NEWEST}) AS n)
        UPDATE stock s SET {sets}, {COUNT}
          FROM found u WHERE s.sku = u.sku COLLATE "C" AND s.era >= u.era""",  # noqa: S608 - literals only
        columns,
    )


_READ: LiteralString = f"""
    SELECT u.sku, n.available FROM unnest(%s::text[]) AS u(sku)
     CROSS JOIN LATERAL (SELECT t.available {_NEWEST}) AS n"""  # noqa: S608 - literals only
READ_LOCKED: LiteralString = lock("t.sku, t.available")
_MOVE = update(
    (word("sku"), *(Column(name, "bigint", kind="number") for name in ("available", "reserved", "sold"))),
    "available = s.available + u.available, reserved = s.reserved + u.reserved, sold = s.sold + u.sold",
)
SET_AVAILABLE = update((word("sku"), Column("available", "bigint", kind="number")), "available = u.available")


async def read_available(transaction: PgTransaction, skus: Sequence[str]) -> dict[str, int]:
    """Return how many units of these SKUs are free to reserve. Unknown SKUs are left out. skus: each once."""
    if not skus:
        return {}
    read = READ_LOCKED if transaction.contended else _READ
    return dict(await transaction.query(read, [ARRAYS["word"](skus)]))


async def move(transaction: PgTransaction, moves: Mapping[str, Sequence[int]]) -> None:
    """Move units. moves: for each SKU the changes of available, reserved and sold."""
    moved = [(sku, *moves[sku]) for sku in sorted(moves)]
    if moved:
        await transaction.execute(_MOVE.sql, _MOVE.arrays(moved))
