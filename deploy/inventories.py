"""Makes the inventory that the settings choose, and checks that no order's goods are in the other one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from consumers.adapters.inventory.internal import InternalInventory
from deploy.failures import NOT_REACHED, Failure
from deploy.settings import Settings
from outbox.operators.inventory_switch import inventory_in_use

if TYPE_CHECKING:
    from consumers.adapters.inventory.http import HttpInventory
    from consumers.adapters.inventory.http_lists import HttpLists


def is_elsewhere(settings: Settings) -> bool:
    """Whether another system keeps the stock."""
    return settings.inventory == "http"


def wants_stockhouse(settings: Settings) -> bool:
    """Whether to run an inventory sandbox: the inventory is elsewhere, and nobody says where."""
    return is_elsewhere(settings) and settings.inventory_url is None


def local_of(settings: Settings) -> InternalInventory | None:
    """Make the internal inventory; None if the stock is elsewhere."""
    return None if is_elsewhere(settings) else InternalInventory()


def remote_of(settings: Settings) -> "HttpInventory | None":
    """Make the client of an inventory elsewhere; None if it is the internal one. Raises SettingsError without a URL."""
    if not is_elsewhere(settings):
        return None
    from consumers.adapters.inventory.http import HttpInventory  # noqa: PLC0415 - needs an HTTP client

    token = settings.inventory_token
    return HttpInventory(
        settings.external_inventory(),
        token.get_secret_value() if token is not None else None,
        timeout_s=settings.inventory_timeout_s,
    )


@asynccontextmanager
async def stock_lists_of(settings: Settings) -> "AsyncIterator[HttpLists]":
    """Make what reads the lists of an inventory elsewhere; closed at the end. Raises SettingsError without a URL."""
    from consumers.adapters.inventory.http_lists import HttpLists  # noqa: PLC0415 - as above

    token = settings.inventory_token
    lists = HttpLists(
        settings.external_inventory(),
        token.get_secret_value() if token is not None else None,
        timeout_s=settings.inventory_timeout_s,
    )
    try:
        yield lists
    finally:
        await lists.close()


async def check_inventory(settings: Settings) -> None:
    """Raise Failure if goods of an unfinished order are in the inventory that is not chosen: nobody would find them."""
    used = await asyncio.to_thread(inventory_in_use, settings.psycopg_url())
    there, other = (used.internal, "internal") if is_elsewhere(settings) else (used.elsewhere, "http")
    if there is not None:
        raise Failure(
            f"goods of order {there}, and perhaps of others, are in the inventory that PAYMENTS_INVENTORY={other} "
            f"means: run with that, without new orders, until they are sold or released, and then change it",
            NOT_REACHED,
        )
