"""The demo's script with the stock elsewhere, and how the inventory's ledger is compared with it."""

from collections import Counter
from dataclasses import replace
from typing import Any

import orjson
import pytest

from deploy.demo.elsewhere import INVENTORY_FAULTS, OF_ALL_CALLS, kinds_of
from deploy.demo.goods import goods_problems
from deploy.demo.kinds import KINDS, counts_for
from deploy.demo.script import Script, ScriptedOrder, write_script
from deploy.demo.stories import Refund
from deploy.stockhouse.faults import Fault, FaultsOfAll, fault_of
from domain.ids import OrderId
from domain.order import reservation_id

ORDERS = len(kinds_of(elsewhere=True))


def test_every_fault_of_the_inventory_strikes_every_call_among_the_stories() -> None:
    assert set(INVENTORY_FAULTS) == set(Fault)
    items = [story.item for kind in kinds_of(elsewhere=True) for story in kind.variants if story.item is not None]
    for call in ("RESERVE", "EXTEND", "CONFIRM", "RELEASE", "RESTOCK"):
        assert {fault_of([item], call, 0) for item in items} == {None, *Fault}
    FaultsOfAll().change(orjson.dumps(OF_ALL_CALLS))


def test_the_kinds_of_a_demo_with_its_own_stock_stay_as_they_are() -> None:
    assert kinds_of(elsewhere=False) == KINDS
    assert write_script(200, 1) == write_script(200, 1, elsewhere=False)
    assert [kind for kind, _ in counts_for(ORDERS, kinds_of(elsewhere=True))] == list(kinds_of(elsewhere=True))
    assert all(not sku.startswith("SKU-FAULT") for sku in write_script(1_000, 1).stock)


def test_every_item_of_an_order_is_in_the_stock_or_meant_not_to_be() -> None:
    script = write_script(500, 3, elsewhere=True)
    skus = {line["sku"] for order in script.orders for line in order.confirmed["lines"]}
    assert skus - script.stock.keys() == {"moon-dust"}
    assert {kind.title for kind in script.kinds} == {order.kind.title for order in script.orders}


@pytest.fixture
def script() -> Script:
    return write_script(ORDERS, 1, elsewhere=True)


def ledger_of(script: Script) -> dict[str, Any]:
    """Make the ledger that the script wants."""
    holds, sold = [], Counter[str]()
    for order in script.orders:
        for number, end in enumerate(order.story.ends, start=1):
            if order.story.cancelled:
                holds += cancelled(order, number)
            elif end.failure is None:
                back = {order.part_item: 1} if order.story.refund is Refund.PART else {}
                restocked = [{"sku": sku, "quantity": quantity} for sku, quantity in back.items()]
                made = hold(order, number, "confirmed", "reserve", "extend", "confirm")
                holds.append({**made, "restocked": restocked})
                sold.update(units(order))
                sold.subtract(back)
            elif end.failure == "capture_refused":
                holds.append(hold(order, number, "released", "reserve", "extend", "release"))
    stock = [
        {"sku": sku, "put_in": put_in, "available": put_in - sold[sku], "held": 0, "sold": sold[sku]}
        for sku, put_in in script.stock.items()
    ]
    return {"stock": stock, "holds": holds, "restocks": []}


def cancelled(order: ScriptedOrder, attempt: int) -> list[dict[str, Any]]:
    """Make the hold of a cancelled order in each of the ways that are right, by its number."""
    sold = hold(order, attempt, "confirmed", "reserve", "extend", "confirm")
    ways = [
        [],
        [hold(order, attempt, "lapsed", "reserve", "lapse")],
        [{**sold, "restocked": sold["lines"]}],
        [{**hold(order, attempt, "released", "release"), "lines": []}],
    ]
    return ways[int(order.order_id[-5:]) % len(ways)]


def units(order: ScriptedOrder) -> dict[str, int]:
    return {line["sku"]: line["quantity"] for line in order.confirmed["lines"]}


def hold(order: ScriptedOrder, attempt: int, state: str, *effects: str) -> dict[str, Any]:
    return {
        "reservation_id": str(reservation_id(OrderId(order.order_id), attempt)),
        "order_id": order.order_id,
        "state": state,
        "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in units(order).items()],
        "restocked": [],
        "effects": [{"kind": kind, "key": f"{order.order_id}:{kind}", "at": ""} for kind in effects],
    }


def test_a_ledger_as_the_script_wants_it_has_no_problem(script: Script) -> None:
    ledger = ledger_of(script)
    assert list(goods_problems(script, ledger)) == []
    ledger["holds"].append({**hold(first(script, "declined"), 1, "released", "release"), "lines": []})
    assert list(goods_problems(script, ledger)) == [], "a release of what was never held holds nothing"


def first(script: Script, title: str) -> ScriptedOrder:
    return next(order for order in script.orders if order.kind.title == title)


def test_every_wrong_ledger_is_found(script: Script) -> None:
    paid, refused, declined = (
        first(script, "paid by card"),
        first(script, "capture refused, the hold let go"),
        first(script, "declined"),
    )

    def problems(change: dict[str, Any] | None, *added: dict[str, Any], whose: ScriptedOrder = paid) -> set[str]:
        ledger = ledger_of(script)
        for number, one in enumerate(ledger["holds"]):
            if one["order_id"] == whose.order_id:
                ledger["holds"][number] = {**one, **change} if change is not None else None
        ledger["holds"] = [one for one in [*ledger["holds"], *added] if one is not None]
        found = list(goods_problems(script, ledger))
        assert {name for name, _ in found} == {whose.order_id}
        return {text for _, text in found}

    twice = hold(paid, 1, "confirmed", "reserve", "confirm", "confirm")["effects"]
    assert problems(None) == {"attempt 1: its goods were never held at the inventory, and must be sold"}
    assert problems({"state": "lapsed"}) == {"attempt 1: its goods are lapsed at the inventory, and must be sold"}
    assert problems({"effects": twice}) == {"attempt 1: 2 times confirm at the inventory"}
    assert "attempt 1: {'tea': 1} came back to the inventory, and its goods must be sold" in problems(
        {"restocked": [{"sku": "tea", "quantity": 1}]}
    )
    assert "the inventory has other goods" in "".join(problems({"lines": [{"sku": "tea", "quantity": 99}]}))
    assert problems({}, {**hold(paid, 7, "held", "reserve")}) == {"1 more hold at the inventory"}
    assert problems({"state": "held"}, whose=refused) == {
        "attempt 1: its goods are held at the inventory, and must be held, then free again"
    }
    assert problems({}, hold(declined, 1, "held", "reserve"), whose=declined) == {
        "attempt 1: its goods are held at the inventory, and must be never held"
    }


def test_goods_of_a_cancelled_order_that_did_not_come_back_are_found(script: Script) -> None:
    late = first(script, "paid, then cancelled")
    alone = replace(script, orders=[late])
    sold = hold(late, 1, "confirmed", "reserve", "confirm")
    part = [{**sold["lines"][0], "quantity": 99}]

    for back, said in (([], "nothing"), (part, "{")):
        found = dict(goods_problems(alone, {**ledger_of(alone), "holds": [{**sold, "restocked": back}]}))
        assert found[late.order_id].startswith(f"attempt 1: {said}"), found
        assert found[late.order_id].endswith(
            "came back to the inventory, and its goods must be free again, or never held"
        )


def test_units_that_do_not_add_up_are_found(script: Script) -> None:
    ledger = ledger_of(script)
    ledger["stock"][0]["available"] -= 1
    ledger["stock"].append({"sku": "gift", "put_in": 1, "available": 1, "held": 0, "sold": 0})
    ledger["holds"].append({**hold(script.orders[0], 1, "held", "reserve"), "order_id": "nobody"})

    assert [(whose, text[:20]) for whose, text in goods_problems(script, ledger)] == [
        ("nobody", "1 hold at the invent"),
        (ledger["stock"][0]["sku"], "the inventory has {'"),
        ("gift", "a SKU at the invento"),
    ]
