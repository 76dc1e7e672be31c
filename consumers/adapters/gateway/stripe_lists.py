"""Stripe's lists of PaymentIntents, refunds and disputes, in pages. Its search is not used: it lags by minutes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import stripe

from consumers.adapters.gateway.stripe_currency import from_stripe
from consumers.adapters.gateway.stripe_disputes import read_dispute
from consumers.adapters.gateway.stripe_requests import CONNECTION_ERRORS, PAGE, UNREADABLE_ERRORS, StripeRequests
from domain.errors import Transient
from domain.news import Dispute
from domain.ports.gateway import ListedRefund, ListedTransaction, RefundState

TRIES_MAX: Final = 4
PAUSE_S: Final = 1.0
"""Before the first further try of a page; it doubles with each."""

_ONCE_APPROVED: Final = frozenset({"requires_capture", "succeeded", "canceled"})
_OPEN: Final = frozenset({"requires_confirmation", "requires_action", "processing"})
_REFUND_STATES: Final = {
    "succeeded": RefundState.SUCCEEDED,
    "pending": RefundState.PENDING,
    "requires_action": RefundState.PENDING,
    "failed": RefundState.FAILED,
    "canceled": RefundState.FAILED,
}

_Listed = TypeVar("_Listed", ListedTransaction, ListedRefund, Dispute)


class StripeLists:
    """`GatewayLists` over Stripe's lists.

    A page is tried again after a lost connection, 429 or 5xx. Pages are read raw: the SDK's objects cost 0.2 ms each.
    """

    def __init__(self, requests: StripeRequests, pause: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        self._requests = requests
        self._pause = pause

    async def transactions(self, since: datetime) -> AsyncIterator[Sequence[ListedTransaction]]:
        """Yield pages of PaymentIntents. Raises Transient if Stripe does not answer, or not as it should."""
        async for page in self._pages("/v1/payment_intents", since, expand=["data.latest_charge"]):
            yield _read(page, read_transaction)

    async def refunds(self, since: datetime) -> AsyncIterator[Sequence[ListedRefund]]:
        """Yield pages of refunds. Raises Transient if Stripe does not answer, or not as it should."""
        async for page in self._pages("/v1/refunds", since):
            yield _read(page, read_refund)

    async def disputes(self, since: datetime) -> AsyncIterator[Sequence[Dispute]]:
        """Yield pages of disputes. Raises Transient if Stripe does not answer, or not as it should."""
        async for page in self._pages("/v1/disputes", since):
            yield _read(page, read_dispute)

    async def close(self) -> None:
        """Close the connections."""
        await self._requests.close()

    async def _pages(self, path: str, since: datetime, **more: Any) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
        asked: dict[str, Any] = {"limit": PAGE, "created": {"gte": int(since.timestamp())}, **more}
        while True:
            page = await self._page(path, asked)
            try:
                found, has_more = list(page["data"]), bool(page["has_more"])
                last = found[-1]["id"] if found else None
            except UNREADABLE_ERRORS as error:
                raise _unreadable(path) from error
            yield found
            if not has_more:
                return
            if last is None or last == asked.get("starting_after"):
                raise Transient(f"Stripe's list {path} does not go on behind {last}: try again later.")
            asked["starting_after"] = last

    async def _page(self, path: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Read one page, in TRIES_MAX tries."""
        for tried in range(1, TRIES_MAX + 1):
            try:
                answer = await self._requests.run(self._requests.client().raw_request_async("get", path, **asked))
            except stripe.StripeError as error:
                status = error.http_status
                if status == 200:
                    raise _unreadable(path) from error
                # Stripe's own errors of a connection have no status.
                if (status is not None and status < 500 and status != 429) or tried == TRIES_MAX:
                    raise Transient(_refusal(path, error)) from error
            except CONNECTION_ERRORS as error:
                if tried == TRIES_MAX:
                    raise Transient(f"Stripe does not answer ({type(error).__name__}, {path}): try again.") from error
            except UNREADABLE_ERRORS as error:
                raise _unreadable(path) from error
            else:
                data: Mapping[str, Any] = answer.data
                return data
            await self._pause(PAUSE_S * 2 ** (tried - 1))
        raise AssertionError("the last try returns or raises")


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


def _read(page: Sequence[Mapping[str, Any]], read: Callable[[Mapping[str, Any]], _Listed]) -> list[_Listed]:
    try:
        return [read(thing) for thing in page]
    except UNREADABLE_ERRORS as error:
        raise Transient("Stripe's list has an object that this release cannot read: report it.") from error


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


def _refusal(path: str, error: stripe.StripeError) -> str:
    if error.http_status is None:
        return f"Stripe does not answer ({type(error.__cause__ or error).__name__}, {path}): try again."
    todo = "try again"
    if error.http_status in {401, 403}:
        todo = f"PAYMENTS_STRIPE_API_KEY needs the permission to read {path}"
    return f"Stripe refuses its list {path} (HTTP {error.http_status}): {todo}."


def _unreadable(path: str) -> Transient:
    return Transient(f"Stripe's list {path} cannot be read: is PAYMENTS_STRIPE_API_BASE right?")
