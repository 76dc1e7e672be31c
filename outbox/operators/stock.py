"""What people do to the internal inventory. Each change is recorded as an adjustment; their sum is the stock."""

from typing import LiteralString, NamedTuple

from outbox.store.transaction import PgTransaction
from schemas.fields import LONG_MAX

_NEW: LiteralString = "INSERT INTO stock (sku, available, reserved, sold) VALUES (%s, 0, 0, 0) ON CONFLICT DO NOTHING"
_LOCK: LiteralString = "SELECT available, reserved, sold FROM stock WHERE sku = %s FOR UPDATE"
_RECORD: LiteralString = 'INSERT INTO stock_adjustment (sku, delta, "by") VALUES (%s, %s, %s)'
_SET: LiteralString = "UPDATE stock SET available = %s WHERE sku = %s"


class StockSet(NamedTuple):
    """Whole units of one SKU after it was set. delta: the change of available."""

    sku: str
    available: int
    reserved: int
    sold: int
    delta: int


class TooManyUnits(Exception):  # noqa: N818 - an answer to the operator, not a fault of ours
    """A SKU would have more units than the columns can hold."""


async def set_available(transaction: PgTransaction, sku: str, quantity: int, by: str) -> StockSet:
    """Set the units that are free to reserve, whatever is reserved and sold; record the difference and who set it.

    Makes the SKU if it is new. Calling it again with the same quantity changes and records nothing. Raises TooManyUnits
    if the sum of available, reserved and sold does not fit: orders move units between the three, so each may reach it.
    """
    await transaction.execute(_NEW, [sku])
    ((available, reserved, sold),) = await transaction.query(_LOCK, [sku])
    if quantity + reserved + sold > LONG_MAX:
        raise TooManyUnits(
            f"SKU {sku} has {reserved} units reserved and {sold} sold: at most {LONG_MAX - reserved - sold} can be "
            "available; set fewer, or sell under a new SKU"
        )
    delta = quantity - available
    if delta:
        await transaction.execute(_RECORD, [sku, delta, by])
        await transaction.execute(_SET, [quantity, sku])
    return StockSet(sku, quantity, reserved, sold, delta)
