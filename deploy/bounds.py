"""The bounds of the runtime, made from settings; most of them from those of the same names."""

from collections.abc import Iterable
from typing import Any

from consumers.runtime.bounds import Bounds
from deploy.settings import Settings


def bounds_of(settings: Settings) -> Bounds:
    """Make the runtime's bounds from the settings, most of them from those of the same names."""
    return Bounds(
        **named_alike(settings, Bounds.__slots__),
        transactions_max=settings.batches_in_flight_max,
        call_max_s=settings.gateway_connect_timeout_s + settings.gateway_timeout_s,
        stock_call_max_s=settings.inventory_timeout_s,
    )


def named_alike(settings: Settings, fields: Iterable[str]) -> dict[str, Any]:
    """Return the settings whose names are among these fields."""
    return {field: getattr(settings, field) for field in fields if field in Settings.model_fields}
