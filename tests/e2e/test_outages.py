import time

import pytest

from tests.e2e.claims import check_as_scripted
from tests.e2e.deployment import APART, TOGETHER, Deployment
from tests.e2e.script import alike, write_script
from tests.eventually import eventually

pytestmark = [pytest.mark.kill, pytest.mark.timeout(300)]

RETRIES = 3
OUTAGES_S = (0, pytest.param(20, marks=pytest.mark.long))
"""An outage lasts until everybody has tried so often in vain, and at least so long."""
WAITING = ('"waiting"', '"still waiting"')
REFUSED = ("Connection refused",)


def await_outage(shop: Deployment, roles: tuple[str, ...], signs: tuple[str, ...], outage_s: float) -> None:
    """Wait until each of these roles has logged its vain tries, and the outage is as old as it is to be."""
    begun = time.monotonic()

    def tries() -> dict[str, int]:
        logs = {role: shop.processes[role].log for role in roles}
        return {role: sum(log.count(sign) for sign in signs) for role, log in logs.items()}

    eventually(lambda: min(tries().values()) >= RETRIES, lambda: f"{RETRIES} tries of each: {tries()}")
    eventually(lambda: time.monotonic() - begun >= outage_s, "the outage is over")


@pytest.mark.parametrize("outage_s", OUTAGES_S)
def test_without_postgresql_and_then_kafka_everything_waits_and_goes_on_by_itself(
    shop: Deployment, outage_s: float
) -> None:
    orders = write_script(700, seed=6)
    shop.start(*APART)
    shop.publish(orders[:200])
    shop.await_settled(20)
    shop.servers.postgres.stop()
    shop.publish(orders[200:600])
    await_outage(shop, ("authorize", "relay", "sweep"), WAITING, outage_s)
    shop.servers.postgres.start()
    assert shop.settled() < 600, "PostgreSQL was not away amid the orders"

    shop.await_settled(220)
    shop.servers.kafka.stop()
    assert shop.settled() < 600, "Kafka was not away amid the orders"
    await_outage(shop, ("authorize", "fulfil", "tell", "relay"), REFUSED, outage_s)
    shop.servers.kafka.start()
    shop.publish(orders[600:])
    check_as_scripted(shop)
    shop.stop()


def test_each_outage_is_an_alarm_of_its_own(shop: Deployment) -> None:
    shop.start("relay")
    relay = shop.processes["relay"]
    for outage in (1, 2):
        shop.servers.postgres.stop()
        eventually(lambda: relay.log.count('"waiting"') == outage, f"alarm {outage}")  # noqa: B023 - it is awaited here
        shop.servers.postgres.start()
        eventually(lambda: relay.log.count('"going on"') == outage, f"end of outage {outage}")  # noqa: B023 - as above
    shop.stop()


def test_while_the_gateway_is_down_orders_wait_and_then_all_are_paid(shop: Deployment) -> None:
    shop.start(*TOGETHER)
    shop.weather(down=True)
    shop.publish(alike(100, "patient"))
    eventually(lambda: "gateway_down" in shop.processes["consumers"].log, "the alarm that the gateway is down")
    # What a gateway that is down turns away is no try, so that an outage sends nobody's order to a person.
    tried = "select count(*) from operation where state <> 'approved' and detail is not null"
    eventually(lambda: shop.number(tried) > 0, "some were asked for in vain")
    assert shop.settled() == 0
    shop.weather(down=False)
    check_as_scripted(shop)
    held_back = "calls to the gateway are no longer held back"
    eventually(lambda: held_back in shop.processes["consumers"].log, "the end of the time in which calls come back")
    shop.stop()


@pytest.mark.long
@pytest.mark.parametrize("server", ["postgres", "kafka"])
def test_processes_told_to_stop_during_an_outage_end_and_the_next_ones_finish(shop: Deployment, server: str) -> None:
    shop.start(*TOGETHER)
    shop.publish(write_script(400, seed=8))
    shop.await_settled(20)
    getattr(shop.servers, server).stop()
    await_outage(shop, ("relay",), (*WAITING, *REFUSED), 0)
    shop.stop()
    getattr(shop.servers, server).start()
    shop.start(*TOGETHER)
    check_as_scripted(shop)
    shop.stop()
