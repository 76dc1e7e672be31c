import random
from typing import Final, LiteralString

import pytest

from tests.e2e.claims import check_as_scripted
from tests.e2e.deployment import APART, TOGETHER, Deployment
from tests.e2e.script import Order, write_script
from tests.eventually import eventually

pytestmark = [pytest.mark.kill, pytest.mark.timeout(300)]

WORK: Final[dict[str, LiteralString]] = {
    "relay": "select (select count(*) from event) - (select count(*) from outbox, unnest(event_ids))",
    "sweep": "select count(*) from operation where tries > 1",
    "tell": "select count(*) from notification",
    "fulfil": "select count(*) from orders where status = 'paid_and_confirmed'",
    "authorize": "select count(*) from orders",
}
"""What grows while a role works, the roles in the order of their deaths."""
assert set(WORK) == set(APART)


def test_any_process_killed_amid_2000_orders_and_started_again_changes_no_outcome(shop: Deployment) -> None:
    orders = write_script(2_000, seed=3)
    shop.start(*APART)
    for part, role in enumerate(WORK):
        _kill_at_work(shop, role, orders[part * 400 : (part + 1) * 400])
    check_as_scripted(shop)
    shop.stop()


def test_kafka_killed_amid_2000_orders_and_started_again_changes_no_outcome(shop: Deployment) -> None:
    orders = write_script(2_000, seed=4)
    shop.start(*TOGETHER)
    shop.publish(orders[:1_000])
    shop.await_settled(100)
    shop.servers.kafka.kill()
    assert shop.settled() < len(shop.published), "Kafka was not killed amid the orders"
    shop.servers.kafka.start()
    shop.publish(orders[1_000:])
    check_as_scripted(shop)
    shop.stop()


def test_gateway_killed_amid_orders_and_started_again_charges_nobody_twice(shop: Deployment) -> None:
    shop.start(*TOGETHER)
    shop.publish(write_script(500, seed=5))
    shop.await_settled(50)
    shop.kill("sandbox")
    assert shop.settled() < len(shop.published), "the gateway was not killed amid the orders"
    shop.start_sandbox()
    check_as_scripted(shop)
    shop.stop()


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
def test_anything_killed_again_and_again_in_any_order_changes_no_outcome(shop: Deployment, seed: int) -> None:
    draw = random.Random(seed)
    orders = write_script(2_400, seed=10 + seed)
    shop.start(*APART)
    for part in range(24):
        settled = shop.settled()
        shop.publish(orders[part * 100 : (part + 1) * 100])
        shop.await_settled(settled + 1)
        victim = draw.choice((*APART, "sandbox", "kafka", "postgres"))
        if victim in APART:
            shop.kill(victim)
            # It needs its servers to start, and the next victim may be one of them.
            shop.start(victim)
        elif victim == "sandbox":
            shop.kill(victim)
            shop.start_sandbox()
        else:
            getattr(shop.servers, victim).kill()
            getattr(shop.servers, victim).start()
    check_as_scripted(shop)
    shop.stop()


def _kill_at_work(shop: Deployment, role: str, orders: list[Order]) -> None:
    """Publish orders, wait until the role has done some of its work, kill it amid the rest, and start it again."""
    before = shop.number(WORK[role])
    shop.publish(orders)
    eventually(lambda: shop.number(WORK[role]) > before, f"{role} works")
    shop.kill(role)
    assert shop.settled() < len(shop.published), f"{role} was not killed amid the orders"
    shop.begin(role)
