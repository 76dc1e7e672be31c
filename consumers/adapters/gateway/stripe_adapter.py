"""Stripe behind the gateway port. The same code talks to Stripe and to the sandbox."""

import ipaddress
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import assert_never
from urllib.parse import urlsplit

import stripe

from consumers.adapters.gateway import stripe_errors as errors
from consumers.adapters.gateway import stripe_outcomes as outcomes
from consumers.adapters.gateway.concurrent import answers
from consumers.adapters.gateway.stripe_account import KnownBefore
from consumers.adapters.gateway.stripe_advice import heed
from consumers.adapters.gateway.stripe_codes import Refusal
from consumers.adapters.gateway.stripe_currency import amount_to_send
from consumers.adapters.gateway.stripe_event_list import StripeEventList
from consumers.adapters.gateway.stripe_fields import UNREADABLE_ERRORS
from consumers.adapters.gateway.stripe_forms import FORMATS, authorize_form, capture_form, refund_form
from consumers.adapters.gateway.stripe_http import last_headers, last_request_id
from consumers.adapters.gateway.stripe_lookups import StripeLookUps
from consumers.adapters.gateway.stripe_news import read_news
from consumers.adapters.gateway.stripe_pages import StripePages
from consumers.adapters.gateway.stripe_refunds import late_refunds
from consumers.adapters.gateway.stripe_requests import (
    CONNECTION_ERRORS,
    INTENTS,
    REFUNDS,
    NotBegun,
    StripeRequests,
    path_to,
)
from domain.news import RefundFailure, TransactionNews
from domain.notices import Notice
from domain.operation import GatewayCall, OperationKind
from domain.outcome import Declined, GatewayOutcome, NotExecuted, NotFound, Unknown
from domain.ports.gateway import Begin, GatewayAnswer, at_once

API_BASE = "https://api.stripe.com"
NEWER_RELEASE_RETRY_S = 10.0
"""So long a call of a newer format waits before we see it again: a process of that release should take it meanwhile."""


def check_play(api_key: str, api_base: str) -> None:
    """Refuse, with ValueError, what might be real money: a live key, or an API that is not on this machine."""
    if api_key.startswith(("sk_live", "rk_live")):
        raise ValueError("A live Stripe key is set for play money: use a key that begins with sk_test_.")
    host = urlsplit(api_base).hostname or ""
    with suppress(ValueError):
        if host == "localhost" or ipaddress.ip_address(host).is_loopback:
            return
    raise ValueError(f"Play money needs an API base on this machine (127.0.0.1), not {host or 'nothing'}.")


class StripeGateway:
    """`Gateway` over Stripe's PaymentIntents.

    concurrency bounds the requests that run at a time, over all sequences. timeout_s bounds one request from its
    sending to the last byte, connect_timeout_s the connection. listing_pages_max bounds the search for lost authorize
    operations, in pages of 100 PaymentIntents: what lies beyond stays Unknown. known_before: tells whether the account
    is still ours, before an authorize that is not there is sent again (see StripeAccount).
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
        known_before: KnownBefore | None = None,
    ) -> None:
        self._concurrency = concurrency
        self._requests = StripeRequests(
            api_key, api_base, concurrency, connect_timeout_s=connect_timeout_s, timeout_s=timeout_s
        )
        self._pages = StripePages(self._requests)
        self._look_ups = StripeLookUps(self._requests, listing_pages_max, known_before)
        self.events = StripeEventList(self._pages)

    def perform(self, calls: Sequence[GatewayCall], begin: Begin = at_once) -> AsyncIterator[Sequence[GatewayAnswer]]:
        """Send what the calls ask, each under its idempotency key."""
        return answers(calls, lambda call: self._perform(call, begin), self._concurrency, last_request_id)

    def look_up(self, calls: Sequence[GatewayCall]) -> AsyncIterator[Sequence[GatewayAnswer]]:
        """Read what became of the calls. One listing serves all authorize operations of the sequence."""
        return self._look_ups.look_up(calls, self._concurrency)

    def late_refunds(self, since: datetime) -> AsyncIterator[Sequence[RefundFailure | Notice]]:
        """List refunds that changed without us. Raises Transient, see the port."""
        return late_refunds(self._pages, since)

    async def news_of(self, transaction_id: str, *, with_disputes: bool) -> TransactionNews | None:
        """Read all about one transaction. Raises Transient, see the port."""
        return await read_news(self._requests, self._pages, transaction_id, with_disputes=with_disputes)

    async def order_of(self, reference: str) -> str | None:
        """Return the order that a transaction, or the transaction of a refund, names; "" if it names none."""
        return await self._look_ups.order_of(reference)

    async def close(self) -> None:
        """Close the connections. A later call opens new ones."""
        await self._requests.close()

    async def _perform(self, call: GatewayCall, begin: Begin) -> GatewayOutcome | None:
        """Perform one call. None: it was not allowed to begin."""
        try:
            return await self._perform_readable(call, begin)
        except NotBegun:
            return None
        except UNREADABLE_ERRORS:
            return heed(Unknown("unreadable answer"), last_headers())

    async def _perform_readable(self, call: GatewayCall, begin: Begin) -> GatewayOutcome:
        """Perform one call. Raises one of UNREADABLE_ERRORS where the answer, or an error in it, makes no sense."""
        if call.request_format not in FORMATS:
            return _left_to_newer(call)
        try:
            outcome = await self._send(call, amount_to_send(call), partial(begin, call))
        except Refusal as refusal:
            return Declined(refusal.code, refusal.gateway_code)
        except stripe.StripeError as error:
            return await self._read_refusal(call, error)
        except CONNECTION_ERRORS as lost:
            return heed(errors.read_lost_connection(lost), last_headers())
        else:
            if call.kind is not OperationKind.AUTHORIZE:  # a new payment may be made in any account
                self._look_ups.account.note_ours()
            return outcome

    async def _read_refusal(self, call: GatewayCall, error: stripe.StripeError) -> GatewayOutcome:
        """Read an error. What may contradict our belief about the transaction is looked up before it counts."""
        headers = last_headers()
        if call.kind is OperationKind.AUTHORIZE:
            return heed(errors.read_error(call.kind, error), headers, error)
        if errors.is_missing(error):
            outcome = await self._look_ups.judge_missing(call)
        elif errors.is_state_conflict(error):
            outcome = await self._look_ups.ask_state(call)
        else:
            outcome = heed(errors.read_error(call.kind, error), headers, error)
        if isinstance(outcome, NotFound):
            outcome = errors.read_refusal(call.kind, errors.details(error).get("code"), None)
        if call.kind is OperationKind.REFUND and isinstance(outcome, Declined):
            found = await self._look_ups.find_returned(call)
            return outcome if isinstance(found, NotFound) else found
        return outcome

    async def _send(self, call: GatewayCall, amount: int, begin: Callable[[], bool]) -> GatewayOutcome:
        post, key = self._requests.post, call.idempotency_key
        transaction_id = call.transaction_id or ""
        match call.kind:
            case OperationKind.AUTHORIZE:
                return outcomes.read_authorize(call, await post(INTENTS, authorize_form(call, amount), key, begin))
            case OperationKind.CAPTURE:
                path = path_to(INTENTS, transaction_id, "capture")
                return outcomes.read_capture(call, await post(path, capture_form(amount), key, begin))
            case OperationKind.VOID:
                path = path_to(INTENTS, transaction_id, "cancel")
                return outcomes.read_void(call, await post(path, {}, key, begin))
            case OperationKind.REFUND:
                return outcomes.read_refund(call, await post(REFUNDS, refund_form(call, amount), key, begin))
            case (
                OperationKind.RESERVE
                | OperationKind.CONFIRM
                | OperationKind.RELEASE
                | OperationKind.EXTEND
                | OperationKind.RESTOCK
            ):
                raise AssertionError(f"{call.kind} is for the inventory")
            case _:
                assert_never(call.kind)


def _left_to_newer(call: GatewayCall) -> NotExecuted:
    return NotExecuted(
        f"its request has format {call.request_format}: a process of a newer release sends it",
        NEWER_RELEASE_RETRY_S,
        not_asked=True,
    )
