"""A consumer is killed after the gateway executed a call and before its answer is recorded: each has one effect."""

import pytest

from tests.e2e.claims import check_as_scripted
from tests.e2e.deployment import Deployment
from tests.e2e.script import PAID, PLENTY, REFUNDED, SCARCE, VOIDED, Order
from tests.eventually import eventually

pytestmark = [pytest.mark.kill, pytest.mark.timeout(300)]

CALLS = {
    "capture": Order("capture", "pm_fault_timeout_after_on_capture", PLENTY, PAID),
    "void": Order("void", "pm_fault_timeout_after_on_void", SCARCE, VOIDED),
    "refund": Order("refund", "pm_fault_timeout_after_on_refund_captured", SCARCE, REFUNDED),
    # Last: it takes the fewest steps, and none of them may be answered before the kill.
    "authorize": Order("authorize", "pm_fault_timeout_after_on_authorize", PLENTY, PAID),
}
EXECUTED = {
    "authorize": ["authorize"],
    "capture": ["authorize", "capture"],
    "void": ["authorize", "cancel"],
    "refund": ["authorize", "capture", "refund"],
}
OPEN = "select kind, tries from operation where state = 'open' order by kind"
TIMEOUT_S = "15"
"""The answers must not be given up before all four calls are executed, on a busy machine either."""


def test_killed_between_sent_and_recorded_each_call_has_one_effect_and_its_right_end(shop: Deployment) -> None:
    shop.start("relay")
    shop.start("consumers", PAYMENTS_GATEWAY_TIMEOUT_S=TIMEOUT_S, PAYMENTS_LEASE_S="20")
    for name, order in CALLS.items():
        shop.publish([order])
        eventually(lambda: _effects(shop).get(name) == EXECUTED[name], f"the {name} is executed")  # noqa: B023
    asked = [(kind, 0) for kind in sorted(CALLS)]
    eventually(lambda: shop.rows(OPEN) == asked, lambda: f"four calls without an answer: {shop.rows(OPEN)}")
    shop.kill("consumers")

    assert shop.rows(OPEN) == asked, "no answer was recorded"
    assert _effects(shop) == EXECUTED
    shop.start("consumers", "sweep")
    check_as_scripted(shop)
    ends = {order.order_id: list(order.ending.effects) for order in CALLS.values()}
    assert _effects(shop) == ends
    shop.stop()


def _effects(shop: Deployment) -> dict[str, list[str]]:
    return {intent["order_id"]: [effect["kind"] for effect in intent["effects"]] for intent in shop.ledger()}
