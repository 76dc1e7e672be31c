"""Makes the gateway that the settings choose. Stripe's client is loaded only by who calls it: it is large."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from deploy.running import now
from deploy.settings import Settings, SettingsError
from domain.ports.gateway import Gateway, GatewayReferences

if TYPE_CHECKING:
    from consumers.adapters.gateway.stripe_account import KnownBefore
    from consumers.adapters.gateway.stripe_adapter import StripeGateway
    from consumers.adapters.gateway.stripe_event_list import StripeEventList
    from consumers.adapters.gateway.stripe_lists import StripeLists

LISTS_AT_ONCE: Final = 1
"""Pages are read one after the other: each begins behind the last one."""
SANDBOX_KEY: Final = "sk_test_sandbox"
"""The sandbox accepts any test key."""


def gateway_of(settings: Settings, known_before: "KnownBefore | None" = None) -> Gateway:
    """Make the gateway that the settings choose. Raises SettingsError for no gateway, or a live key with play money.

    known_before: of the store, for a process that looks up calls (see StripeGateway).
    """
    kind = settings.gateway_kind()
    if kind == "simulated":
        from deploy.playbank.in_process import SimulatedGateway  # noqa: PLC0415 - play money only

        return SimulatedGateway(
            now,
            asyncio.sleep,
            latency_ms=settings.simulated_latency_ms,
            timeout_s=settings.gateway_timeout_s,
            pending_s=settings.sandbox_pending_s,
        )
    return _stripe_gateway(settings, known_before)


def _stripe_gateway(settings: Settings, known_before: "KnownBefore | None" = None) -> "StripeGateway":
    from consumers.adapters.gateway.stripe_adapter import StripeGateway  # noqa: PLC0415 - see the module's first line

    key, base = _stripe(settings)
    return StripeGateway(
        key,
        api_base=base,
        concurrency=settings.gateway_concurrency,
        connect_timeout_s=settings.gateway_connect_timeout_s,
        timeout_s=settings.gateway_timeout_s,
        known_before=known_before,
    )


def event_list_of(settings: Settings, gateway: Gateway) -> "StripeEventList | None":
    """Return what lists the events of this gateway, which the settings chose; None if it has no such list."""
    if settings.gateway_kind() == "simulated":
        return None
    from consumers.adapters.gateway.stripe_adapter import StripeGateway  # noqa: PLC0415 - as above

    return gateway.events if isinstance(gateway, StripeGateway) else None


def _stripe(settings: Settings) -> tuple[str, str]:
    """Return the key and the address of Stripe, or of the sandbox. Raises SettingsError as gateway_of."""
    from consumers.adapters.gateway.stripe_adapter import API_BASE, check_play  # noqa: PLC0415 - as above

    key = settings.stripe_api_key.get_secret_value() if settings.stripe_api_key else SANDBOX_KEY
    base = settings.stripe_api_base or API_BASE
    if settings.gateway_kind() == "sandbox":
        if settings.stripe_api_base is None:
            raise SettingsError(
                "the sandbox's address is not known: set PAYMENTS_STRIPE_API_BASE, or let `payments up --embedded` or "
                "`payments embedded` start one"
            )
        check_play(key, base)
    return key, base


@asynccontextmanager
async def lists_of(settings: Settings) -> "AsyncIterator[StripeLists]":
    """Make what reads the gateway's lists; closed at the end. Raises SettingsError for a gateway without lists."""
    if settings.gateway_kind() == "simulated":
        raise SettingsError(
            "the simulated gateway has no lists: it lives in the memory of its process. Set PAYMENTS_GATEWAY"
        )
    from consumers.adapters.gateway.stripe_lists import StripeLists  # noqa: PLC0415 - as above
    from consumers.adapters.gateway.stripe_requests import StripeRequests  # noqa: PLC0415 - as above

    key, base = _stripe(settings)
    lists = StripeLists(
        StripeRequests(
            key,
            base,
            LISTS_AT_ONCE,
            connect_timeout_s=settings.gateway_connect_timeout_s,
            timeout_s=settings.gateway_timeout_s,
        )
    )
    try:
        yield lists
    finally:
        await lists.close()


@asynccontextmanager
async def references_of(settings: Settings) -> AsyncIterator[GatewayReferences | None]:
    """Make what looks up ids at the gateway. None for no gateway, or the simulated one: its ids are in memory."""
    if settings.gateway is None or settings.gateway_kind() == "simulated":
        yield None
        return
    gateway = _stripe_gateway(settings)
    try:
        yield gateway
    finally:
        await gateway.close()


def wants_sandbox(settings: Settings) -> bool:
    """Whether to run a sandbox: no gateway is chosen, or the sandbox without an address."""
    return settings.gateway is None or (settings.gateway == "sandbox" and settings.stripe_api_base is None)


def is_live(settings: Settings) -> bool:
    """Whether the gateway's key is for real money."""
    key = settings.stripe_api_key
    return key is not None and "_live_" in key.get_secret_value()
