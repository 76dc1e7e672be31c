"""Stripe behind the gateway port, through its official SDK. Against the sandbox it is the very same code.

The SDK retries nothing: whether a request is sent again is decided by the operation's row, not here.
"""

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar, assert_never, cast
from urllib.parse import urlsplit

import aiohttp
import stripe
from stripe.params import RefundListParams

from consumers.adapters.gateway import stripe_outcomes as outcomes
from consumers.adapters.gateway.concurrent import answers
from consumers.adapters.gateway.stripe_codes import Refusal
from consumers.adapters.gateway.stripe_currency import to_stripe
from domain.errors import Transient
from domain.operation import GatewayCall, OperationKind
from domain.outcome import Declined, GatewayOutcome, NotExecuted, NotFound, Unknown
from domain.ports.gateway import Begin, GatewayAnswer, at_once

API_BASE = "https://api.stripe.com"
PAGE = 100  # Stripe's largest
REFUND_PAGES_MAX = 10
LISTING_MARGIN = timedelta(minutes=5)  # between our clock and Stripe's
_LOST = (aiohttp.ClientError, TimeoutError, OSError)
# What odd values in an answer raise on their way through the SDK and through our own reading of it.
_UNREADABLE = (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError)

_Answer = TypeVar("_Answer")
# PaymentIntents by operation id, and whether there can be no others.
_Listing = tuple[dict[str, stripe.PaymentIntent], bool]


def check_play(api_key: str, api_base: str) -> None:
    """Refuse, with ValueError, what might be real money: a live key, or an API that is not on this machine."""
    if api_key.startswith(("sk_live", "rk_live")):
        raise ValueError("A live Stripe key is set for play money: use a key that begins with sk_test_.")
    host = urlsplit(api_base).hostname or ""
    with suppress(ValueError):
        if host == "localhost" or ipaddress.ip_address(host).is_loopback:
            return
    raise ValueError(f"Play money needs an API base on this machine (127.0.0.1), not {host or 'nothing'}.")


class _NotBegun(Exception):  # noqa: N818 - it answers a question, it is no fault
    """The call might not begin any more when its turn came."""


class StripeGateway:
    """`Gateway` over Stripe's PaymentIntents.

    concurrency bounds the requests that run at a time, over all sequences. timeout_s bounds one request from its
    sending to the last byte, connect_timeout_s the connection. listing_pages_max bounds the search for lost authorize
    operations, in pages of 100 PaymentIntents: what lies beyond stays Unknown.
    """

    def __init__(
        self,
        api_key: str,
        *,
        api_base: str = API_BASE,
        concurrency: int = 64,
        connect_timeout_s: float = 5.0,
        timeout_s: float = 30.0,
        listing_pages_max: int = 200,
    ) -> None:
        self._api_key = api_key
        self._api_base = api_base
        self._concurrency = concurrency
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=connect_timeout_s)
        self._listing_pages_max = listing_pages_max
        self._free = asyncio.Semaphore(concurrency)
        self._connected: tuple[stripe.StripeClient, aiohttp.ClientSession] | None = None

    def perform(self, calls: Sequence[GatewayCall], begin: Begin = at_once) -> AsyncIterator[Sequence[GatewayAnswer]]:
        """Send what the calls ask, each under its idempotency key."""
        return answers(calls, lambda call: self._perform(call, begin), self._concurrency)

    async def look_up(self, calls: Sequence[GatewayCall]) -> AsyncIterator[Sequence[GatewayAnswer]]:
        """Read what became of the calls. One listing serves all authorize operations of the sequence."""
        authorizations = [call for call in calls if call.kind is OperationKind.AUTHORIZE]
        listing = asyncio.create_task(self._list(authorizations))
        try:
            async for group in answers(calls, lambda call: self._look_up(call, listing), self._concurrency):
                yield group
        finally:
            listing.cancel()
            await asyncio.gather(listing, return_exceptions=True)

    async def order_of(self, reference: str) -> str | None:
        """Return the order that a transaction, or that of a refund, says it is of; "" if it names none."""
        api, intent_id = self._client().v1, reference
        try:
            if not reference.startswith("pi_"):
                intent_id = str((await self._slot(api.refunds.retrieve_async(reference))).payment_intent)
            intent = await self._slot(api.payment_intents.retrieve_async(intent_id))
            return str(getattr(intent.metadata, "order_id", ""))
        except stripe.StripeError as error:
            if error.http_status == 404:
                return None
            raise Transient(f"the gateway does not say what {reference} is (HTTP {error.http_status})") from error
        except (*_LOST, *_UNREADABLE) as error:
            raise Transient(f"the gateway does not say what {reference} is ({type(error).__name__})") from error

    async def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        if self._connected is not None:
            _, session = self._connected
            self._connected = None
            await session.close()

    async def _perform(self, call: GatewayCall, begin: Begin) -> GatewayOutcome | None:
        """Perform one call; None: it might not begin."""
        try:
            return await self._perform_readable(call, begin)
        except _NotBegun:
            return None
        except _UNREADABLE:
            return Unknown("unreadable answer")

    async def _perform_readable(self, call: GatewayCall, begin: Begin) -> GatewayOutcome:
        """Perform one call; raises one of _UNREADABLE where the answer, or an error in it, makes no sense."""
        try:
            return await self._send(call, to_stripe(call.amount_minor, call.currency), partial(begin, call))
        except Refusal as refusal:
            return Declined(refusal.code, refusal.gateway_code)
        except stripe.StripeError as error:
            if call.kind is OperationKind.AUTHORIZE or not outcomes.is_state_conflict(error):
                return outcomes.failed(call.kind, error)
            code = outcomes.details(error).get("code")
        except _LOST as lost:
            return outcomes.unreached(lost)
        found = await self._ask(call, self._state)
        return outcomes.refused(call.kind, code, None) if isinstance(found, NotFound) else found

    async def _send(self, call: GatewayCall, amount: int, begin: Callable[[], bool]) -> GatewayOutcome:
        api = self._client().v1
        options: stripe.RequestOptions = {"idempotency_key": call.idempotency_key}
        transaction_id = call.transaction_id or ""
        match call.kind:
            case OperationKind.AUTHORIZE:
                return outcomes.authorized(await self._slot(self._create(call, amount, options), begin))
            case OperationKind.CAPTURE:
                capture = api.payment_intents.capture_async(transaction_id, {"amount_to_capture": amount}, options)
                return outcomes.captured(call, await self._slot(capture, begin))
            case OperationKind.VOID:
                cancel = api.payment_intents.cancel_async(transaction_id, options=options)
                return outcomes.voided(await self._slot(cancel, begin))
            case OperationKind.REFUND:
                refund = api.refunds.create_async(
                    {"payment_intent": transaction_id, "amount": amount, "metadata": _metadata(call)}, options
                )
                return outcomes.refunded(call, await self._slot(refund, begin))
            case OperationKind.RESERVE | OperationKind.CONFIRM | OperationKind.RELEASE:
                raise AssertionError(f"{call.kind} is for the inventory")
            case _:
                assert_never(call.kind)

    def _create(
        self, call: GatewayCall, amount: int, options: stripe.RequestOptions
    ) -> Coroutine[Any, Any, stripe.PaymentIntent]:
        return self._client().v1.payment_intents.create_async(
            {
                "amount": amount,
                "currency": call.currency.lower(),
                "payment_method": call.token or "",
                "capture_method": "manual",
                "confirm": True,
                "error_on_requires_action": True,
                "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
                "metadata": _metadata(call),
                "expand": ["latest_charge"],
            },
            options,
        )

    async def _look_up(self, call: GatewayCall, listing: Awaitable[_Listing]) -> GatewayOutcome:
        if call.kind is not OperationKind.AUTHORIZE:
            return await self._ask(call, self._state)

        async def listed(call: GatewayCall) -> GatewayOutcome:
            found, complete = await asyncio.shield(listing)
            intent = found.get(str(call.operation_id))
            if intent is not None:
                return outcomes.authorized(intent)
            return NotFound() if complete else Unknown("more transactions than the look-up may go through")

        return await self._ask(call, listed)

    async def _ask(self, call: GatewayCall, read: Callable[[GatewayCall], Awaitable[GatewayOutcome]]) -> GatewayOutcome:
        """Read, and take every failure to read for what it is: we do not know (never: it did not happen)."""
        try:
            return await self._ask_readable(call, read)
        except _UNREADABLE:
            return Unknown("unreadable answer")

    async def _ask_readable(
        self, call: GatewayCall, read: Callable[[GatewayCall], Awaitable[GatewayOutcome]]
    ) -> GatewayOutcome:
        try:
            return await read(call)
        except stripe.StripeError as error:
            if error.http_status == 404 and outcomes.details(error).get("code") == "resource_missing":
                return NotFound()
            failed = outcomes.failed(call.kind, error)
            if isinstance(failed, NotExecuted) and failed.forbidden:
                return Unknown(f"the look-up was refused: {failed.detail}", forbidden=True)
            return failed if isinstance(failed, Unknown) else Unknown("the look-up was refused")
        except _LOST as lost:
            return Unknown(f"the look-up failed ({type(lost).__name__})")

    async def _state(self, call: GatewayCall) -> GatewayOutcome:
        """Read the state of a capture, void or refund."""
        api = self._client().v1
        if call.kind is OperationKind.REFUND:
            refund = await self._refund(call)
            return NotFound() if refund is None else outcomes.refunded(call, refund)
        intent = await self._slot(api.payment_intents.retrieve_async(call.transaction_id or ""))
        return outcomes.captured(call, intent) if call.kind is OperationKind.CAPTURE else outcomes.voided(intent)

    async def _refund(self, call: GatewayCall) -> stripe.Refund | None:
        """Return the call's refund: by its reference once it has one, else by the operation id in the metadata."""
        refunds = self._client().v1.refunds
        if call.reference is not None:
            return await self._slot(refunds.retrieve_async(call.reference))
        asked: RefundListParams = {"payment_intent": call.transaction_id or "", "limit": PAGE}
        for _ in range(REFUND_PAGES_MAX):
            page = await self._slot(refunds.list_async(asked))
            for refund in page.data:
                if _operation_of(refund) == str(call.operation_id):
                    return refund
            if not page.has_more:
                return None
            asked["starting_after"] = page.data[-1].id
        raise ValueError(f"Transaction {call.transaction_id} has more refunds than are looked through.")

    async def _list(self, calls: Sequence[GatewayCall]) -> _Listing:
        """Find the PaymentIntents of authorize operations, newest first, until all are found or none can be left.

        Pages are read raw: the SDK's objects cost 0.2 ms each, and a page of them would hold up the event loop.
        """
        wanted = {str(call.operation_id) for call in calls}
        found: dict[str, stripe.PaymentIntent] = {}
        if not calls:
            return found, True
        client = self._client()
        since = int((min(call.opened_at for call in calls) - LISTING_MARGIN).timestamp())
        asked: dict[str, Any] = {"limit": PAGE, "created": {"gte": since}, "expand": ["data.latest_charge"]}
        for _ in range(self._listing_pages_max):
            raw = client.raw_request_async("get", "/v1/payment_intents", **asked)
            page = (await self._slot(raw)).data
            for intent in page["data"]:
                operation = intent["metadata"].get("operation_id")
                if operation in wanted:
                    found[operation] = cast("stripe.PaymentIntent", client.deserialize(intent, api_mode="V1"))
            if len(found) == len(wanted) or not page["has_more"]:
                return found, True
            asked["starting_after"] = page["data"][-1]["id"]
        return found, False

    async def _slot(self, request: Coroutine[Any, Any, _Answer], begin: Callable[[], bool] = lambda: True) -> _Answer:
        """Run one request when there is room for it, if it may begin then: the wait for room may have been long."""
        try:
            async with self._free:
                if not begin():
                    raise _NotBegun
                return await request
        finally:
            request.close()  # cancelled while there was no room: it never began

    def _client(self) -> stripe.StripeClient:
        if self._connected is None:
            trusted = ssl.create_default_context(cafile=stripe.ca_bundle_path)
            connector = aiohttp.TCPConnector(limit=self._concurrency, ssl=trusted)
            session = aiohttp.ClientSession(connector=connector)
            # The SDK hands the time-out on to aiohttp as it is, so aiohttp's own record of several limits fits.
            http = stripe.AIOHTTPClient(timeout=self._timeout, session=session)
            client = stripe.StripeClient(
                self._api_key, base_addresses={"api": self._api_base}, http_client=http, max_network_retries=0
            )
            self._connected = client, session
        return self._connected[0]


def _metadata(call: GatewayCall) -> dict[str, str]:
    return {"order_id": call.order_id, "attempt": str(call.attempt), "operation_id": str(call.operation_id)}


def _operation_of(refund: stripe.Refund) -> str | None:
    return getattr(refund.metadata, "operation_id", None)
