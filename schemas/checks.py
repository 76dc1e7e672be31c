"""Checks of an upstream event beyond its fields: sums within bounds, no card numbers, known currencies.

Only upstream events are checked. An event of ours is already on its topic, and must be read.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from schemas.cards import contains_card_number, is_only_digits
from schemas.events import (
    OrderCancelRequested,
    OrderConfirmed,
    PaymentMethod,
    PaymentRetryRequested,
    RefundRequested,
    StockAdjusted,
)
from schemas.fields import HIDDEN, INT_MAX, UNITS_MAX
from schemas.limits import AMOUNT_MAX_MINOR
from schemas.money import is_currency
from schemas.records import Event
from schemas.rejection import Reason, Rejected


def check(event: Event, *, amount_max_minor: Mapping[str, int] = AMOUNT_MAX_MINOR) -> None:
    """Refuse an event that contradicts itself or contains a card number: raise Rejected. Events of ours always pass.

    amount_max_minor: the largest total by currency; it names every currency that there is.
    """
    check_its_own = _CHECKS.get(type(event))
    if check_its_own is not None:
        check_its_own(event, amount_max_minor)


def total_minor(order: OrderConfirmed) -> int:
    """Compute what an order costs, in minor units of its currency, from its parts."""
    sold = sum(line.quantity * line.unit_price_minor for line in order.lines)
    return sold - order.discount_minor + order.delivery_fee_minor + order.service_fee_minor + order.tax_minor


def _check_method(method: PaymentMethod | None) -> None:
    if method is None:
        return
    if method.token == HIDDEN:
        raise Rejected(
            Reason.INVALID_FIELD,
            "payment_method.token: hidden, for this is the copy of a dead letter. Have its publisher send it anew.",
        )
    _refuse_card_number("token", method.token, "a token")
    if method.gateway_customer_id is not None:
        _refuse_card_number("gateway_customer_id", method.gateway_customer_id, "the customer's id")
    elif method.off_session:
        raise Rejected(
            Reason.INVALID_FIELD,
            "payment_method.off_session: true without gateway_customer_id. Only a saved method can be charged while "
            "the customer is away: correct the publisher.",
        )


def _refuse_card_number(name: str, text: str, wanted: str) -> None:
    if is_only_digits(text) or contains_card_number(text):
        raise Rejected(
            Reason.CARD_NUMBER,
            f"payment_method.{name} is or may be a card number. Find out who sent it. Send {wanted} of the gateway.",
        )


def _check_texts(event: Event, *names: str) -> None:
    """Refuse a card number in texts that people write."""
    for name in names:
        if contains_card_number(getattr(event, name)):
            raise Rejected(
                Reason.CARD_NUMBER,
                f"{name} is or may contain a card number. Find out who sent it, and send it without the number.",
            )


def _check_units(event: RefundRequested) -> None:
    if sum(line.quantity for line in event.lines) > UNITS_MAX:
        raise Rejected(
            Reason.INVALID_FIELD,
            f"lines: they come to more than {UNITS_MAX} units, more than any order has. Correct the publisher.",
        )


def _refuse_too_many_units(order: OrderConfirmed) -> None:
    """Check the sum over the lines of one SKU, for they become one item in events and in the stock."""
    # Fast path: if all lines together are within the bound, each SKU is.
    if sum(line.quantity for line in order.lines) <= INT_MAX:
        return
    units: Counter[str] = Counter()
    for line in order.lines:
        units[line.sku] += line.quantity
    if max(units.values()) > INT_MAX:
        raise Rejected(
            Reason.INVALID_FIELD,
            f"lines: the lines of one SKU come to more than {INT_MAX} units. Correct the publisher, or split the order "
            "over several order ids.",
        )


def _check_order(order: OrderConfirmed, amount_max_minor: Mapping[str, int]) -> None:
    _refuse_too_many_units(order)
    computed = total_minor(order)
    if order.total_minor != computed:
        raise Rejected(
            Reason.TOTAL_MISMATCH,
            f"total_minor is {order.total_minor}, but its parts make {computed}. Correct checkout's sum.",
        )
    if not is_currency(order.currency):
        raise Rejected(
            Reason.UNKNOWN_CURRENCY,
            "currency is not an ISO 4217 code with a minor unit. Correct checkout, or update the currency table.",
        )
    limit = amount_max_minor[order.currency]
    if order.total_minor > limit:
        raise Rejected(
            Reason.AMOUNT_LIMIT,
            f"total_minor is above {limit}, the limit in {order.currency}. If the order is real, raise "
            "PAYMENTS_AMOUNT_MAX_MINOR.",
        )
    if order.payment_method is None and order.total_minor:
        raise Rejected(
            Reason.INVALID_FIELD,
            "payment_method: missing, though there is something to pay. Correct the publisher.",
        )


def _check_confirmed(event: OrderConfirmed, amount_max_minor: Mapping[str, int]) -> None:
    _check_method(event.payment_method)
    _check_order(event, amount_max_minor)


def _check_refund(event: RefundRequested, _: Mapping[str, int]) -> None:
    _check_texts(event, "request_id", "reason", "requested_by")
    _check_units(event)


_CHECKS: Final[dict[type[Event], Callable[[Any, Mapping[str, int]], None]]] = {
    OrderConfirmed: _check_confirmed,
    PaymentRetryRequested: lambda event, _: _check_method(event.payment_method),
    OrderCancelRequested: lambda event, _: _check_texts(event, "request_id", "reason", "requested_by"),
    RefundRequested: _check_refund,
    StockAdjusted: lambda event, _: _check_texts(event, "reason"),
}
"""The checks of each type of event that has some."""
