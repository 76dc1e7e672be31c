"""Refunds of ours that have failed at Stripe, perhaps weeks after they succeeded."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import stripe
import structlog

from consumers.adapters.gateway.stripe_currency import from_stripe
from consumers.adapters.gateway.stripe_requests import CONNECTION_ERRORS, PAGE, UNREADABLE_ERRORS, StripeRequests
from domain.errors import Transient
from domain.told import RefundFailure

PAGES_MAX: Final = 5_000
"""Half a million refunds in the time that is looked at."""
_FAILED: Final = frozenset({"failed", "canceled"})
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


async def failed_refunds(requests: StripeRequests, since: datetime) -> AsyncIterator[Sequence[RefundFailure]]:
    """List refunds that were made since then and have failed, a page at a time. Raises Transient.

    Pages are read raw: the SDK's objects cost 0.2 ms each, and a page of them would block the event loop.
    """
    client = requests.client()
    asked: dict[str, Any] = {"limit": PAGE, "created": {"gte": int(since.timestamp())}}
    try:
        for _ in range(PAGES_MAX):
            page = (await requests.run(client.raw_request_async("get", "/v1/refunds", **asked))).data
            failed = [_read(refund) for refund in page["data"] if refund["status"] in _FAILED and _is_ours(refund)]
            if readable := [each for each in failed if each is not None]:
                yield readable
            if not page["has_more"]:
                return
            asked["starting_after"] = page["data"][-1]["id"]
    except stripe.StripeError as error:
        raise Transient(f"the gateway does not list refunds (HTTP {error.http_status})") from error
    except (*CONNECTION_ERRORS, *UNREADABLE_ERRORS) as error:
        raise Transient(f"the gateway does not list refunds ({type(error).__name__})") from error
    raise Transient(f"more than {PAGES_MAX * PAGE} refunds: they cannot be looked through")


def _is_ours(refund: Mapping[str, Any]) -> bool:
    metadata = refund.get("metadata") or {}
    return "operation_id" in metadata and "order_id" in metadata


def _read(refund: Mapping[str, Any]) -> RefundFailure | None:
    """Read one refund. None, with a line in the log, if its amount makes no sense: it must not hide the others."""
    reason = refund.get("failure_reason")
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
        reason=reason if isinstance(reason, str) and _CODE.fullmatch(reason) else "unknown",
    )
