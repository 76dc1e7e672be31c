"""Requests to Stripe through its official SDK: how many run at a time, time-outs, connections."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import aiohttp
import orjson
import stripe

from consumers.adapters.gateway.stripe_fields import Thing
from consumers.adapters.gateway.stripe_http import ListeningClient
from consumers.adapters.gateway.stripe_sdk import KEY_HEADER, StripeSdk, encode

INTENTS: Final = "/v1/payment_intents"
REFUNDS: Final = "/v1/refunds"
DISPUTES: Final = "/v1/disputes"
_SUCCESSES: Final = range(200, 300)
CONNECTION_ERRORS: Final = (aiohttp.ClientError, TimeoutError, OSError)


def path_to(collection: str, name: str, *verb: str) -> str:
    """Return the path of one object, or of what is done to it. name: its id, whatever its characters are."""
    return "/".join((collection, quote(name, safe=""), *verb))


class NotBegun(Exception):  # noqa: N818 - it answers a question, it is no fault
    """The call was not allowed to begin when its turn came."""


class _Link(NamedTuple):
    """headers: of every request, by its method."""

    sdk: StripeSdk
    http: ListeningClient
    session: aiohttp.ClientSession
    headers: Mapping[str, Mapping[str, str]]


def _at_once() -> bool:
    return True


class StripeRequests:
    """Runs requests with one API key. At most `concurrency` run at a time.

    timeout_s bounds one request from its sending to the last byte, connect_timeout_s the connection. The SDK retries
    nothing: the operation's row decides whether a request is sent again.
    """

    def __init__(
        self, api_key: str, api_base: str, concurrency: int, *, connect_timeout_s: float, timeout_s: float
    ) -> None:
        self._api_key = api_key
        self._api_base = api_base.rstrip("/")
        self._concurrency = concurrency
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=connect_timeout_s)
        self._free = asyncio.Semaphore(concurrency)
        self._link: _Link | None = None

    async def get(self, path: str, asked: Mapping[str, Any] | None = None) -> Thing:
        """Read an object. Raises stripe.StripeError, CONNECTION_ERRORS, and UNREADABLE_ERRORS if it is none."""
        query = f"?{encode(asked)}" if asked else ""
        return await self._send("get", f"{path}{query}", {}, None, _at_once)

    async def post(self, path: str, form: Mapping[str, Any], key: str, begin: Callable[[], bool] = _at_once) -> Thing:
        """Send a form under an idempotency key; return the object of the answer. Raises as get does.

        Raises NotBegun when begin() says no as its turn comes: the wait for room may be long.
        """
        return await self._send("post", path, {KEY_HEADER: key}, encode(form), begin)

    async def _send(
        self, method: str, path: str, more: Mapping[str, str], form: str | None, begin: Callable[[], bool]
    ) -> Thing:
        """Send one request when there is room."""
        async with self._free:
            if not begin():
                raise NotBegun
            link = self._connect()
            headers = {**link.headers[method], **more}
            answer = await link.http.request_async(method, self._api_base + path, headers, form)
        if answer[1] not in _SUCCESSES:
            link.sdk.refuse(answer)
        read = orjson.loads(answer[0])
        if not isinstance(read, dict):
            raise TypeError("the answer is no object")
        return read

    def _connect(self) -> _Link:
        """Return the connections, open from their first use on."""
        if self._link is None:
            trusted = ssl.create_default_context(cafile=stripe.ca_bundle_path)
            session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=self._concurrency, ssl=trusted))
            # The SDK hands the time-out to aiohttp as it is, so aiohttp's record of several limits works.
            http = ListeningClient(timeout=self._timeout, session=session)
            sdk = StripeSdk(self._api_key)
            self._link = _Link(sdk, http, session, {method: sdk.headers(method) for method in ("get", "post")})
        return self._link

    async def close(self) -> None:
        """Close the connections. A later request opens new ones."""
        link, self._link = self._link, None
        if link is not None:
            await link.session.close()
