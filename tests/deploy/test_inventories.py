"""The inventory is not changed under orders whose goods are in the other one."""

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from consumers.adapters.inventory.http import HttpInventory
from consumers.adapters.inventory.internal import InternalInventory
from deploy.failures import Failure
from deploy.inventories import check_inventory, local_of, remote_of
from deploy.settings import Settings, SettingsError
from outbox.driver.conninfo import libpq_url
from outbox.operators.inventory_switch import inventory_in_use
from outbox.schema.migrations import upgrade
from tests.servers.databases import fresh_database

URL = "http://127.0.0.1:1"
pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def migrated(database_server_url: str) -> Iterator[str]:
    with fresh_database(database_server_url, None) as url:
        upgrade(url)
        yield url


@pytest.fixture
def url(migrated: str) -> Iterator[str]:
    yield migrated
    with psycopg.connect(libpq_url(migrated)) as connection:
        connection.execute("TRUNCATE reservation, operation")


def settings(url: str, **overrides: Any) -> Settings:
    return Settings(database_url=url, gateway="simulated", **overrides)


def hold(url: str, *, pinned: bool = False, state: str = "held") -> None:
    with psycopg.connect(libpq_url(url)) as connection:
        connection.execute(
            "INSERT INTO reservation (order_number, order_id, attempt, reservation_id, state, expires_at, pinned) "
            "VALUES (1, 'order-1', 1, gen_random_uuid(), %s, now(), %s)",
            [state, pinned],
        )


def call(url: str, kind: str, state: str) -> None:
    with psycopg.connect(libpq_url(url)) as connection:
        connection.execute(
            "INSERT INTO operation (order_number, attempt, kind, try_number, order_id, operation_id, reaction, "
            "amount_minor, currency, opened_at, state, tries, replayed, for_request) "
            "VALUES (1, 1, %s, 1, 'order-1', gen_random_uuid(), 'r', 0, 'EUR', now(), %s, 0, false, '')",
            [kind, state],
        )


def test_the_inventory_is_made_as_the_settings_say(url: str) -> None:
    internal, http = settings(url), settings(url, inventory="http", inventory_url=URL)
    assert isinstance(local_of(internal), InternalInventory)
    assert (remote_of(internal), local_of(http)) == (None, None)
    assert isinstance(remote_of(http), HttpInventory)
    with pytest.raises(SettingsError, match="PAYMENTS_INVENTORY_URL"):
        remote_of(settings(url, inventory="http"))


@pytest.mark.parametrize("pinned", [False, True])
def test_goods_held_here_keep_the_other_inventory_from_being_used(url: str, *, pinned: bool) -> None:
    hold(url, pinned=pinned)
    if pinned:
        call(url, "capture", "unknown")
    assert inventory_in_use(libpq_url(url)) == ("order-1", None)
    asyncio.run(check_inventory(settings(url)))
    with pytest.raises(Failure, match=r"order-1.*PAYMENTS_INVENTORY=internal"):
        asyncio.run(check_inventory(settings(url, inventory="http", inventory_url=URL)))


@pytest.mark.parametrize("kind", ["reserve", "confirm", "release", "extend", "restock"])
def test_calls_under_way_elsewhere_keep_our_own_inventory_from_being_used(url: str, kind: str) -> None:
    call(url, kind, "open")
    asyncio.run(check_inventory(settings(url, inventory="http", inventory_url=URL)))
    with pytest.raises(Failure, match=r"order-1.*PAYMENTS_INVENTORY=http"):
        asyncio.run(check_inventory(settings(url)))


def test_goods_held_elsewhere_keep_our_own_inventory_from_being_used(url: str) -> None:
    hold(url)
    call(url, "reserve", "approved")
    assert inventory_in_use(libpq_url(url)) == (None, "order-1")


def test_what_is_over_keeps_nobody(url: str) -> None:
    hold(url, state="sold")
    call(url, "reserve", "approved")
    for chosen in (settings(url), settings(url, inventory="http", inventory_url=URL)):
        asyncio.run(check_inventory(chosen))
