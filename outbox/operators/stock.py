"""What people do to the internal inventory. Each change is recorded as an adjustment; their sum is the stock."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, LiteralString, NamedTuple

from outbox.driver.batches import Column, batch, unnest, word
from outbox.driver.binary import ARRAYS
from outbox.store.stock import SET_AVAILABLE, lock
from outbox.store.transaction import PgTransaction
from schemas.fields import LONG_MAX
from schemas.texts import counted

PORTION: Final = 20_000
"""SKUs in one statement."""

_SKUS = (word("sku"),)
_NEW = batch(
    f"""
    INSERT INTO stock (sku, available, reserved, sold) SELECT sku, 0, 0, 0 FROM {unnest(_SKUS)}
        ON CONFLICT DO NOTHING""",  # noqa: S608 - literals only
    _SKUS,
)
_LOCK: Final[LiteralString] = lock("t.sku, t.available, t.reserved, t.sold")
_DELTAS = (word("sku"), Column("delta", "bigint", kind="number"), word("by"), Column("reason"))
_RECORD = batch(
    f'INSERT INTO stock_adjustment (sku, delta, "by", reason) SELECT sku, delta, by, reason FROM {unnest(_DELTAS)}',  # noqa: S608 - literals only
    _DELTAS,
)


class StockChange(NamedTuple):
    """What a person wants: so many units free to reserve, or so many more or fewer than now.

    units: whole units. relative: they are added to what is free; negative ones are taken out. reason: for the record.
    """

    sku: str
    units: int
    relative: bool = False
    reason: str | None = None


class StockSet(NamedTuple):
    """Whole units of one SKU after it was changed. delta: the change of available."""

    sku: str
    available: int
    reserved: int
    sold: int
    delta: int


class StockRefused(Exception):  # noqa: N818 - an answer to the operator, not a fault of ours
    """Some changes are impossible, so none was made. problems: why, by the number of the change, from 0."""

    def __init__(self, problems: Mapping[int, str]) -> None:
        super().__init__("; ".join(problems.values()))
        self.problems = problems


async def change_stock(
    transaction: PgTransaction,
    changes: Sequence[StockChange],
    by: str,
    progress: Callable[[int], None] = lambda _: None,
) -> list[StockSet]:
    """Make all changes or none, and record each with who made it; return what there is then, in their order.

    A SKU may be there once. A new one is made, unless units are to be taken out of it. What is reserved and sold stays
    as it is. A change that changes nothing is not recorded. progress: is called with the number of changes made.
    Raises StockRefused if units are to be taken out that are not free, or if available, reserved and sold together
    would not fit into a column: orders move units between the three, so each may reach the sum.
    """
    numbers = sorted(range(len(changes)), key=lambda number: changes[number].sku)
    done: dict[int, StockSet] = {}
    problems: dict[int, str] = {}
    for start in range(0, len(numbers), PORTION):
        portion = {number: changes[number] for number in numbers[start : start + PORTION]}
        stock = await _lock(transaction, list(portion.values()))
        for number, change in portion.items():
            after = _change(change, stock.get(change.sku))
            if isinstance(after, str):
                problems[number] = after
            else:
                done[number] = after
        if problems:
            continue  # All that is wrong is named, not only the first.
        await _write(transaction, {number: done[number] for number in portion}, changes, by)
        progress(len(done))
    if problems:
        raise StockRefused(dict(sorted(problems.items())))
    return [done[number] for number in range(len(changes))]


async def set_available(transaction: PgTransaction, sku: str, quantity: int, by: str) -> StockSet:
    """Set the units of one SKU that are free to reserve, as change_stock does."""
    (done,) = await change_stock(transaction, [StockChange(sku, quantity)], by)
    return done


async def _lock(transaction: PgTransaction, changes: Sequence[StockChange]) -> dict[str, tuple[int, int, int]]:
    """Make the SKUs that are new, lock all, and return their units: available, reserved, sold.

    In the order of their SKUs, as orders lock them: two that change many cannot wait for each other in a circle.
    """
    made = [(change.sku,) for change in changes if not (change.relative and change.units < 0)]
    if made:
        await transaction.execute(_NEW.sql, _NEW.arrays(made))
    rows = await transaction.query(_LOCK, [ARRAYS["word"](tuple(change.sku for change in changes))])
    return {sku: (available, reserved, sold) for sku, available, reserved, sold in rows}


def _change(change: StockChange, units: tuple[int, int, int] | None) -> StockSet | str:
    """Return what there is after the change, or why it is impossible. units: available, reserved, sold."""
    if units is None:
        return f"there is no SKU {change.sku}: nothing can be taken out of it"
    before, reserved, sold = units
    after = before + change.units if change.relative else change.units
    if after < 0:
        return f"SKU {change.sku} has {counted(before, 'unit')} available: {-change.units} cannot be taken out"
    if after + reserved + sold > LONG_MAX:
        return (
            f"SKU {change.sku} has {counted(reserved, 'unit')} reserved and {sold} sold: at most "
            f"{LONG_MAX - reserved - sold} can be available; set fewer, or sell under a new SKU"
        )
    return StockSet(change.sku, after, reserved, sold, after - before)


async def _write(
    transaction: PgTransaction, portion: Mapping[int, StockSet], changes: Sequence[StockChange], by: str
) -> None:
    """Record what changes, and write it."""
    changed = {number: done for number, done in portion.items() if done.delta}
    if changed:
        deltas = [(done.sku, done.delta, by, changes[number].reason) for number, done in changed.items()]
        await transaction.execute(_RECORD.sql, _RECORD.arrays(deltas))
        units = [(done.sku, done.available) for done in changed.values()]
        await transaction.execute(SET_AVAILABLE.sql, SET_AVAILABLE.arrays(units))
