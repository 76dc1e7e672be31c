"""Managed fail-over: two PostgreSQL servers in the URL; the second takes over while orders flow. Nothing is lost."""

from collections.abc import Iterator

import pytest

from tests.e2e.claims import check_as_scripted
from tests.e2e.deployment import APART, Deployment
from tests.e2e.script import write_script
from tests.e2e.test_outages import WAITING, await_outage
from tests.servers.standby import READ_ONLY, Pair, standby_of

pytestmark = [pytest.mark.kill, pytest.mark.timeout(300)]


@pytest.fixture
def pair(shop: Deployment) -> Iterator[Pair]:
    with standby_of(shop.servers) as made:
        yield made


@pytest.mark.parametrize("how", ["killed", "read_only"])
def test_when_the_standby_takes_over_all_orders_end_as_they_must(shop: Deployment, pair: Pair, how: str) -> None:
    alone = shop.database_url
    shop.database_url = pair.two_hosts(alone)
    shop.settings["PAYMENTS_DATABASE_URL"] = shop.database_url
    orders = write_script(400, seed=11)
    shop.start(*APART)
    shop.publish(orders[:200])
    shop.await_settled(20)
    if how == "killed":
        shop.servers.postgres.kill()
    else:
        pair.set(READ_ONLY, "on")
    shop.publish(orders[200:])
    await_outage(shop, ("authorize", "relay", "sweep"), WAITING, 0)
    pair.promote()
    # The one that was made read only still answers: who asks for the outcome wants the other.
    shop.database_url += "?target_session_attrs=read-write"
    assert shop.settled() < 400, "the fail-over was not amid the orders"
    check_as_scripted(shop)
    shop.stop()
    shop.database_url = alone


def test_a_server_that_is_read_only_for_a_while_is_waited_for(shop: Deployment, pair: Pair) -> None:
    orders = write_script(300, seed=12)
    shop.start(*APART)
    shop.publish(orders[:150])
    shop.await_settled(20)
    pair.set(READ_ONLY, "on")
    shop.publish(orders[150:])
    await_outage(shop, ("authorize", "relay", "sweep"), WAITING, 0)
    assert shop.settled() < 300, "it was not read only amid the orders"
    pair.set(READ_ONLY, None)
    check_as_scripted(shop)
    shop.stop()
