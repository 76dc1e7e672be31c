import signal

import pytest

from tests.e2e.claims import check_as_scripted
from tests.e2e.deployment import Deployment
from tests.e2e.groups import await_members, rewind
from tests.e2e.script import PAID, PLENTY, Order, write_script
from tests.eventually import eventually

pytestmark = [pytest.mark.kill, pytest.mark.timeout(300)]

CONSUMERS = ("consume", "all")


def test_two_processes_share_the_work_and_who_stays_takes_over_from_who_leaves(shop: Deployment) -> None:
    orders = write_script(600, seed=9)
    shop.start("relay", "sweep")
    first, second = shop.begin("first", CONSUMERS), shop.begin("second", CONSUMERS)
    await_members(shop, 2)
    shop.publish(orders[:200])
    eventually(
        lambda: all('"PaymentAuthorized"' in process.log for process in (first, second)), "both authorize payments"
    )

    shop.publish(orders[200:400])
    assert shop.settled() < len(shop.published), "the first does not leave amid the orders"
    first.signal(signal.SIGTERM)
    assert first.wait() == 0
    await_members(shop, 1)

    del shop.processes["first"]
    third = shop.begin("third", CONSUMERS)
    await_members(shop, 2)
    shop.publish(orders[400:])
    eventually(lambda: '"PaymentAuthorized"' in third.log, "the third authorizes payments")
    shop.kill("second")
    assert shop.settled() < len(shop.published), "the second did not die amid the orders"
    del shop.processes["second"]
    check_as_scripted(shop)
    shop.stop()


def test_killed_between_plan_and_settle_the_sweep_finishes_and_redelivery_does_nothing(shop: Deployment) -> None:
    lost = Order("answer-lost", "pm_fault_timeout_after_on_authorize", PLENTY, PAID)
    never_sent = Order("never-executed", "pm_fault_timeout_before_on_authorize", PLENTY, PAID)
    captured = Order("capture-lost", "pm_fault_timeout_after_on_capture", PLENTY, PAID)
    shop.start("relay", "sweep")
    shop.start("consumers", PAYMENTS_GATEWAY_TIMEOUT_S="6")
    shop.publish([captured])
    eventually(lambda: _effects(shop) == {"capture-lost": ["authorize", "capture"]}, "the capture, without an answer")
    shop.publish([lost, never_sent])
    eventually(lambda: _effects(shop).get("answer-lost") == ["authorize"], "the charge, without an answer")
    open_calls = "select order_id, kind, tries from operation where state = 'open' order by order_id"
    asked = [("answer-lost", "authorize", 0), ("capture-lost", "capture", 0), ("never-executed", "authorize", 0)]
    eventually(lambda: shop.rows(open_calls) == asked, lambda: f"three open operations: {shop.rows(open_calls)}")
    shop.kill("consumers")

    # Nobody but the sweep is there now, and it may not take them before their leases are over.
    finished = {"answer-lost": "payment_authorized", "capture-lost": "paid_and_confirmed"}
    finished["never-executed"] = "payment_authorized"
    statuses = "select order_id, status from orders"
    eventually(lambda: dict(shop.rows(statuses)) == finished, lambda: f"the sweep finishes: {shop.rows(statuses)}")
    rewind(shop)
    shop.start("consumers")
    check_as_scripted(shop)
    assert list(_effects(shop).values()) == [["authorize", "capture"]] * 3
    shop.stop()


def _effects(shop: Deployment) -> dict[str, list[str]]:
    return {intent["order_id"]: [effect["kind"] for effect in intent["effects"]] for intent in shop.ledger()}
