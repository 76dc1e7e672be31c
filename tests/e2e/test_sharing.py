import signal

import pytest

from tests.e2e.claims import check_as_scripted
from tests.e2e.deployment import ROLES, Deployment, eventually
from tests.e2e.script import Order, alike, write_script

pytestmark = [pytest.mark.kill, pytest.mark.timeout(300)]


def test_two_processes_share_the_work_and_each_is_replaced_by_the_other(shop: Deployment) -> None:
    orders = write_script(600, seed=9)
    shop.start(*ROLES)
    second = shop.begin("second", ROLES["authorize"])
    second.await_line('"running"')
    first = shop.processes["authorize"]

    sent = 0

    def both_work() -> bool:
        nonlocal sent
        if sent < 300:
            shop.publish(orders[sent : sent + 20])
            sent += 20
        return all('"PaymentAuthorized"' in process.log for process in (first, second))

    eventually(both_work, "both processes authorize orders")

    first.signal(signal.SIGTERM)
    assert first.wait() == 0
    shop.publish(orders[sent:450])
    shop.await_settled(450)

    shop.kill("second")
    del shop.processes["second"]
    shop.start("authorize")
    shop.publish(orders[450:])
    check_as_scripted(shop)
    shop.stop()


def test_killed_between_plan_and_settle_the_sweep_finishes_after_the_lease_with_one_charge(shop: Deployment) -> None:
    hanging = alike(1, "hanging", token="pm_fault_timeout_after_on_authorize")
    shop.start("fulfil", "tell", "relay", "sweep")
    shop.start("authorize", PAYMENTS_GATEWAY_TIMEOUT_S="7")
    _publish_twice(shop, hanging)
    eventually(lambda: len(shop.ledger()) == 1, "the gateway has the call, and its answer is outstanding")
    shop.kill("authorize")
    assert shop.rows("select kind, state, tries from operation") == [("authorize", "open", 1)]

    shop.start("authorize")
    # The same event once more: the trigger is a duplicate, and the operation is what must be finished.
    _publish_twice(shop, hanging)
    shop.await_settled(1)
    assert shop.rows("select kind, state, tries > 1 from operation order by kind") == [
        ("authorize", "approved", True),
        ("capture", "approved", False),
    ]
    shop.published = hanging
    check_as_scripted(shop)
    shop.stop()


def _publish_twice(shop: Deployment, orders: list[Order]) -> None:
    shop.publish(orders)
    shop.publish(orders)
