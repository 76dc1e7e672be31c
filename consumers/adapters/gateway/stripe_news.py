"""All that Stripe has of one transaction: its money, its refunds, its disputes. Asked for after it told something."""

from collections.abc import Mapping
from typing import Final

import stripe

from consumers.adapters.gateway.stripe_currency import from_stripe
from consumers.adapters.gateway.stripe_disputes import code_of, read_dispute
from consumers.adapters.gateway.stripe_errors import is_missing
from consumers.adapters.gateway.stripe_fields import Thing, part, remark, text
from consumers.adapters.gateway.stripe_outcomes import amount_of
from consumers.adapters.gateway.stripe_pages import StripePages, as_transient
from consumers.adapters.gateway.stripe_requests import DISPUTES, INTENTS, REFUNDS, StripeRequests, path_to
from consumers.adapters.gateway.stripe_returned import moved_nothing
from domain.news import RefundWord, SeenRefund, TransactionNews

PAGES_MAX: Final = 10
"""A transaction with more refunds or disputes than these pages hold is looked at by a person."""
_WORDS: Final[Mapping[str, RefundWord]] = {"succeeded": "succeeded", "failed": "failed", "canceled": "failed"}
"""A state that we do not know counts as pending: nothing is booked for it."""


async def read_news(
    requests: StripeRequests, pages: StripePages, transaction_id: str, *, with_disputes: bool
) -> TransactionNews | None:
    """Read one transaction; None if Stripe does not have it. Raises Transient if Stripe does not say.

    Of one that is not ours nothing is read but that.

    The transaction is read before its refunds and disputes: so they are not older than it.
    """
    with as_transient(f"payment {transaction_id}"):
        try:
            intent = await requests.get(path_to(INTENTS, transaction_id))
        except stripe.StripeError as error:
            if is_missing(error):
                return None
            raise
        if None in (named := _named(intent)):
            # Of another system on this account: what else it has is not asked for, and its amounts are not read.
            return TransactionNews(transaction_id, None, None, text(intent, "currency").upper())
        of = {"payment_intent": transaction_id}
        refunds = await _all(pages, REFUNDS, of)
        disputes = await _all(pages, DISPUTES, of) if with_disputes else []
        return _read(transaction_id, named, intent, refunds, disputes)


def read_seen_refund(refund: Thing) -> SeenRefund:
    """Read one refund. Raises one of UNREADABLE_ERRORS if it makes no sense."""
    return SeenRefund(
        refund_id=text(refund, "id"),
        operation_id=remark(part(refund, "metadata"), "operation_id"),
        state=_WORDS.get(text(refund, "status"), "pending"),
        amount_minor=amount_of(refund, "amount"),
        currency=text(refund, "currency").upper(),
        reason=code_of(refund.get("failure_reason")),
    )


def _named(intent: Thing) -> tuple[str | None, str | None]:
    """Return the order and the operation that the transaction's metadata name."""
    metadata = part(intent, "metadata")
    return remark(metadata, "order_id"), remark(metadata, "operation_id")


def _read(
    transaction_id: str,
    named: tuple[str | None, str | None],
    intent: Thing,
    refunds: list[Thing],
    disputes: list[Thing],
) -> TransactionNews:
    currency, status = text(intent, "currency"), text(intent, "status")
    held = intent.get("amount_capturable") or 0 if status == "requires_capture" else 0
    freed = [each for each in refunds if moved_nothing(intent, each)]
    return TransactionNews(
        transaction_id,
        *named,
        currency.upper(),
        held_minor=from_stripe(held, currency),
        captured_minor=amount_of(intent, "amount_received"),
        cancelled=status == "canceled",
        refunds=tuple(read_seen_refund(each) for each in reversed(refunds) if each not in freed),
        disputes=tuple(read_dispute(dispute) for dispute in reversed(disputes)),
        freed=tuple(text(each, "id") for each in reversed(freed)),
    )


async def _all(pages: StripePages, path: str, of: Mapping[str, str]) -> list[Thing]:
    """Return a whole list, the newest first. It is about one transaction, so it is short."""
    return [thing async for page in pages.read(path, of, PAGES_MAX) for thing in page.things]
