"""Inventories: our own in PostgreSQL."""

from consumers.adapters.inventory.internal import InternalInventory

__all__ = ["InternalInventory"]
