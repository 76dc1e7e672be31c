"""The two inventories of the suite, asked the same way: our own stock, and the stand-in of another system's."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import httpx

from consumers.adapters.inventory.http import HttpInventory
from consumers.adapters.inventory.internal import InternalInventory
from domain.ids import OperationId, OrderId
from domain.operation import OperationKind, idempotency_key, operation_id
from domain.order import OrderLine, reservation_id
from domain.outcome import Outcome
from domain.ports.inventory import InventoryCall
from domain.stock_calls import StockCall
from outbox.store import PostgresStore

TTL_S = 900
K = OperationKind


@dataclass(frozen=True)
class Ask:
    """A call about the goods of an order."""

    kind: OperationKind
    order: str
    lines: tuple[OrderLine, ...] = ()
    number: int = 1

    @property
    def operation_id(self) -> OperationId:
        return operation_id(OrderId(self.order), 1, self.kind, self.number)


def lines(**units: int) -> tuple[OrderLine, ...]:
    """Make lines: SKU_1=2."""
    return tuple(OrderLine(sku.replace("_", "-"), n) for sku, n in sorted(units.items()))


def stock_call(ask: Ask, until: datetime | None = None) -> StockCall:
    """Make the call at an inventory elsewhere."""
    order_id = OrderId(ask.order)
    until = until or datetime.now(UTC) + timedelta(seconds=TTL_S)  # noqa: TID251 - the inventory's clock
    return StockCall(
        ask.operation_id,
        ask.kind,
        idempotency_key(order_id, 1, ask.kind, ask.number),
        order_id,
        reservation_id(order_id, 1),
        ask.lines,
        until if ask.kind in {K.RESERVE, K.EXTEND} else None,
    )


class World(Protocol):
    """An inventory, and a look behind it."""

    async def put_in(self, units: Mapping[str, int]) -> None: ...

    async def ask(self, *asked: Ask) -> Sequence[Outcome]:
        """Make these calls at once; return their outcomes in this order."""
        ...

    async def shelf(self, sku: str) -> tuple[int, int, int]:
        """Return what is available, held and sold."""
        ...


class InternalWorld:
    """Our own stock, asked in transactions as the runtime asks it."""

    def __init__(self, store: PostgresStore, rows: Any) -> None:
        self._store = store
        self._rows = rows
        self._inventory = InternalInventory()

    async def put_in(self, units: Mapping[str, int]) -> None:
        for sku, n in units.items():
            await self._rows("INSERT INTO stock VALUES (%s, %s, 0, 0)", sku, n)

    async def ask(self, *asked: Ask) -> Sequence[Outcome]:
        async with self._store.transaction(contended=True) as transaction:
            calls = [
                InventoryCall(
                    ask.operation_id,
                    ask.kind,
                    reservation_id(OrderId(ask.order), 1),
                    ask.lines,
                    transaction.now + timedelta(seconds=TTL_S),
                )
                for ask in asked
            ]
            answers = await self._inventory.perform(transaction, calls)
        outcomes = {answer.operation_id: answer.outcome for answer in answers}
        return [outcomes[ask.operation_id] for ask in asked]

    async def shelf(self, sku: str) -> tuple[int, int, int]:
        ((available, held, sold),) = await self._rows("SELECT available, reserved, sold FROM stock WHERE sku=%s", sku)
        return available, held, sold


class HttpWorld:
    """The stand-in, asked through our client."""

    def __init__(self, address: str, **options: Any) -> None:
        self.inventory = HttpInventory(address, **options)
        self._http = httpx.AsyncClient(base_url=address, trust_env=False)

    async def put_in(self, units: Mapping[str, int]) -> None:
        (await self._http.put("/inventory/stock", json={"available": units})).raise_for_status()

    async def ask(self, *asked: Ask) -> Sequence[Outcome]:
        return await self.perform([stock_call(ask) for ask in asked])

    async def perform(self, calls: Sequence[StockCall]) -> Sequence[Outcome]:
        """Make these very calls."""
        outcomes = {a.operation_id: a.outcome async for group in self.inventory.perform(calls) for a in group}
        return [outcomes[call.operation_id] for call in calls]

    async def look_up(self, calls: Sequence[StockCall]) -> Sequence[Outcome]:
        """Look these calls up."""
        outcomes = {a.operation_id: a.outcome async for group in self.inventory.look_up(calls) for a in group}
        return [outcomes[call.operation_id] for call in calls]

    async def faults(self, **wanted: Any) -> None:
        (await self._http.post("/inventory/faults", json=wanted)).raise_for_status()

    async def ledger(self) -> Any:
        return (await self._http.get("/inventory/ledger")).json()

    async def shelf(self, sku: str) -> tuple[int, int, int]:
        found = next(one for one in (await self.ledger())["stock"] if one["sku"] == sku)
        assert found["put_in"] == found["available"] + found["held"] + found["sold"], "the stock adds up"
        return found["available"], found["held"], found["sold"]

    async def close(self) -> None:
        await self.inventory.close()
        await self._http.aclose()


async def at_once(world: World, asked: Sequence[Ask]) -> Sequence[Outcome]:
    """Make each call in a request or transaction of its own, all at once."""
    return [outcomes[0] for outcomes in await asyncio.gather(*(world.ask(ask) for ask in asked))]
