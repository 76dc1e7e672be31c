"""Money and goods add up, to the minor unit and to the piece."""

from collections import Counter
from collections.abc import Iterator

from tests.chaos.oracle.case import Index, Violation


def check_money(index: Index) -> Iterator[Violation]:
    """Compare what the gateway kept with what the paid orders cost, and with what the database says."""
    found = index.case.found
    kept: Counter[str] = Counter()
    for intent in found.ledger:
        kept[intent["currency"]] += intent["amount_captured_minor"] - intent["amount_refunded_minor"]
    owed: Counter[str] = Counter()
    for order_id in index.paid & index.orders.keys():
        owed[index.orders[order_id].currency] += index.orders[order_id].total_minor
    booked: Counter[str] = Counter()
    for (order_id, _), (captured, refunded) in found.attempts.items():
        order = index.orders.get(order_id)
        if order is not None:
            booked[order.currency] += captured - refunded
    for currency in sorted(kept.keys() | owed.keys() | booked.keys()):
        if not kept[currency] == owed[currency] == booked[currency]:
            what = (
                f"the gateway kept {kept[currency]}, the paid orders cost {owed[currency]}, booked {booked[currency]}"
            )
            yield Violation("money", currency, what)


def check_stock(index: Index) -> Iterator[Violation]:
    """See that nothing was sold that was not there, and that nothing is held in the end."""
    sold: Counter[str] = Counter()
    for order_id in index.paid & index.orders.keys():
        sold.update(index.orders[order_id].units)
    for sku, units in index.case.sku_units.items():
        put_in, available, reserved, gone = index.case.found.stock.get(sku, (0, 0, 0, 0))
        if put_in != units or available + reserved + gone != units or available < 0:
            what = f"{units} were put in; {available} available, {reserved} reserved, {gone} sold"
            yield Violation("stock", sku, what)
        if gone != sold[sku]:
            yield Violation("stock", sku, f"{gone} sold, but {sold[sku]} paid for")
        if reserved:
            yield Violation("stock", sku, f"{reserved} are held for orders that have ended")
