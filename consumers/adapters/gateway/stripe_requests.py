"""Requests to Stripe through its official SDK: how many run at a time, time-outs, connections."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import orjson
import stripe

from consumers.adapters.gateway.stripe_fields import Thing
from consumers.adapters.gateway.stripe_http import ListeningClient, last_body

INTENTS: Final = "/v1/payment_intents"
REFUNDS: Final = "/v1/refunds"
CONNECTION_ERRORS: Final = (aiohttp.ClientError, TimeoutError, OSError)


def path_to(collection: str, name: str, *verb: str) -> str:
    """Return the path of one object, or of what is done to it. name: its id, whatever its characters are."""
    return "/".join((collection, quote(name, safe=""), *verb))


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

    async def get(self, path: str, asked: Mapping[str, Any] | None = None) -> Thing:
        """Read an object. Raises stripe.StripeError, CONNECTION_ERRORS, and UNREADABLE_ERRORS if it is none."""
        return await self._send("get", path, asked or {})

    async def post(
        self, path: str, form: Mapping[str, Any], key: str, begin: Callable[[], bool] = lambda: True
    ) -> Thing:
        """Send a form under an idempotency key; return the object of the answer. Raises as get does.

        Raises NotBegun when begin() says no as its turn comes: the wait for room may be long.
        """
        return await self._send("post", path, {**form, "idempotency_key": key}, begin)

    async def _send(
        self, method: str, path: str, params: Mapping[str, Any], begin: Callable[[], bool] = lambda: True
    ) -> Thing:
        """Send one request when there is room.

        The SDK makes the request and raises its errors. Its objects are not made: they cost three times the CPU of
        everything else in a call.
        """
        async with self._free:
            if not begin():
                raise NotBegun
            await self.client().raw_request_async(method, path, **params)
        answer = orjson.loads(last_body())
        if not isinstance(answer, dict):
            raise TypeError("the answer is no object")
        return answer

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
