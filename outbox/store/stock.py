"""The stock of the internal inventory: read for a whole batch, moved by one statement.

Stock rows are read without a lock and moved at the end of the transaction, in the order of their SKUs. So hot rows are
locked for the shortest time, and two batches cannot deadlock. The loser of a race fails the check `available >= 0`; it
runs again and locks the rows before it reads them.
"""

from collections.abc import Mapping, Sequence
from typing import LiteralString

from outbox.driver.batches import Column, batch, word
from outbox.driver.binary import ARRAYS
from outbox.store.transaction import PgTransaction

_READ: LiteralString = "SELECT sku, available FROM stock WHERE sku = ANY(%s) ORDER BY sku"
_READ_LOCKED: LiteralString = _READ + " FOR UPDATE"
_MOVE = batch(
    """
    UPDATE stock s SET available = s.available + u.available, reserved = s.reserved + u.reserved,
                       sold = s.sold + u.sold
      FROM unnest(%s, %s, %s, %s) AS u(sku, available, reserved, sold)
     WHERE s.sku = u.sku""",
    (word("sku"), *(Column(name, "bigint", kind="number") for name in ("available", "reserved", "sold"))),
)


async def read_available(transaction: PgTransaction, skus: Sequence[str]) -> dict[str, int]:
    """Return how many units of these SKUs are free to reserve. Unknown SKUs are left out."""
    if not skus:
        return {}
    read = _READ_LOCKED if transaction.contended else _READ
    return dict(await transaction.query(read, [ARRAYS["word"](skus)]))


async def move(transaction: PgTransaction, moves: Mapping[str, Sequence[int]]) -> None:
    """Move units. moves: for each SKU the changes of available, reserved and sold."""
    moved = [(sku, *moves[sku]) for sku in sorted(moves)]
    if moved:
        await transaction.execute(_MOVE.sql, _MOVE.arrays(moved))
