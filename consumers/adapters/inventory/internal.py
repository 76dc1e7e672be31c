"""The stock in our own database. It answers a whole batch at once: every line of an order or none.

`outbox/store/stock.py` reads and writes it.
"""

from collections.abc import Sequence
from functools import partial

from domain.decision import Adjustment
from domain.operation import OperationKind
from domain.outcome import Approved, Missing, Outcome, Reserved, Short
from domain.ports.inventory import InventoryAnswer, InventoryCall, Refused
from domain.ports.store import Transaction
from outbox.store.adjusting import adjust_stock
from outbox.store.stock import move, read_available
from outbox.store.transaction import PgTransaction


class _Shelf:
    """The stock as this batch sees it. moves: by SKU, the whole units by which available, reserved and sold change."""

    def __init__(self, available: dict[str, int]) -> None:
        self._available = available
        self.moves: dict[str, list[int]] = {}

    def reserve(self, call: InventoryCall) -> Outcome:
        """Reserve every line or none."""
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
        """Put every line back. Another order of the batch may reserve what was put back."""
        for line in call.lines:
            if line.sku in self._available:
                self._available[line.sku] += line.quantity
            self._move(line.sku, line.quantity, -line.quantity, 0)
        return Approved()

    def confirm(self, call: InventoryCall) -> Outcome:
        """Turn the held units into sold ones."""
        for line in call.lines:
            self._move(line.sku, 0, -line.quantity, line.quantity)
        return Approved()

    def restock(self, call: InventoryCall) -> Outcome:
        """Put sold units back. Another order of the batch may reserve them."""
        for line in call.lines:
            if line.sku in self._available:
                self._available[line.sku] += line.quantity
            self._move(line.sku, line.quantity, 0, -line.quantity)
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
        """Answer all calls: releases and sales first, so that reservations can take what the batch gives back."""
        assert isinstance(transaction, PgTransaction)
        skus = sorted({line.sku for call in calls if call.kind is OperationKind.RESERVE for line in call.lines})
        shelf = _Shelf(await read_available(transaction, skus))
        answers = []
        for kind, ask in (
            (OperationKind.RELEASE, shelf.release),
            (OperationKind.RESTOCK, shelf.restock),
            (OperationKind.CONFIRM, shelf.confirm),
            (OperationKind.RESERVE, shelf.reserve),
        ):
            answers += [InventoryAnswer(call.operation_id, ask(call)) for call in calls if call.kind is kind]
        transaction.at_end(partial(move, transaction, shelf.moves))
        return answers

    async def adjust(self, transaction: Transaction, adjustments: Sequence[Adjustment]) -> Sequence[Refused]:
        """Make these adjustments: a few statements for all of them."""
        assert isinstance(transaction, PgTransaction)
        return await adjust_stock(transaction, adjustments)
