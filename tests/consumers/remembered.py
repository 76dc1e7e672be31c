"""What a process remembers of an order is what the tables say of it."""

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

import pytest

from domain.ids import OrderId
from domain.order import Order
from domain.values import replace
from outbox.store.loading import Loading
from outbox.store.transaction import PgTransaction


def compare_with_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every load of every transaction read from the tables what it remembered, under its locks.

    What it read there itself is not read again: the sweep may have claimed an operation meanwhile, and for that it
    locks no order. This is why an order with an operation that is due is never remembered.
    """
    load, read = PgTransaction.load, Loading.read
    read_by_load: ContextVar[set[OrderId]] = ContextVar("read_by_load")

    async def noted(self: Loading, order_ids: Sequence[OrderId]) -> dict[OrderId, Order]:
        read_by_load.get().update(order_ids)
        return await read(self, order_ids)

    async def checked(self: PgTransaction, order_ids: Sequence[OrderId], **how: Any) -> dict[OrderId, Order]:
        told = read_by_load.set(set())
        loaded = await load(self, order_ids, **how)
        remembered = sorted(loaded.keys() - read_by_load.get())
        read_by_load.reset(told)
        for order_id, order in (await read(self._loading, remembered) if remembered else {}).items():
            assert _sorted(loaded[order_id]) == _sorted(order), (loaded[order_id], order)
        return loaded

    monkeypatch.setattr(PgTransaction, "load", checked)
    monkeypatch.setattr(Loading, "read", noted)


def _sorted(order: Order) -> Order:
    """Put in one order what has none."""
    holds = tuple(sorted(order.holds, key=lambda hold: hold.attempt))
    return replace(order, holds=holds, operations=tuple(sorted(order.operations, key=lambda o: o.operation_id)))
