"""The stock in our own database: a whole batch at once, all lines of an order or none, and never more than there is.

Stock rows are read without a lock and moved by one statement at the end of the transaction, in the order of their SKUs:
hot rows are locked for the shortest time, and two batches cannot wait for each other in a circle. Who loses a race sees
the check `available >= 0` fail, and runs again with the rows locked before they are read.
"""

from collections.abc import Sequence
from typing import LiteralString

from domain.operation import OperationKind
from domain.outcome import Approved, Missing, Outcome, Reserved, Short
from domain.ports.inventory import InventoryAnswer, InventoryCall
from domain.ports.store import Transaction
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


class _Shelf:
    """The stock as this batch sees it, and what it moves: whole units by which available, reserved and sold change."""

    def __init__(self, available: dict[str, int]) -> None:
        self._available = available
        self.moves: dict[str, list[int]] = {}

    def reserve(self, call: InventoryCall) -> Outcome:
        """Take every line or none."""
        missing = tuple(
            Missing(line.sku, line.quantity, self._available.get(line.sku))
            for line in call.lines
            if self._available.get(line.sku, -1) < line.quantity
        )
        if missing:
            return Short(missing)
        for line in call.lines:
            self._available[line.sku] -= line.quantity
            self._move(line.sku, -line.quantity, line.quantity, 0)
        return Reserved(call.expires_at)

    def release(self, call: InventoryCall) -> Outcome:
        """Put every line back; what is put back may be reserved by another order of the batch."""
        for line in call.lines:
            if line.sku in self._available:
                self._available[line.sku] += line.quantity
            self._move(line.sku, line.quantity, -line.quantity, 0)
        return Approved()

    def confirm(self, call: InventoryCall) -> Outcome:
        """Turn what is held into a sale."""
        for line in call.lines:
            self._move(line.sku, 0, -line.quantity, line.quantity)
        return Approved()

    def _move(self, sku: str, available: int, reserved: int, sold: int) -> None:
        moved = self.moves.get(sku)
        if moved is None:
            self.moves[sku] = [available, reserved, sold]
            return
        moved[0] += available
        moved[1] += reserved
        moved[2] += sold


class InternalInventory:
    """domain.ports.inventory.LocalInventory over the tables `stock` and `reservation`."""

    async def perform(self, transaction: Transaction, calls: Sequence[InventoryCall]) -> Sequence[InventoryAnswer]:
        """Answer all calls: releases and sales first, so that the batch sees what it gives back."""
        assert isinstance(transaction, PgTransaction)
        skus = sorted({line.sku for call in calls if call.kind is OperationKind.RESERVE for line in call.lines})
        read = _READ_LOCKED if transaction.contended else _READ
        shelf = _Shelf(dict(await transaction.query(read, [ARRAYS["word"](skus)])) if skus else {})
        answers: list[InventoryAnswer] = []
        for kind, ask in (
            (OperationKind.RELEASE, shelf.release),
            (OperationKind.CONFIRM, shelf.confirm),
            (OperationKind.RESERVE, shelf.reserve),
        ):
            answers += [InventoryAnswer(call.operation_id, ask(call)) for call in calls if call.kind is kind]

        async def move() -> None:
            moved = [(sku, *shelf.moves[sku]) for sku in sorted(shelf.moves)]
            if moved:
                await transaction.execute(_MOVE.sql, _MOVE.arrays(moved))

        transaction.at_end(move)
        return answers
