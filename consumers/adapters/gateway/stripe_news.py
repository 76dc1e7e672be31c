"""All that Stripe has of one transaction: its money, its refunds, its disputes. Asked for after it told something."""

from collections.abc import Mapping
from typing import Any, Final

import stripe

from consumers.adapters.gateway.stripe_currency import from_stripe
from consumers.adapters.gateway.stripe_disputes import code_of, read_dispute
from consumers.adapters.gateway.stripe_requests import CONNECTION_ERRORS, PAGE, UNREADABLE_ERRORS, StripeRequests
from domain.errors import Transient
from domain.news import RefundWord, SeenRefund, TransactionNews

PAGES_MAX: Final = 10
"""A transaction with more refunds or disputes than these pages hold is looked at by a person."""
_WORDS: Final[dict[str, RefundWord]] = {"succeeded": "succeeded", "failed": "failed", "canceled": "failed"}
"""A state that we do not know counts as pending: nothing is booked for it."""


async def read_news(requests: StripeRequests, transaction_id: str, *, with_disputes: bool) -> TransactionNews | None:
    """Read one transaction; None if Stripe does not have it. Raises Transient if Stripe does not say.

    The transaction is read before its refunds and disputes: so they are not older than it.
    """
    try:
        client = requests.client()
        answer = await requests.run(client.raw_request_async("get", f"/v1/payment_intents/{transaction_id}"))
        intent: Mapping[str, Any] = answer.data
        of = {"payment_intent": transaction_id}
        refunds = await _all(requests, "/v1/refunds", of)
        disputes = await _all(requests, "/v1/disputes", of) if with_disputes else []
        metadata = intent.get("metadata") or {}
        order_id, operation_id = metadata.get("order_id"), metadata.get("operation_id")
        ours = isinstance(order_id, str) and isinstance(operation_id, str)
        held = intent.get("amount_capturable") or 0 if intent["status"] == "requires_capture" else 0
        return TransactionNews(
            transaction_id=transaction_id,
            order_id=order_id if ours else None,
            operation_id=operation_id if ours else None,
            currency=intent["currency"].upper(),
            held_minor=from_stripe(held, intent["currency"]) if ours else 0,
            captured_minor=from_stripe(intent["amount_received"], intent["currency"]) if ours else 0,
            cancelled=intent["status"] == "canceled",
            refunds=tuple(read_seen_refund(refund) for refund in reversed(refunds)) if ours else (),
            disputes=tuple(read_dispute(dispute) for dispute in reversed(disputes)) if ours else (),
        )
    except stripe.StripeError as error:
        if error.http_status == 404 and error.code == "resource_missing":
            return None
        raise Transient(
            f"the gateway does not say what it has of {transaction_id} (HTTP {error.http_status}, {error.code})"
        ) from error
    except (*CONNECTION_ERRORS, *UNREADABLE_ERRORS) as error:
        raise Transient(
            f"what the gateway says of {transaction_id} cannot be read ({type(error).__name__}): look at it there"
        ) from error


def read_seen_refund(refund: Mapping[str, Any]) -> SeenRefund:
    """Read one refund. Raises one of UNREADABLE_ERRORS if it makes no sense."""
    operation_id = (refund.get("metadata") or {}).get("operation_id")
    return SeenRefund(
        refund_id=refund["id"],
        operation_id=operation_id if isinstance(operation_id, str) else None,
        state=_WORDS.get(refund["status"], "pending"),
        amount_minor=from_stripe(refund["amount"], refund["currency"]),
        currency=refund["currency"].upper(),
        reason=code_of(refund.get("failure_reason")),
    )


async def _all(requests: StripeRequests, path: str, of: Mapping[str, str]) -> list[Mapping[str, Any]]:
    """Return a whole list, the newest first. It is about one transaction, so it is short."""
    client, asked = requests.client(), {**of, "limit": PAGE}
    found: list[Mapping[str, Any]] = []
    for _ in range(PAGES_MAX):
        page = (await requests.run(client.raw_request_async("get", path, **asked))).data
        found += page["data"]
        if not page["has_more"]:
            return found
        asked["starting_after"] = page["data"][-1]["id"]
    raise ValueError(f"more than {PAGES_MAX * PAGE} objects in {path}")
