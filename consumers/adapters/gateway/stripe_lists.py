"""Stripe's lists of PaymentIntents, refunds and disputes, in pages. Its search is not used: it lags by minutes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from consumers.adapters.gateway.stripe_currency import from_stripe
from consumers.adapters.gateway.stripe_disputes import read_dispute
from consumers.adapters.gateway.stripe_fields import Thing
from consumers.adapters.gateway.stripe_pages import StripePages, read_all
from consumers.adapters.gateway.stripe_requests import DISPUTES, INTENTS, REFUNDS, StripeRequests
from consumers.adapters.gateway.stripe_returned import only_freed
from domain.news import Dispute
from domain.ports.gateway import ListedRefund, ListedTransaction, RefundState

TRIES_MAX: Final = 4
PAGES_MAX: Final = 100_000
"""Ten million payments. Whoever has more asks for a shorter time."""

_ONCE_APPROVED: Final = frozenset({"requires_capture", "succeeded", "canceled"})
_OPEN: Final = frozenset({"requires_confirmation", "requires_action", "processing"})
_REFUND_STATES: Final = {
    "succeeded": RefundState.SUCCEEDED,
    "pending": RefundState.PENDING,
    "requires_action": RefundState.PENDING,
    "failed": RefundState.FAILED,
    "canceled": RefundState.FAILED,
}


class StripeLists:
    """`GatewayLists` over Stripe's lists. A page is tried again after a lost connection, 429 or 5xx."""

    def __init__(self, requests: StripeRequests, pause: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        self._requests = requests
        self._pages = StripePages(requests, TRIES_MAX, pause)

    async def transactions(self, since: datetime) -> AsyncIterator[Sequence[ListedTransaction]]:
        """Yield pages of PaymentIntents. Raises Transient if Stripe does not answer, or not as it should."""
        asked = {"created": _from(since), "expand": ["data.latest_charge"]}
        async for page in self._pages.listed(INTENTS, asked, PAGES_MAX):
            yield read_all(page.things, read_transaction)

    async def refunds(self, since: datetime) -> AsyncIterator[Sequence[ListedRefund]]:
        """Yield pages of refunds, without those that moved no money. Raises as transactions."""
        async for page in self._pages.listed(REFUNDS, {"created": _from(since)}, PAGES_MAX):
            yield read_all((refund for refund in page.things if not only_freed(refund)), read_refund)

    async def disputes(self, since: datetime) -> AsyncIterator[Sequence[Dispute]]:
        """Yield pages of disputes. Raises Transient if Stripe does not answer, or not as it should."""
        async for page in self._pages.listed(DISPUTES, {"created": _from(since)}, PAGES_MAX):
            yield read_all(page.things, _read_listed_dispute)

    async def close(self) -> None:
        """Close the connections."""
        await self._requests.close()


def read_transaction(intent: Mapping[str, Any]) -> ListedTransaction:
    """Read a PaymentIntent, its latest charge expanded. Raises one of UNREADABLE_ERRORS if it makes no sense."""
    charge = intent.get("latest_charge")
    charge = charge if isinstance(charge, dict) else {}
    approved = 0
    if intent["status"] == "requires_capture":
        # Less than the amount if the issuer approved only a part.
        approved = intent.get("amount_capturable") or intent["amount"]
    elif intent["status"] in _ONCE_APPROVED and (charge.get("status") == "succeeded" or intent["amount_received"]):
        card = (charge.get("payment_method_details") or {}).get("card") or {}
        approved = card.get("amount_authorized") or charge.get("amount") or intent["amount"]
    currency, (amount, authorized, captured) = _money(
        intent["currency"], intent["amount"], approved, intent["amount_received"]
    )
    order_id, operation_id = _named(intent)
    undecided = intent["status"] in _OPEN or (
        # Declined is only what has Stripe's own error.
        intent["status"] == "requires_payment_method" and intent.get("last_payment_error") is None
    )
    return ListedTransaction(
        intent["id"],
        order_id,
        operation_id,
        intent["status"],
        currency,
        amount,
        authorized,
        captured,
        cancelled=intent["status"] == "canceled",
        undecided=undecided,
        created_at=_time(intent),
    )


def read_refund(refund: Mapping[str, Any]) -> ListedRefund:
    """Read a refund. A state that we do not know counts as pending. Raises as read_transaction."""
    order_id, operation_id = _named(refund)
    currency, (amount,) = _money(refund["currency"], refund["amount"])
    state = _REFUND_STATES.get(refund["status"], RefundState.PENDING)
    return ListedRefund(
        refund["id"], refund.get("payment_intent"), order_id, operation_id, state, currency, amount, _time(refund)
    )


def _read_listed_dispute(dispute: Thing) -> Dispute:
    """Read a dispute that may be of another system on the account: then its currency need not be in our table."""
    currency, (amount,) = _money(dispute["currency"], dispute["amount"])
    return read_dispute(dispute, (amount, currency))


def _money(currency: str, *amounts: int) -> tuple[str, list[int]]:
    """Convert to ISO minor units. What is not in our table is none of ours, or differs from ours in its currency."""
    try:
        return currency.upper(), [from_stripe(amount, currency) for amount in amounts]
    except (KeyError, ValueError):
        return f"{currency.upper()} in another unit", list(amounts)


def _named(thing: Mapping[str, Any]) -> tuple[str | None, str | None]:
    metadata = thing.get("metadata") or {}
    return metadata.get("order_id"), metadata.get("operation_id")


def _time(thing: Mapping[str, Any]) -> datetime:
    return datetime.fromtimestamp(thing["created"], UTC)


def _from(since: datetime) -> Mapping[str, int]:
    return {"gte": int(since.timestamp())}
