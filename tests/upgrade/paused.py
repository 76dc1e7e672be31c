"""From the release before, where an upgrade needs a pause: refused while it runs; nothing is lost over the pause."""

import json
from collections.abc import Callable
from typing import Final

import psycopg

from outbox.driver.conninfo import libpq_url
from tests.e2e.claims import check_as_scripted
from tests.e2e.deployment import Deployment
from tests.e2e.script import PLENTY, PLENTY_UNITS, SCARCE, SCARCE_UNITS, Order, write_script
from tests.eventually import eventually
from tests.upgrade.fleet import ROLES, Fleet, Release
from tests.upgrade.story import OURS

SCRIPTED: Final = 400
SLOW: Final = {"slow_share": 1.0, "slow_s": 1.0}
"""Slow enough that calls are under way when the processes are told to stop."""
UNDER_WAY: Final = "SELECT count(*) FROM operation WHERE state IN ('open', 'unknown')"
"""Calls whose answer nobody has yet; both releases call it so."""


def play_paused(shop: Deployment, old: Release, tell: Callable[[str], None]) -> None:
    """Play it on a database without tables; raises AssertionError. old: a release that this one may not run beside."""
    fleet = Fleet(shop, probed=False)
    orders = write_script(SCRIPTED, seed=3)
    tell(f"{old.name} alone")
    _must(fleet, old, "migrate")
    for sku, units in ((PLENTY, PLENTY_UNITS), (SCARCE, SCARCE_UNITS)):
        _must(fleet, old, "stock", "set", sku, str(units))
    fleet.start(old)
    _publish(fleet, old, orders[: SCRIPTED // 4])
    shop.await_settled(SCRIPTED // 8)
    # What comes now stays under way, however long the commands before the pause take on this machine.
    shop.weather(down=True)
    _publish(fleet, old, orders[SCRIPTED // 4 : SCRIPTED // 2])
    eventually(lambda: shop.number(UNDER_WAY) > 0, "calls wait for the gateway")
    tell("this release does not migrate while it runs")
    for arguments, words in (
        (("migrate",), "older releases do not work after 0002, 0003, 0013"),
        (("migrate", "--contract"), "sessions may be of an older release"),
    ):
        refused = fleet.run(OURS, *arguments)
        assert (refused.code, words in refused.err) == (1, True), refused
    assert shop.number(UNDER_WAY) > 0, "it is not stopped amid the orders"
    shop.weather(down=False, **SLOW)
    tell("the pause: orders are confirmed meanwhile")
    for role in ROLES:
        code = shop.processes[role].stop()
        assert code == 0, shop.processes[role].log
    _publish(fleet, old, orders[SCRIPTED // 2 :])
    shop.hang_up()  # this session has no name, like those of the first release
    _must(fleet, OURS, "migrate", "--contract")
    _must(fleet, OURS, "topics", "create")
    shop.weather(slow_share=0.0)
    tell("this release alone")
    fleet.start(OURS)
    check_as_scripted(shop)
    shop.stop()


def empty(shop: Deployment) -> None:
    """Take the tables away that a template brought."""
    with psycopg.connect(libpq_url(shop.database_url), autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")


def _publish(fleet: Fleet, release: Release, orders: list[Order]) -> None:
    """Publish as a checkout of that release does: the schema is its own."""
    file = fleet.shop.directory / "orders.jsonl"
    file.write_text("".join(json.dumps(order.line()) + "\n" for order in orders), "utf-8")
    _must(fleet, release, "publish", str(file))
    fleet.shop.published += orders


def _must(fleet: Fleet, release: Release, *arguments: str) -> None:
    ran = fleet.run(release, *arguments)
    assert ran.code == 0, ran
