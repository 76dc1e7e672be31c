"""Adapters to the outside world: gateway, inventory, notifier. Decisions about orders never belong here."""
