"""What a process remembers of an order is what the tables say of it."""

from collections.abc import Sequence

import pytest

from domain.ids import OrderId
from domain.order import Order
from domain.values import replace
from outbox.store.transaction import PgTransaction


def compare_with_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every load of every transaction read its orders from the tables, too, under its locks."""
    load = PgTransaction.load

    async def checked(
        self: PgTransaction, order_ids: Sequence[OrderId], *, waiting: bool = False
    ) -> dict[OrderId, Order]:
        loaded = await load(self, order_ids, waiting=waiting)
        read = await self._read(sorted(loaded))
        for order_id, order in read.items():
            assert _sorted(loaded[order_id]) == _sorted(order), (loaded[order_id], order)
        return loaded

    monkeypatch.setattr(PgTransaction, "load", checked)


def _sorted(order: Order) -> Order:
    """Put in one order what has none."""
    holds = tuple(sorted(order.holds, key=lambda hold: hold.attempt))
    return replace(order, holds=holds, operations=tuple(sorted(order.operations, key=lambda o: o.operation_id)))
