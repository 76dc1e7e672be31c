"""Who waits in quarantine is seen under the lock of the order, and only one at a time is put there."""

import asyncio
from typing import Any

import psycopg
import pytest

from domain.case import Case
from domain.dead_letter import DeadLetter
from domain.ids import OrderId
from domain.opening import authorize
from domain.ports.store import Change, Changes, SetAside
from domain.rules import Context, Rules
from outbox.store import PostgresStore
from schemas.rejection import Reason
from tests.outbox.locks import until_it_blocks_somebody
from tests.outbox.migrated import database_template, store, taking
from tests.schemas.builders import order_confirmed

__all__ = ["database_template", "store"]
pytestmark = pytest.mark.integration
ID = OrderId("order-1")
OTHER = OrderId("order-2")


def letter(order_id: OrderId = ID, offset: int = 1, **fields: Any) -> DeadLetter:
    values: dict[str, Any] = {
        "group": "payments.authorize_payment",
        "topic": "OrderConfirmed",
        "partition": 0,
        "offset": offset,
        "timestamp_ms": 0,
        "key": order_id.encode(),
        "body": b"",
        "headers": (),
        "masked": False,
        "reason": Reason.QUARANTINED,
        "detail": "ValueError",
        "order_id": order_id,
        "waits": True,
    }
    return DeadLetter(**(values | fields))


async def open_order(store: PostgresStore, order_id: OrderId = ID) -> None:
    async with store.transaction() as transaction:
        await transaction.load([order_id])
        event = order_confirmed(order_id=order_id, occurred_at=transaction.now)
        decision = authorize(Case(None, Context(transaction.now, event.event_id, Rules()), "authorize_payment", event))  # type: ignore[arg-type]
        assert decision.order is not None
        await transaction.save(Changes(orders=[Change(None, decision.order)]))


async def put(store: PostgresStore, *letters: DeadLetter) -> None:
    async with store.transaction(contended=True) as transaction:
        await transaction.hold([x.order_id for x in letters if x.order_id])
        await transaction.save(Changes(dead_letters=list(letters)))


@pytest.mark.parametrize("few", [True, False])
async def test_orders_that_wait_are_told_of_those_that_are_asked_for(store: PostgresStore, *, few: bool) -> None:
    await open_order(store)
    await put(store, letter(), letter(OTHER, 2), letter(OrderId("order-3"), 3, waits=False))
    async with taking(store, few=few).transaction() as transaction:
        await transaction.load([ID, OrderId("order-3"), OrderId("order-4")], waiting=True)
        assert transaction.waiting == {ID}
    async with taking(store, few=few).transaction() as transaction:
        await transaction.load([ID])
        assert transaction.waiting == frozenset()


@pytest.mark.parametrize("kind", ["letter", "operation", "order"])
@pytest.mark.parametrize("few", [True, False])
async def test_who_waited_for_the_lock_sees_the_quarantine_of_its_last_holder(
    store: PostgresStore, kind: str, *, few: bool
) -> None:
    await open_order(store)
    locked = asyncio.Event()

    async def quarantine() -> None:
        async with store.transaction(contended=True) as transaction:
            await transaction.hold([ID])
            locked.set()
            if kind == "letter":
                await transaction.save(Changes(dead_letters=[letter()]))
            else:
                assert await transaction.set_aside(await aside(transaction, kind)) is not None
            await until_it_blocks_somebody(await transaction.plain())

    async def plan() -> frozenset[OrderId]:
        await locked.wait()
        async with taking(store, few=few).transaction() as transaction:
            await transaction.load([ID], waiting=True)
            return transaction.waiting

    _, seen = await asyncio.gather(quarantine(), plan())
    assert seen == {ID}


async def aside(transaction: Any, kind: str) -> SetAside:
    ((operation_id,),) = await transaction.query("SELECT operation_id FROM operation")
    return SetAside(kind, ID, "ValueError", "", operation_id if kind == "operation" else None)  # type: ignore[arg-type]


async def test_two_that_raise_of_one_new_order_are_one_head_and_one_behind_it(store: PostgresStore) -> None:
    """There is no row to lock, and yet the second sees the first."""

    async def quarantine(offset: int, entered: asyncio.Event, before: asyncio.Event | None) -> bool:
        if before is not None:
            await before.wait()
        async with store.transaction(contended=True) as transaction:
            await transaction.hold([ID])
            entered.set()
            behind = ID in transaction.waiting
            await transaction.save(Changes(dead_letters=[letter(offset=offset, behind=behind)]))
            if before is None:
                await until_it_blocks_somebody(await transaction.plain())
            return behind

    first, second = asyncio.Event(), asyncio.Event()
    of_first, of_second = await asyncio.gather(quarantine(1, first, None), quarantine(2, second, first))
    assert (of_first, of_second) == (False, True)


async def lately(store: PostgresStore) -> int:
    async with store.transaction() as transaction:
        return await transaction.quarantined_lately()


async def test_what_came_lately_counts_without_what_waits_behind(store: PostgresStore, database_url: str) -> None:
    await open_order(store)
    async with store.transaction() as transaction:
        await transaction.hold([ID])
        await transaction.save(Changes(dead_letters=[letter(offset=n, behind=n > 1) for n in (1, 2, 3)]))
        await transaction.set_aside(SetAside("order", OTHER, "ValueError", ""))
        assert await transaction.quarantined_lately() == 2
    assert await lately(store) == 2
    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        connection.execute("UPDATE quarantine SET at = at - interval '601 s'")
        connection.execute("UPDATE dead_letter SET first_at = first_at - interval '599 s'")
    assert await lately(store) == 1


async def test_the_same_work_is_put_aside_once(store: PostgresStore) -> None:
    await open_order(store)
    for kind in ("operation", "order"):
        made = []
        for _ in range(2):
            async with store.transaction() as transaction:
                await transaction.hold([ID])
                made.append(await transaction.set_aside(await aside(transaction, kind)))
        assert made[0] is not None
        assert made[1] is None
    async with store.transaction() as transaction:
        assert await transaction.query("SELECT due_at FROM operation") == [(None,)]


async def test_letters_of_one_offset_of_a_topic_made_anew_are_two(store: PostgresStore) -> None:
    await put(store, letter(body=b"old"))
    await put(store, letter(body=b"new"), letter(body=b"new"))
    async with store.transaction() as transaction:
        found = await transaction.query("SELECT body FROM dead_letter ORDER BY id")
        copies = await transaction.query("SELECT DISTINCT event_id FROM event")
    assert [bytes(body) for (body,) in found] == [b"old", b"new"]
    assert len(copies) == 2
