"""Reads of one transaction at Stripe: its state, its refunds, and whether it is there at all."""

from collections.abc import AsyncIterator
from typing import Final

import stripe
from stripe.params import RefundListParams

from consumers.adapters.gateway import stripe_outcomes as outcomes
from consumers.adapters.gateway.stripe_currency import from_stripe
from consumers.adapters.gateway.stripe_requests import PAGE, StripeRequests
from domain.errors import DownForEverybody
from domain.operation import GatewayCall
from domain.outcome import GatewayOutcome, NotFound, ReturnedElsewhere, TransactionMissing

REFUND_PAGES_MAX: Final = 10
OURS_PAGES_MAX: Final = 10
"""How far we search for another transaction of ours."""
_MONEY_IS_BACK: Final = frozenset({"succeeded", "pending", "requires_action"})


class StripeTransactions:
    """Reads transactions. Raises what the SDK raises, and one of UNREADABLE_ERRORS where an answer makes no sense."""

    def __init__(self, requests: StripeRequests) -> None:
        self._requests = requests
        self._has_ours = False

    def note_ours(self) -> None:
        """Note that Stripe has a transaction of ours: our key is that of the right account."""
        self._has_ours = True

    async def retrieve(self, call: GatewayCall) -> stripe.PaymentIntent:
        """Fetch the call's transaction."""
        intents = self._requests.client().v1.payment_intents
        intent = await self._requests.run(intents.retrieve_async(call.transaction_id or ""))
        self.note_ours()
        return intent

    async def find_refund(self, call: GatewayCall) -> stripe.Refund | None:
        """Return the call's refund: by its reference once it has one, else by the operation id in the metadata."""
        refunds = self._requests.client().v1.refunds
        if call.reference is not None:
            return await self._requests.run(refunds.retrieve_async(call.reference))
        async for refund in self._refunds(call):
            if getattr(refund.metadata, "operation_id", None) == str(call.operation_id):
                return refund
        return None

    async def read_returned(self, call: GatewayCall) -> GatewayOutcome:
        """Read whether somebody else gave money back, so that our refund was refused; NotFound if nobody did."""
        intent = await self.retrieve(call)
        received = from_stripe(intent.amount_received, intent.currency)
        total, newest = 0, None
        async for refund in self._refunds(call):
            if refund.status in _MONEY_IS_BACK:
                total += from_stripe(refund.amount, refund.currency)
                newest = newest or refund.id
        if newest is None or received - total >= call.amount_minor:
            return NotFound()
        return ReturnedElsewhere(total, newest)

    async def judge_missing(self, call: GatewayCall) -> GatewayOutcome:
        """Judge that Stripe does not have what the call names; NotFound if it has the transaction after all.

        Raises DownForEverybody if it has no transaction of ours at all: the key is that of another account.
        """
        try:
            await self.retrieve(call)
        except stripe.StripeError as error:
            if not outcomes.is_missing(error):
                raise
        else:
            return NotFound()
        if not self._has_ours and not await self._find_ours():
            raise DownForEverybody(
                f"Stripe has no payment of ours, and not {call.transaction_id}: PAYMENTS_STRIPE_API_KEY is that of "
                "another account, or of the other mode."
            )
        return TransactionMissing()

    async def _find_ours(self) -> bool:
        """Search the newest transactions for one of ours."""
        client, asked = self._requests.client(), {"limit": PAGE}
        for _ in range(OURS_PAGES_MAX):
            page = (await self._requests.run(client.raw_request_async("get", "/v1/payment_intents", **asked))).data
            if any("operation_id" in intent["metadata"] for intent in page["data"]):
                self.note_ours()
                return True
            if not page["has_more"]:
                return False
            asked["starting_after"] = page["data"][-1]["id"]
        return False

    async def _refunds(self, call: GatewayCall) -> AsyncIterator[stripe.Refund]:
        """Yield all refunds of the call's transaction, the newest first."""
        refunds = self._requests.client().v1.refunds
        asked: RefundListParams = {"payment_intent": call.transaction_id or "", "limit": PAGE}
        for _ in range(REFUND_PAGES_MAX):
            page = await self._requests.run(refunds.list_async(asked))
            for refund in page.data:
                yield refund
            if not page.has_more:
                return
            asked["starting_after"] = page.data[-1].id
        raise ValueError(f"Transaction {call.transaction_id} has over {REFUND_PAGES_MAX * PAGE} refunds.")
