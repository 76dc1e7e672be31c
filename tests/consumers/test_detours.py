"""What needs a held row is left; everything else is worked on once, in the order of each order; few wait in vain."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from consumers.runtime import locks
from consumers.runtime.cutting import or_cut
from consumers.runtime.locks import HIDDEN_S, Detour, LockWatch
from consumers.runtime.trip import IN_VAIN_MAX, Blocked
from domain.errors import Busy, DownForEverybody
from domain.ids import OrderId
from domain.ports.locks import Holder, Locks, RowLock, TableLock
from outbox.store import PostgresStore

PSQL = Holder(4711, "ann", "psql")
ANALYST = Holder(4712, "bob", "analyst")
PIECES_MAX = 10
"""So many pieces a thousand are in when it is found that they wait: each was cut off when another was halved."""


class Item(NamedTuple):
    """A message or an answer."""

    order_id: OrderId
    number: int


@dataclass
class World(PostgresStore):
    """Orders whose rows are held, orders that need held goods, and orders that wait for what nobody can tell."""

    rows: set[str] = field(default_factory=set)
    goods: set[str] = field(default_factory=set)
    hidden: set[str] = field(default_factory=set)
    table: bool = False
    other_table: bool = False
    shared: bool = False
    touches_goods: bool = True
    changing: bool = False
    done: list[Item] = field(default_factory=list)
    lost: list[Item] = field(default_factory=list)
    in_vain: int = 0
    asked: int = 0
    down: bool = False

    async def locks(self, order_ids: Sequence[OrderId]) -> Locks:
        self.asked += 1
        if self.down:
            raise DownForEverybody("PostgreSQL does not answer")
        if self.table:
            return Locks((TableLock("orders", "AccessExclusiveLock", PSQL),), blind=True)
        asked: set[str] = set(order_ids)
        by = frozenset({str(self.asked) if self.changing else "1"})
        found = [RowLock("orders", i, by, frozenset({OrderId(i)}), PSQL, self.shared) for i in self.rows & asked]
        if needed_by := self.goods & asked:
            found.append(RowLock("stock", "TEA", by, frozenset(map(OrderId, needed_by)), PSQL, self.shared))
        tables = (TableLock("dead_letter", "ShareLock", ANALYST),) if self.other_table else ()
        return Locks(tables, tuple(found))

    def detour(self) -> Detour[Item]:
        return Detour(LockWatch(self, apart_s=0), lambda item: item.order_id, lambda _: self.touches_goods)

    async def take(self, detour: Detour[Item], items: Sequence[Item]) -> Sequence[Item]:
        async def work(piece: Sequence[Item]) -> None:
            await detour.run(piece, or_cut(piece, self._transaction(piece)))

        async def give_up(item: Item, error: Exception) -> None:
            self.lost.append(item)

        return await detour.work(items, work, give_up)

    async def _transaction(self, piece: Sequence[Item]) -> None:
        held = self.rows | self.hidden | (self.goods if self.touches_goods else set())
        if {item.order_id for item in piece} & held:
            self.in_vain += 1
            raise Busy("canceling statement due to lock timeout", at_row=True)
        self.done += piece


def items(orders: Sequence[str]) -> list[Item]:
    return [Item(OrderId(order_id), number) for number, order_id in enumerate(orders)]


names = st.sampled_from("abcdefghijklmnopqrstuvwxyz")


@given(st.lists(names, min_size=1, max_size=60), st.sets(names), st.sets(names), st.sets(names))
def test_nothing_is_lost_or_done_twice_and_what_is_left_of_an_order_is_its_end(
    orders: list[str], rows: set[str], goods: set[str], hidden: set[str]
) -> None:
    world, all_items = World(rows=rows, goods=goods, hidden=hidden), items(orders)

    left = asyncio.run(world.take(world.detour(), all_items))

    assert sorted([*world.done, *left], key=lambda item: item.number) == all_items
    held = rows | goods | hidden
    for order_id in set(orders):
        numbers = [item.number for item in (*world.done, *left) if item.order_id == order_id]
        assert numbers == sorted(numbers)
        if order_id in held:
            assert order_id not in {item.order_id for item in world.done}
    assert world.in_vain <= IN_VAIN_MAX + PIECES_MAX
    if not hidden:
        assert {item.order_id for item in left} == held & set(orders)
        assert world.in_vain <= 2


async def test_one_that_nobody_can_tell_is_found_among_a_thousand_and_all_others_are_done() -> None:
    world = World(hidden={"order-617"})
    left = await world.take(world.detour(), items([f"order-{n}" for n in range(1_000)]))
    assert [item.order_id for item in left] == ["order-617"]
    assert (len(world.done), world.in_vain) == (999, IN_VAIN_MAX)


async def test_when_everything_waits_for_what_nobody_can_tell_it_is_not_tried_one_by_one() -> None:
    all_items = items([f"order-{n}" for n in range(1_000)])
    world = World(hidden={item.order_id for item in all_items})
    left = await world.take(world.detour(), all_items)
    assert (len(left), world.done) == (1_000, [])
    assert world.in_vain <= IN_VAIN_MAX + PIECES_MAX


async def test_behind_forty_that_nobody_can_tell_the_others_are_done_and_if_it_lasts_an_alarm_rings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(locks, "_now", lambda: now[0])
    world = World(hidden={f"order-{n}" for n in range(40)})
    detour = world.detour()
    with capture_logs() as log:
        left = await world.take(detour, items([f"order-{n}" for n in range(340)]))
        assert len(world.done) > 290
        now[0] += HIDDEN_S - 1
        left = await world.take(detour, left)
        assert [line for line in log if line.get("alarm")] == [], "it may have waited for transactions of ours"
        now[0] += 1
        left = await world.take(detour, left)
        (alarm,) = [line for line in log if line.get("alarm")]
        assert (alarm["reason"], alarm["orders"]) == ("lock_held", len(left))
        assert alarm["remedy"].startswith("the session is unknown")
        world.hidden = set()
        assert await world.take(detour, left) == []
    assert [line["event"] for line in log].count("the row is free; what waited for it goes on") == 1
    assert len(world.done) == 340


async def test_who_shares_a_row_in_turns_with_others_holds_it_for_long() -> None:
    world = World(rows={"a"}, changing=True, shared=True)
    assert [lock.key for lock in (await LockWatch(world, apart_s=0).find([OrderId("a")])).rows] == ["a"]
    detour = world.detour()
    for _ in range(3):
        assert [item.order_id for item in await world.take(detour, items("ab"))] == ["a"]
    assert world.in_vain == 1


async def test_a_table_that_nobody_needs_stops_nobody() -> None:
    world = World(rows={"a"}, hidden={"b"}, other_table=True)
    left = await world.take(world.detour(), items("abc"))
    assert {item.order_id for item in left} == {"a", "b"}


async def test_while_a_table_is_held_no_row_is_said_to_be_free() -> None:
    world = World(rows={"a"})
    detour = world.detour()
    with capture_logs() as log:
        await world.take(detour, items("a"))
        world.table = True
        assert [item.order_id for item in await world.take(detour, items("ab"))] == ["a"]
        world.table = False
        assert [item.order_id for item in await world.take(detour, items("ab"))] == ["a"]
    assert [line["event"] for line in log if "is free" in line["event"]] == []
    assert len([line for line in log if line.get("alarm")]) == 1


async def test_what_touches_no_goods_does_not_wait_for_them_once_another_item_met_them() -> None:
    world = World(goods={"a", "b"})
    detour: Detour[Item] = Detour(
        LockWatch(world, apart_s=0), lambda item: item.order_id, lambda item: item.order_id != "b"
    )
    assert [item.order_id for item in await world.take(detour, items("a"))] == ["a"]
    world.goods = {"a"}  # b's work does without
    asked = world.asked
    assert await world.take(detour, items("b")) == []
    assert world.asked == asked


async def test_the_alarm_ends_once_the_last_row_of_a_session_is_free() -> None:
    world = World(rows={"a", "b"})
    detour = world.detour()
    with capture_logs() as log:
        await world.take(detour, items("ab"))
        world.rows = {"b"}
        await world.take(detour, items("ab"))
        assert [line["event"] for line in log if "is free" in line["event"]] == []
        world.rows = set()
        await world.take(detour, items("b"))
    assert len([line for line in log if "is free" in line["event"]]) == 1
    assert len([line for line in log if line.get("alarm")]) == 1


async def test_goods_that_are_held_do_not_stop_what_does_without_them() -> None:
    world = World(rows={"a"}, goods={"b"}, touches_goods=False)
    left = await world.take(world.detour(), items("abc"))
    assert [item.order_id for item in left] == ["a"]


async def test_while_it_lasts_nobody_waits_in_vain_again_and_then_it_is_done() -> None:
    world = World(rows={"a"}, goods={"b"})
    detour = world.detour()
    with capture_logs() as log:
        for _ in range(5):
            left = await world.take(detour, items("abc"))
            assert {item.order_id for item in left} == {"a", "b"}
        assert world.in_vain == 2
        world.rows, world.goods = set(), set()
        assert await world.take(detour, items("abc")) == []
        asked = world.asked
        await world.take(detour, items("abc"))
    assert (world.in_vain, world.asked) == (2, asked)
    (alarm,) = [line for line in log if line.get("alarm")]
    assert (alarm["reason"], alarm["holder_pid"], alarm["holder_user"], alarm["holder_application"]) == (
        "lock_held",
        4711,
        "ann",
        "psql",
    )
    assert "holder_state" not in alarm, "what cannot be seen is not told"
    assert [line["event"] for line in log].count("the row is free; what waited for it goes on") == 1


async def test_a_batch_without_an_order_that_waits_asks_nothing() -> None:
    world = World(rows={"a"})
    detour = world.detour()
    await world.take(detour, items("a"))
    asked = world.asked
    await world.take(detour, items("bcd"))
    assert world.asked == asked


async def test_what_passes_from_one_of_ours_to_another_is_not_held_for_long() -> None:
    world = World(rows={"a"}, changing=True)
    assert await LockWatch(world, apart_s=0).find([OrderId("a")]) == Locks()


async def test_a_table_that_is_held_is_busy_for_all_and_says_who_holds_it() -> None:
    world = World(table=True)
    with pytest.raises(Busy, match=r"table orders is held .* psql, .*pg_terminate_backend\(4711\)"):
        await LockWatch(world, apart_s=0).find([OrderId("a")])


async def test_what_raises_and_is_held_as_well_is_left() -> None:
    world = World(rows={"a"})
    detour = world.detour()

    async def work(piece: Sequence[Item]) -> None:
        raise KeyError("one of them")

    async def give_up(item: Item, error: Exception) -> None:
        if item.order_id == "a":
            raise Blocked(Locks())
        world.lost.append(item)

    left = await detour.work(items("ab"), work, give_up)
    assert ([item.order_id for item in left], [item.order_id for item in world.lost]) == (["a"], ["b"])


async def test_when_nobody_can_be_asked_the_work_is_tried() -> None:
    world = World(rows={"a"})
    detour = world.detour()
    await world.take(detour, items("a"))
    world.rows, world.down = set(), True
    assert list(await world.take(detour, items("a"))) == []


def test_a_prepared_transaction_has_no_process_to_end() -> None:
    assert Holder(None).remedy.startswith("ROLLBACK PREPARED")
