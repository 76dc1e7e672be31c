"""Inventories: our own in PostgreSQL, and another system's over HTTP."""

from consumers.adapters.inventory.http import HttpInventory
from consumers.adapters.inventory.http_lists import HttpLists
from consumers.adapters.inventory.internal import InternalInventory

__all__ = ["HttpInventory", "HttpLists", "InternalInventory"]
