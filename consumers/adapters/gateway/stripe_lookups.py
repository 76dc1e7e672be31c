"""Look-ups at Stripe: what became of a call, and which order a transaction is of. They change nothing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextvars import Context, copy_context
from datetime import timedelta
from typing import Any, Final, cast

import stripe

from consumers.adapters.gateway import stripe_outcomes as outcomes
from consumers.adapters.gateway.concurrent import answers
from consumers.adapters.gateway.stripe_advice import pause
from consumers.adapters.gateway.stripe_http import last_headers, last_request_id, take_over
from consumers.adapters.gateway.stripe_requests import CONNECTION_ERRORS, PAGE, UNREADABLE_ERRORS, StripeRequests
from consumers.adapters.gateway.stripe_transactions import StripeTransactions
from domain.errors import Transient
from domain.operation import GatewayCall, OperationKind
from domain.outcome import GatewayOutcome, NotExecuted, NotFound, Unknown
from domain.ports.gateway import GatewayAnswer

LISTING_MARGIN: Final = timedelta(minutes=5)
"""How far our clock and Stripe's may differ."""

_Listing = tuple[dict[str, stripe.PaymentIntent], bool]
"""PaymentIntents by operation id, and whether the listing is complete."""


class StripeLookUps:
    """Reads at Stripe. listing_pages_max bounds one listing of PaymentIntents, in pages of 100."""

    def __init__(self, requests: StripeRequests, listing_pages_max: int) -> None:
        self._requests = requests
        self._listing_pages_max = listing_pages_max
        self.transactions = StripeTransactions(requests)

    async def look_up(self, calls: Sequence[GatewayCall], at_once: int) -> AsyncIterator[Sequence[GatewayAnswer]]:
        """Read what became of the calls. One listing serves all authorize operations of the sequence."""
        said = copy_context()
        authorizes = [call for call in calls if call.kind is OperationKind.AUTHORIZE]
        listing = asyncio.create_task(self._list(authorizes), context=said)

        async def ask(call: GatewayCall) -> GatewayOutcome:
            if call.kind is OperationKind.AUTHORIZE:
                return await self._ask(call, self._find_listed(call, listing, said))
            return await self.ask_state(call)

        try:
            async for group in answers(calls, ask, at_once, last_request_id):
                yield group
        finally:
            listing.cancel()
            await asyncio.gather(listing, return_exceptions=True)

    async def ask_state(self, call: GatewayCall) -> GatewayOutcome:
        """Read what became of a capture, void or refund. Every failure to read is Unknown, never "not executed"."""
        return await self._ask(call, self._read_state(call))

    async def find_returned(self, call: GatewayCall) -> GatewayOutcome:
        """Read whether somebody else gave money back, so that our refund was refused; NotFound if nobody did."""
        return await self._ask(call, self.transactions.read_returned(call))

    async def judge_missing(self, call: GatewayCall) -> GatewayOutcome:
        """Judge that Stripe does not have what the call names; NotFound if it has the transaction after all.

        Raises DownForEverybody if it has no transaction of ours at all: the key is that of another account.
        """
        return await self._ask(call, self.transactions.judge_missing(call))

    async def order_of(self, reference: str) -> str | None:
        """Return the order that a transaction, or the transaction of a refund, names; "" if it names none.

        None: Stripe has nothing of this id. Raises Transient when Stripe does not say.
        """
        api, intent_id = self._requests.client().v1, reference
        try:
            if not reference.startswith("pi_"):
                refund = await self._requests.run(api.refunds.retrieve_async(reference))
                intent_id = str(refund.payment_intent)
            intent = await self._requests.run(api.payment_intents.retrieve_async(intent_id))
            return str(getattr(intent.metadata, "order_id", ""))
        except stripe.StripeError as error:
            if error.http_status == 404:
                return None
            raise Transient(f"the gateway does not say what {reference} is (HTTP {error.http_status})") from error
        except (*CONNECTION_ERRORS, *UNREADABLE_ERRORS) as error:
            raise Transient(f"the gateway does not say what {reference} is ({type(error).__name__})") from error

    async def _ask(self, call: GatewayCall, answer: Awaitable[GatewayOutcome]) -> GatewayOutcome:
        try:
            outcome = await self._ask_readable(call, answer)
        except UNREADABLE_ERRORS:
            outcome = Unknown("unreadable answer")
        return pause(outcome, last_headers())

    async def _ask_readable(self, call: GatewayCall, answer: Awaitable[GatewayOutcome]) -> GatewayOutcome:
        """Await the answer. Raises one of UNREADABLE_ERRORS where the answer, or an error in it, makes no sense."""
        try:
            return await answer
        except stripe.StripeError as error:
            if outcomes.is_missing(error):
                return NotFound() if call.kind is OperationKind.AUTHORIZE else await self.judge_missing(call)
            failed = outcomes.read_error(call.kind, error)
            if isinstance(failed, NotExecuted) and failed.forbidden:
                return Unknown(f"the look-up was refused: {failed.detail}", forbidden=True)
            return failed if isinstance(failed, Unknown) else Unknown("the look-up was refused")
        except CONNECTION_ERRORS as lost:
            return Unknown(f"the look-up failed ({type(lost).__name__})")

    async def _read_state(self, call: GatewayCall) -> GatewayOutcome:
        if call.kind is OperationKind.REFUND:
            refund = await self.transactions.find_refund(call)
            return NotFound() if refund is None else outcomes.read_refund(call, refund)
        intent = await self.transactions.retrieve(call)
        return outcomes.read_capture(intent) if call.kind is OperationKind.CAPTURE else outcomes.read_void(intent)

    @staticmethod
    async def _find_listed(call: GatewayCall, listing: Awaitable[_Listing], said: Context) -> GatewayOutcome:
        """Find the call in the listing. said: the context in which Stripe answered it."""
        try:
            found, complete = await asyncio.shield(listing)
        finally:
            take_over(said)
        intent = found.get(str(call.operation_id))
        if intent is not None:
            return outcomes.read_authorize(call, intent)
        return NotFound() if complete else Unknown("more transactions than the look-up may go through")

    async def _list(self, calls: Sequence[GatewayCall]) -> _Listing:
        """Find the PaymentIntents of authorize operations, newest first, until all are found or no page is left.

        Pages are read raw: the SDK's objects cost 0.2 ms each, and a page of them would block the event loop.
        """
        wanted = {str(call.operation_id) for call in calls}
        found: dict[str, stripe.PaymentIntent] = {}
        if not calls:
            return found, True
        client = self._requests.client()
        since = int((min(call.opened_at for call in calls) - LISTING_MARGIN).timestamp())
        asked: dict[str, Any] = {"limit": PAGE, "created": {"gte": since}, "expand": ["data.latest_charge"]}
        for _ in range(self._listing_pages_max):
            page = (await self._requests.run(client.raw_request_async("get", "/v1/payment_intents", **asked))).data
            for intent in page["data"]:
                operation = intent["metadata"].get("operation_id")
                if operation in wanted:
                    found[operation] = cast("stripe.PaymentIntent", client.deserialize(intent, api_mode="V1"))
            if len(found) == len(wanted) or not page["has_more"]:
                return found, True
            asked["starting_after"] = page["data"][-1]["id"]
        return found, False
