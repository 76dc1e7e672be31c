"""Adjustments that a warehouse publishes, for a whole batch: SKUs are made, locked, written and recorded at once."""

from collections.abc import Sequence
from typing import Final, LiteralString

from domain.decision import Adjustment
from domain.ports.inventory import Refused
from domain.stock import Units, adjusted
from outbox.driver.batches import Column, batch, unnest, word
from outbox.driver.binary import ARRAYS
from outbox.store.stock import SET_AVAILABLE, lock
from outbox.store.transaction import PgTransaction
from schemas.texts import counted

BY: Final = "warehouse"
"""Who made such an adjustment, in the record."""
_SKUS: Final = (word("sku"),)
_NEW = batch(
    f"""
    INSERT INTO stock (sku, available, reserved, sold) SELECT sku, 0, 0, 0 FROM {unnest(_SKUS)}
        ON CONFLICT DO NOTHING""",  # noqa: S608 - literals only
    _SKUS,
)
_LOCK: Final[LiteralString] = lock("t.sku, t.available, t.reserved, t.sold")
_RECORDED: Final = (
    word("sku"),
    Column("delta", "bigint", kind="number"),
    word("by"),
    Column("reason"),
    Column("event_id", "uuid"),
)
_RECORD = batch(
    f"""
    INSERT INTO stock_adjustment (sku, delta, "by", reason, event_id)
    SELECT sku, delta, by, reason, event_id FROM {unnest(_RECORDED)}""",  # noqa: S608 - literals only
    _RECORDED,
)


async def adjust_stock(transaction: PgTransaction, adjustments: Sequence[Adjustment]) -> list[Refused]:
    """Make these adjustments in their order; return those that cannot be made.

    Rows are locked as orders lock them: by the bytes of their SKUs, whatever language the database sorts by.
    """
    skus = sorted({one.sku for one in adjustments})
    units = await _lock(transaction, skus)
    coming = {one.sku for one in adjustments if one.delta > 0}
    if made := [sku for sku in skus if sku in coming and sku not in units]:
        await transaction.execute(_NEW.sql, _NEW.arrays([(sku,) for sku in made]))
        # Another transaction may have made one meanwhile, and put units in.
        units |= await _lock(transaction, made)
    before = dict(units)
    refused, done = [], []
    for one in adjustments:
        now = units.get(one.sku)
        after = None if now is None else adjusted(now, one.delta)
        if after is None:
            refused.append(_refuse(one, now))
        elif one.delta:
            units[one.sku] = after
            done.append((one.sku, one.delta, BY, one.reason, one.event_id))
    if done:
        changed = [(sku, units[sku].available) for sku in skus if units.get(sku) != before.get(sku)]
        await transaction.execute(SET_AVAILABLE.sql, SET_AVAILABLE.arrays(changed))
        await transaction.execute(_RECORD.sql, _RECORD.arrays(done))
    return refused


async def _lock(transaction: PgTransaction, skus: Sequence[str]) -> dict[str, Units]:
    rows = await transaction.query(_LOCK, [ARRAYS["word"](skus)])
    return {sku: Units(available, reserved, sold) for sku, available, reserved, sold in rows}


def _refuse(one: Adjustment, units: Units | None) -> Refused:
    if one.delta > 0:
        why = f"SKU {one.sku} would have more units than can be counted: correct the publisher."
        return Refused(one.event_id, short=False, why=why)
    there = "there is no such SKU" if units is None else f"{units.available} are available"
    why = (
        f"{counted(-one.delta, 'unit')} of SKU {one.sku} cannot be taken out: {there}. Find out which of the two is "
        "wrong; when there are enough, redrive it."
    )
    return Refused(one.event_id, short=True, why=why)
