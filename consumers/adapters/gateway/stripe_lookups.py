"""Look-ups at Stripe: what became of a call, and which order a transaction is of. They change nothing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import aclosing
from contextvars import Context, copy_context
from datetime import timedelta
from typing import Any, Final

import stripe

from consumers.adapters.gateway import stripe_errors as errors
from consumers.adapters.gateway import stripe_outcomes as outcomes
from consumers.adapters.gateway.concurrent import answers
from consumers.adapters.gateway.stripe_account import KnownBefore, StripeAccount
from consumers.adapters.gateway.stripe_advice import pause
from consumers.adapters.gateway.stripe_fields import UNREADABLE_ERRORS, Thing, optional_text, part, remark
from consumers.adapters.gateway.stripe_http import last_headers, last_request_id, take_over
from consumers.adapters.gateway.stripe_pages import LongList, StripePages, as_transient
from consumers.adapters.gateway.stripe_requests import CONNECTION_ERRORS, INTENTS, REFUNDS, StripeRequests, path_to
from consumers.adapters.gateway.stripe_transactions import StripeTransactions
from domain.errors import Transient
from domain.operation import GatewayCall, OperationKind
from domain.outcome import GatewayOutcome, NotExecuted, NotFound, Unknown
from domain.ports.gateway import GatewayAnswer

LISTING_MARGIN: Final = timedelta(minutes=5)
"""How far our clock and Stripe's may differ."""

_Listing = tuple[dict[str, Thing], bool]
"""PaymentIntents by operation id, and whether the listing is complete."""


class StripeLookUps:
    """Reads at Stripe. listing_pages_max bounds one listing of PaymentIntents, in pages of 100."""

    def __init__(
        self, requests: StripeRequests, listing_pages_max: int, known_before: KnownBefore | None = None
    ) -> None:
        self._requests = requests
        self._pages = StripePages(requests)
        self._listing_pages_max = listing_pages_max
        self.account = StripeAccount(requests, self._pages, known_before)
        self._transactions = StripeTransactions(requests, self._pages, self.account)

    async def look_up(self, calls: Sequence[GatewayCall], at_once: int) -> AsyncIterator[Sequence[GatewayAnswer]]:
        """Read what became of the calls. One listing serves all whose transaction is not known yet."""
        said = copy_context()
        listing = asyncio.create_task(self._list([call for call in calls if _is_lost(call)]), context=said)

        async def ask(call: GatewayCall) -> GatewayOutcome:
            if _is_lost(call):
                return await self._ask(call, self._find_listed(call, listing, said))
            return await self.ask_state(call)

        try:
            async for group in answers(calls, ask, at_once, last_request_id):
                yield group
        finally:
            listing.cancel()
            await asyncio.gather(listing, return_exceptions=True)

    async def ask_state(self, call: GatewayCall) -> GatewayOutcome:
        """Read what became of a call about a transaction. Every failure to read is Unknown, never "not executed"."""
        return await self._ask(call, self._transactions.read_state(call))

    async def find_returned(self, call: GatewayCall) -> GatewayOutcome:
        """Read whether somebody else gave money back, so that our refund was refused; NotFound if nobody did."""
        return await self._ask(call, self._transactions.read_returned(call))

    async def judge_missing(self, call: GatewayCall) -> GatewayOutcome:
        """Judge that Stripe does not have what the call names; NotFound if it has the transaction after all.

        Raises DownForEverybody if it has no transaction of ours at all: the key is that of another account.
        """
        return await self._ask(call, self._transactions.judge_missing(call))

    async def order_of(self, reference: str) -> str | None:
        """Return the order that a transaction, or the transaction of a refund, names; "" if it names none.

        None: Stripe has nothing of this id. Raises Transient when Stripe does not say.
        """
        try:
            with as_transient("payment"):
                return await self._order_of(reference)
        except Transient as error:
            raise Transient(f"the gateway does not say what {reference} is: {error}") from error

    async def _order_of(self, reference: str) -> str | None:
        intent_id = reference
        try:
            if not reference.startswith("pi_"):
                refund = await self._requests.get(path_to(REFUNDS, reference))
                of = optional_text(refund, "payment_intent")
                if of is None:
                    return ""  # of a charge without a PaymentIntent: none of ours
                intent_id = of
            intent = await self._requests.get(path_to(INTENTS, intent_id))
        except stripe.StripeError as error:
            if error.http_status == 404:
                return None
            raise
        return remark(part(intent, "metadata"), "order_id") or ""

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
            if errors.is_missing(error):
                return NotFound() if _is_lost(call) else await self.judge_missing(call)
            failed = errors.read_error(call.kind, error)
            if isinstance(failed, NotExecuted) and failed.forbidden:
                return Unknown(f"the look-up was refused: {failed.detail}", forbidden=True)
            return failed if isinstance(failed, Unknown) else Unknown("the look-up was refused")
        except CONNECTION_ERRORS as lost:
            return Unknown(f"the look-up failed ({type(lost).__name__})")

    async def _find_listed(self, call: GatewayCall, listing: Awaitable[_Listing], said: Context) -> GatewayOutcome:
        """Find the call in the listing. said: the context in which Stripe answered it."""
        try:
            found, complete = await asyncio.shield(listing)
        finally:
            take_over(said)
        intent = found.get(str(call.operation_id))
        if intent is not None:
            return await self._transactions.read_taken(call, intent, outcomes.read_authorize(call, intent))
        if not complete:
            return Unknown("more transactions than the look-up may go through")
        try:
            missing = await self.account.lacks_before(call)
        except Transient as error:
            return Unknown(f"not there, and it is not known whether it should be: {error}")
        if missing is None:
            return NotFound()
        # Sent again, it would be paid a second time, in another account than the first.
        return Unknown(f"not there, nor is {missing}: is PAYMENTS_STRIPE_API_KEY that of another account?")

    async def _list(self, calls: Sequence[GatewayCall]) -> _Listing:
        """Find the PaymentIntents of authorize operations, newest first, until all are found or no page is left."""
        wanted = {str(call.operation_id) for call in calls}
        found: dict[str, Thing] = {}
        if not calls:
            return found, True
        since = int((min(call.opened_at for call in calls) - LISTING_MARGIN).timestamp())
        asked: dict[str, Any] = {"created": {"gte": since}, "expand": ["data.latest_charge"]}
        try:
            async with aclosing(self._pages.read(INTENTS, asked, self._listing_pages_max)) as pages:
                async for page in pages:
                    for intent in page.things:
                        operation = part(intent, "metadata").get("operation_id")
                        if operation in wanted:
                            found[operation] = intent
                    if len(found) == len(wanted):
                        break
        except LongList:
            return found, False
        return found, True


def _is_lost(call: GatewayCall) -> bool:
    """Whether the call's transaction must be searched: it is an authorize that no answer has named one for."""
    return call.kind is OperationKind.AUTHORIZE and call.transaction_id is None
