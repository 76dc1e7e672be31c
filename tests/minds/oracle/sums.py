"""Money and goods add up: topics, database and the gateway's books say the same, to the minor unit and to the piece."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final

from tests.minds.oracle.case import Index, Violation
from tests.minds.oracle.refunds import CANCELLED, PAID, REFUNDED, RESTOCKED, returned
from tests.minds.script import CONTESTED, SCARCE

DASHBOARD: Final = "elsewhere"
"""Under this key the ledger has what somebody did at the gateway, however often."""
MAY_BE_SHORT: Final = (SCARCE, CONTESTED)


def check_money(index: Index) -> Iterator[Violation]:
    """Compare for each order what was captured and what went back."""
    for order_id in index.case.orders:
        for what in (*_wrong_at_gateway(index, order_id), *_wrong_in_books(index, order_id)):
            yield Violation("money", order_id, what, index.where(order_id))


def _wrong_at_gateway(index: Index, order_id: str) -> Iterator[str]:
    order = index.case.orders[order_id]
    for intent in index.intents.get(order_id, ()):
        captured = intent["amount_captured_minor"]
        if intent["amount_refunded_minor"] > captured:
            yield "the gateway gave back more than it took"
        if captured not in {0, order.total_minor} or intent["currency"] != order.currency:
            yield f"captured {captured} {intent['currency']} of {order.total_minor}"
        done = Counter((effect["kind"], effect["key"]) for effect in intent["effects"] if effect["key"] != DASHBOARD)
        if twice := sorted(of for of, times in done.items() if times > 1):
            yield f"executed twice under one key: {twice}"
    refunds = [str(event.fields["refund_id"]) for event in index.of(order_id, REFUNDED)]
    if len(set(refunds)) != len(refunds):
        yield f"a refund was said twice: {sorted(refunds)}"


def _wrong_in_books(index: Index, order_id: str) -> Iterator[str]:
    row, captured, refunded = index.row(order_id), index.captured(order_id), index.refunded(order_id)
    said, outside = returned(index, order_id)
    if said != refunded:
        yield f"the events say {said} went back, the gateway {refunded}"
    if (row.captured_minor, row.refunded_minor) != (captured, refunded + outside):
        what = f"the database has {row.captured_minor} and {row.refunded_minor} back, the gateway {captured}"
        yield f"{what} and {refunded}, {outside} outside"
    kept = captured - refunded - outside
    if kept < 0:
        yield f"{refunded + outside} went back of {captured}"
    if row.status == "paid_and_confirmed" and captured != index.case.orders[order_id].total_minor:
        yield f"paid, but captured are {captured}"
    if row.status in {"payment_failed", "cancelled"} and kept:
        yield f"{row.status}, but {kept} are kept"


def check_stock(index: Index) -> Iterator[Violation]:
    """See that what is sold is what paid orders keep, and that nothing is held in the end."""
    sold: Counter[str] = Counter()
    for order_id in index.case.orders:
        back = _units_back(index, order_id)
        if not index.of(order_id, PAID):
            if back and not index.of(order_id, CANCELLED):
                yield Violation("stock", order_id, f"{dict(back)} are back of an order that was not paid")
            continue
        left = Counter(index.case.orders[order_id].units)
        left.subtract(back)
        if min(left.values()) < 0:
            yield Violation("stock", order_id, f"more is back than was sold: {dict(back)}", index.where(order_id))
        if index.of(order_id, CANCELLED) and any(left.values()):
            yield Violation("stock", order_id, f"cancelled, but not back are {dict(+left)}", index.where(order_id))
        sold.update(left)
    for sku, units in index.case.stock.items():
        yield from _check_sku(index, sku, units, sold[sku])


def _units_back(index: Index, order_id: str) -> Counter[str]:
    back: Counter[str] = Counter()
    for event in index.of(order_id, RESTOCKED):
        back.update({line["sku"]: int(line["quantity"]) for line in event.fields["lines"]})
    return back


def _check_sku(index: Index, sku: str, units: int, sold: int) -> Iterator[Violation]:
    put_in, available, reserved, gone = index.case.found.stock.get(sku, (0, 0, 0, 0))
    if put_in != units or available + reserved + gone != units or available < 0:
        what = f"{units} were put in; {available} available, {reserved} reserved, {gone} sold"
        yield Violation("stock", sku, what)
    if gone != sold:
        yield Violation("stock", sku, f"{gone} sold, but paid orders keep {sold}")
    if reserved:
        yield Violation("stock", sku, f"{reserved} are held for orders that have ended")


def check_holds(index: Index) -> Iterator[Violation]:
    """Every hold of a cancelled order is released, or was sold meanwhile and its units are back; each says so."""
    for order_id, order in index.case.orders.items():
        if not index.of(order_id, CANCELLED) or index.of(order_id, PAID):
            continue
        reserved = {e.fields["reservation_id"] for e in index.of(order_id, "ItemsReserved")}
        released = {e.fields["reservation_id"] for e in index.of(order_id, "ReservationReleased")}
        missing = reserved - released
        if _units_back(index, order_id) == Counter(order.units):
            missing = set(sorted(missing)[1:])
        if missing:
            yield Violation("goods", order_id, f"cancelled, but not released: {sorted(missing)}", index.where(order_id))


def check_outcomes(index: Index) -> Iterator[Violation]:
    """See that no order is paid twice, and that what nobody cancelled came to the end of its kind."""
    asked: dict[str, int] = defaultdict(int)
    for one in index.cancels:
        asked[one.order_id] += 1
    for order_id, order in index.case.orders.items():
        paid, row = index.of(order_id, PAID), index.row(order_id)
        if len(paid) > 1:
            yield Violation("double", order_id, f"PaidAndConfirmed {len(paid)} times", index.where(order_id))
        if order_id in asked or order.kind.sku in MAY_BE_SHORT:
            continue
        wanted = {"paid_and_confirmed", "manual_review"} if order.kind.ends_paid else {"payment_failed"}
        if row.status not in wanted:
            what = f"nobody cancelled it, and it is {row.status}"
            yield Violation("status", order_id, what, index.where(order_id))
