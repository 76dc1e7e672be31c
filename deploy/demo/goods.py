"""Compares what the inventory sandbox truly did with the script: each hold, and every unit."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from deploy.demo.script import Script, ScriptedOrder
from deploy.demo.stories import Refund
from domain.ids import OrderId
from domain.order import reservation_id
from schemas.texts import counted

SOLD: Final = "sold"
FREED: Final = "held, then free again"
NOTHING: Final = "never held"
BACK: Final = "free again, or never held"
"""Of a cancelled order, whenever the cancel came: not held, released, lapsed, or sold and all put back."""
GOODS: Final[Mapping[str | None, str]] = {None: SOLD, "capture_refused": FREED}
"""What must have become of an attempt's goods, by its failure; of any other failure: NOTHING."""
_STATES: Final[Mapping[str, frozenset[str]]] = {
    SOLD: frozenset({"confirmed"}),
    FREED: frozenset({"released", "lapsed"}),
    BACK: frozenset({"released", "lapsed", "confirmed"}),
    NOTHING: frozenset(),
}

Ledger = Mapping[str, Any]


def goods_problems(script: Script, ledger: Ledger) -> Iterator[tuple[str, str]]:
    """Yield what is not as the script says: the order or the SKU, and what is wrong. ledger: when all is quiet."""
    by_order: dict[str, dict[str, Any]] = {}
    for hold in ledger["holds"]:
        by_order.setdefault(hold["order_id"], {})[hold["reservation_id"]] = hold
    sold: Counter[str] = Counter()
    for order in script.orders:
        holds = by_order.pop(order.order_id, {})
        for number, end in enumerate(order.story.ends, start=1):
            wanted = BACK if order.story.cancelled else GOODS.get(end.failure, NOTHING)
            hold = holds.pop(str(reservation_id(OrderId(order.order_id), number)), None)
            for problem in _hold_problems(order, wanted, hold):
                yield order.order_id, f"attempt {number}: {problem}"
            if wanted == SOLD:
                sold.update(_units(order))
                sold.subtract(_returned(order))
        if holds:
            yield order.order_id, f"{counted(len(holds), 'more hold')} at the inventory"
    for order_id, holds in by_order.items():
        yield order_id, f"{counted(len(holds), 'hold')} at the inventory that nobody asked for"
    yield from _stock_problems(script, ledger["stock"], sold)


def _hold_problems(order: ScriptedOrder, wanted: str, hold: Mapping[str, Any] | None) -> Iterator[str]:
    if hold is None or (wanted in {NOTHING, BACK} and not hold["lines"]):
        if wanted not in {NOTHING, BACK}:
            yield f"its goods were never held at the inventory, and must be {wanted}"
        return
    if hold["state"] not in _STATES[wanted]:
        yield f"its goods are {hold['state']} at the inventory, and must be {wanted}"
        return
    lines, back = ({line["sku"]: line["quantity"] for line in hold[name]} for name in ("lines", "restocked"))
    if lines != _units(order):
        yield f"the inventory has other goods than were ordered: {lines}"
    if back != (lines if wanted == BACK and hold["state"] == "confirmed" else _returned(order)):
        yield f"{back or 'nothing'} came back to the inventory, and its goods must be {wanted}"
    effects = Counter(effect["kind"] for effect in hold["effects"])
    for kind in ("reserve", *(["confirm"] if hold["state"] == "confirmed" else [])):
        if effects[kind] != 1:
            yield f"{effects[kind]} times {kind} at the inventory"


def _stock_problems(
    script: Script, stock: Sequence[Mapping[str, Any]], sold: Counter[str]
) -> Iterator[tuple[str, str]]:
    """Compare the units of each SKU: what was filled in is free or sold to those who paid."""
    found = {one["sku"]: one for one in stock}
    for sku, put_in in script.stock.items():
        one = found.pop(sku, None)
        wanted = {"put_in": put_in, "available": put_in - sold[sku], "held": 0, "sold": sold[sku]}
        if one is None or {name: one[name] for name in wanted} != wanted:
            yield sku, f"the inventory has {one}, not {wanted}"
    for sku in found:
        yield sku, "a SKU at the inventory that nobody filled in"


def _returned(order: ScriptedOrder) -> Counter[str]:
    """Return the units that come back with a refund of a part."""
    return Counter({order.part_item: 1} if order.story.refund is Refund.PART else {})


def _units(order: ScriptedOrder) -> Counter[str]:
    units: Counter[str] = Counter()
    for line in order.confirmed["lines"]:
        units[line["sku"]] += line["quantity"]
    return units
