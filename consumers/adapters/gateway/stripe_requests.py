"""Requests to Stripe through its official SDK: how many run at a time, time-outs, connections."""

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

import aiohttp
import stripe

from consumers.adapters.gateway.stripe_http import ListeningClient

PAGE: Final = 100
"""The largest page that Stripe gives."""
CONNECTION_ERRORS: Final = (aiohttp.ClientError, TimeoutError, OSError)
UNREADABLE_ERRORS: Final = (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError)
"""What the SDK and our own reading raise for odd values in an answer."""

_Answer = TypeVar("_Answer")


class NotBegun(Exception):  # noqa: N818 - it answers a question, it is no fault
    """The call was not allowed to begin when its turn came."""


class StripeRequests:
    """Runs requests with one API key. At most `concurrency` run at a time.

    timeout_s bounds one request from its sending to the last byte, connect_timeout_s the connection. The SDK retries
    nothing: the operation's row decides whether a request is sent again.

    The SDK's telemetry is off, for the whole process, because the SDK has one switch. Otherwise it would write a file
    with an id of its own into the home directory, and send that id, the platform, and how long requests took.
    """

    def __init__(
        self, api_key: str, api_base: str, concurrency: int, *, connect_timeout_s: float, timeout_s: float
    ) -> None:
        self._api_key = api_key
        self._api_base = api_base
        self._concurrency = concurrency
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=connect_timeout_s)
        self._free = asyncio.Semaphore(concurrency)
        self._connected: tuple[stripe.StripeClient, aiohttp.ClientSession] | None = None

    async def run(self, request: Coroutine[Any, Any, _Answer], begin: Callable[[], bool] = lambda: True) -> _Answer:
        """Run one request when there is room. Raises NotBegun when it may not begin then: the wait may be long."""
        try:
            async with self._free:
                if not begin():
                    raise NotBegun
                return await request
        finally:
            request.close()  # cancelled while there was no room: it never began

    def client(self) -> stripe.StripeClient:
        """Return the SDK's client, connected at its first use."""
        if self._connected is None:
            trusted = ssl.create_default_context(cafile=stripe.ca_bundle_path)
            session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=self._concurrency, ssl=trusted))
            # The SDK hands the time-out to aiohttp as it is, so aiohttp's record of several limits works.
            http = ListeningClient(timeout=self._timeout, session=session)
            stripe.enable_telemetry = False
            client = stripe.StripeClient(
                self._api_key, base_addresses={"api": self._api_base}, http_client=http, max_network_retries=0
            )
            self._connected = client, session
        return self._connected[0]

    async def close(self) -> None:
        """Close the connections. A later request opens new ones."""
        connected, self._connected = self._connected, None
        if connected is not None:
            await connected[1].close()
