"""Stripe's list of refunds, for what it changed without us: refunds of ours that failed, refunds of somebody else."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import stripe
import structlog

from consumers.adapters.gateway.stripe_currency import from_stripe
from consumers.adapters.gateway.stripe_disputes import code_of, id_of
from consumers.adapters.gateway.stripe_requests import CONNECTION_ERRORS, PAGE, UNREADABLE_ERRORS, StripeRequests
from domain.errors import Transient
from domain.news import RefundFailure
from domain.notices import REFUND_FAILED, REFUND_UPDATED, Notice

PAGES_MAX: Final = 5_000
"""Half a million refunds in the time that is looked at."""
_FAILED: Final = frozenset({"failed", "canceled"})


async def late_refunds(requests: StripeRequests, since: datetime) -> AsyncIterator[Sequence[RefundFailure | Notice]]:
    """List refunds that were made since then, as far as they are news, a page at a time. Raises Transient.

    Pages are read raw: the SDK's objects cost 0.2 ms each, and a page of them would block the event loop.
    """
    client = requests.client()
    asked: dict[str, Any] = {"limit": PAGE, "created": {"gte": int(since.timestamp())}}
    try:
        for _ in range(PAGES_MAX):
            page = (await requests.run(client.raw_request_async("get", "/v1/refunds", **asked))).data
            if news := [each for refund in page["data"] if (each := _read(refund)) is not None]:
                yield news
            if not page["has_more"]:
                return
            asked["starting_after"] = page["data"][-1]["id"]
    except stripe.StripeError as error:
        raise Transient(f"the gateway does not list refunds (HTTP {error.http_status})") from error
    except (*CONNECTION_ERRORS, *UNREADABLE_ERRORS) as error:
        raise Transient(f"the gateway does not list refunds ({type(error).__name__})") from error
    raise Transient(f"more than {PAGES_MAX * PAGE} refunds: they cannot be looked through")


def _read(refund: Mapping[str, Any]) -> RefundFailure | Notice | None:
    """Return what is news of one refund."""
    metadata = refund.get("metadata") or {}
    if "operation_id" in metadata and "order_id" in metadata:
        return _read_failure(refund) if refund["status"] in _FAILED else None
    return _read_foreign(refund)


def _read_failure(refund: Mapping[str, Any]) -> RefundFailure | None:
    """Read a failed refund of ours. None, with a line in the log, if it makes no sense: it must not hide the others."""
    try:
        amount = from_stripe(refund["amount"], refund["currency"])
    except (KeyError, ValueError) as error:
        structlog.get_logger("consumers.gateway").error(
            "a failed refund cannot be read; look it up at the gateway", refund_id=str(refund["id"]), error=str(error)
        )
        return None
    return RefundFailure(
        order_id=str(refund["metadata"]["order_id"]),
        operation_id=str(refund["metadata"]["operation_id"]),
        refund_id=str(refund["id"]),
        amount_minor=amount,
        reason=code_of(refund.get("failure_reason")),
    )


def _read_foreign(refund: Mapping[str, Any]) -> Notice | None:
    """Make the notice of a refund that somebody else made: one when it has succeeded, another if it fails.

    None for one that is pending, or of a charge without a PaymentIntent. Its id is the refund's: it counts once.
    """
    intent_id, failed = id_of(refund.get("payment_intent")), refund["status"] in _FAILED
    if not intent_id or not (failed or refund["status"] == "succeeded"):
        return None
    return Notice(
        notice_id=f"{refund['id']}{':failed' if failed else ''}",
        type=REFUND_FAILED if failed else REFUND_UPDATED,
        occurred_at=datetime.fromtimestamp(refund["created"], UTC),
        object_id=str(refund["id"]),
        intent_id=intent_id,
        order_id=None,
        operation_id=None,
    )
