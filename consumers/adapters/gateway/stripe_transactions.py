"""Reads of one transaction at Stripe: its state, its refunds, and whether it is there at all."""

from collections.abc import Sequence
from typing import Any, Final

import stripe

from consumers.adapters.gateway import stripe_outcomes as outcomes
from consumers.adapters.gateway.stripe_account import StripeAccount
from consumers.adapters.gateway.stripe_errors import is_missing
from consumers.adapters.gateway.stripe_fields import Thing, part
from consumers.adapters.gateway.stripe_pages import StripePages
from consumers.adapters.gateway.stripe_requests import INTENTS, REFUNDS, StripeRequests, path_to
from consumers.adapters.gateway.stripe_returned import is_foreign, may_be_returned, own_refund, read_refused, read_taken
from domain.errors import DownForEverybody
from domain.operation import GatewayCall, OperationKind
from domain.outcome import Approved, GatewayOutcome, NotFound, TransactionMissing, Unknown

REFUND_PAGES_MAX: Final = 10
WITH_CHARGE: Final[dict[str, Any]] = {"expand": ["latest_charge"]}
"""The charge tells until when it can be captured, and whether money went back."""


class StripeTransactions:
    """Reads transactions. Raises what the SDK raises, and one of UNREADABLE_ERRORS where an answer makes no sense."""

    def __init__(self, requests: StripeRequests, pages: StripePages, account: StripeAccount) -> None:
        self._requests = requests
        self._pages = pages
        self._account = account

    async def read_state(self, call: GatewayCall) -> GatewayOutcome:
        """Read what became of a call about a transaction, or of an authorize whose transaction is known."""
        if call.kind is OperationKind.REFUND:
            return await self._read_refund(call)
        intent = await self._retrieve(call)
        if call.kind is OperationKind.AUTHORIZE:
            return await self._read_authorize(call, intent)
        if call.kind is OperationKind.VOID:
            return outcomes.read_void(call, intent)
        return await self.read_taken(call, intent, outcomes.read_capture(call, intent))

    async def read_taken(self, call: GatewayCall, intent: Thing, found: GatewayOutcome) -> GatewayOutcome:
        """Return what was found, unless all of the money was taken and some of it went back since."""
        taken = isinstance(found, Approved) and found.captured and found.amount_minor == call.amount_minor
        if not taken or not may_be_returned(intent):
            return found
        return read_taken(intent, found, await self._refunds(str(intent["id"])))

    async def read_returned(self, call: GatewayCall) -> GatewayOutcome:
        """Read whether somebody else gave money back, so that our refund was refused; NotFound if nobody did."""
        return await self._read_returned(call, await self._refunds(call.transaction_id or ""))

    async def judge_missing(self, call: GatewayCall) -> GatewayOutcome:
        """Judge that Stripe does not have what the call names; NotFound if it has the transaction after all.

        Raises DownForEverybody if it has no transaction of ours at all: the key is that of another account.
        """
        try:
            await self._retrieve(call)
        except stripe.StripeError as error:
            if not is_missing(error):
                raise
        else:
            return NotFound()
        if not await self._account.has_ours():
            raise DownForEverybody(
                f"Stripe has no payment of ours, and not {call.transaction_id}: PAYMENTS_STRIPE_API_KEY is that of "
                "another account, or of the other mode."
            )
        return TransactionMissing()

    async def _retrieve(self, call: GatewayCall) -> Thing:
        intent = await self._requests.get(path_to(INTENTS, call.transaction_id or ""), WITH_CHARGE)
        self._account.note_ours()
        return intent

    async def _read_authorize(self, call: GatewayCall, intent: Thing) -> GatewayOutcome:
        """Read the transaction that the gateway once named as the call's.

        If its metadata name another operation by now, somebody has changed them. It is still what our key made, so it
        is no trace of nothing; but what it is, a person must say.
        """
        if part(intent, "metadata").get("operation_id") != str(call.operation_id):
            return Unknown("its payment bears the id of another operation: look at its metadata there", replayed=True)
        return await self.read_taken(call, intent, outcomes.read_authorize(call, intent))

    async def _read_refund(self, call: GatewayCall) -> GatewayOutcome:
        """Read the call's refund: by its id once it has one, else among all of its transaction."""
        if call.reference is not None:
            return outcomes.read_refund(call, await self._requests.get(path_to(REFUNDS, call.reference)))
        refunds = await self._refunds(call.transaction_id or "")
        own = own_refund(call, refunds)
        if own is not None:
            return outcomes.read_refund(call, own)
        # Of our own refunds we know. Somebody else's may be why ours was refused, and pending until now.
        return await self._read_returned(call, refunds) if any(map(is_foreign, refunds)) else NotFound()

    async def _read_returned(self, call: GatewayCall, refunds: Sequence[Thing]) -> GatewayOutcome:
        intent = await self._retrieve(call)
        return outcomes.read_currency(call, intent) or read_refused(call, intent, refunds)

    async def _refunds(self, transaction_id: str) -> list[Thing]:
        """Return all refunds of a transaction, the newest first."""
        asked = {"payment_intent": transaction_id}
        return [refund async for page in self._pages.read(REFUNDS, asked, REFUND_PAGES_MAX) for refund in page.things]
