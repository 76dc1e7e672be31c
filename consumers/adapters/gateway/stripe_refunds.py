"""Stripe's list of refunds, for what it changed without us: refunds of ours that failed, refunds of somebody else."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Final

from consumers.adapters.gateway.stripe_disputes import code_of, id_of
from consumers.adapters.gateway.stripe_fields import Thing, part, text, whole
from consumers.adapters.gateway.stripe_outcomes import amount_of
from consumers.adapters.gateway.stripe_pages import StripePages, read_each
from consumers.adapters.gateway.stripe_requests import REFUNDS
from consumers.adapters.gateway.stripe_returned import only_freed
from domain.news import RefundFailure
from domain.notices import REFUND_FAILED, REFUND_UPDATED, Notice

PAGES_MAX: Final = 5_000
"""Half a million refunds in the time that is looked at."""
_FAILED: Final = frozenset({"failed", "canceled"})


async def late_refunds(pages: StripePages, since: datetime) -> AsyncIterator[Sequence[RefundFailure | Notice]]:
    """List refunds that were made since then, as far as they are news, a page at a time. Raises Transient."""
    async for page in pages.listed(REFUNDS, {"created": {"gte": int(since.timestamp())}}, PAGES_MAX):
        news: list[RefundFailure | Notice] = read_each(page.things, _read)
        if news:
            yield news


def _read(refund: Thing) -> RefundFailure | Notice | None:
    """Return what is news of one refund."""
    metadata = part(refund, "metadata")
    if "operation_id" in metadata and "order_id" in metadata:
        return _read_failure(refund) if refund.get("status") in _FAILED else None
    return None if only_freed(refund) else _read_foreign(refund)


def _read_failure(refund: Thing) -> RefundFailure:
    """Read a failed refund of ours."""
    metadata = part(refund, "metadata")
    return RefundFailure(
        order_id=text(metadata, "order_id"),
        operation_id=text(metadata, "operation_id"),
        refund_id=text(refund, "id"),
        amount_minor=amount_of(refund, "amount"),
        reason=code_of(refund.get("failure_reason")),
    )


def _read_foreign(refund: Thing) -> Notice | None:
    """Make the notice of a refund that somebody else made: one when it has succeeded, another if it fails.

    None for one that is pending, or of a charge without a PaymentIntent. Its id is the refund's: it counts once.
    """
    intent_id, failed = id_of(refund.get("payment_intent")), refund.get("status") in _FAILED
    if not intent_id or not (failed or refund.get("status") == "succeeded"):
        return None
    refund_id = text(refund, "id")
    return Notice(
        notice_id=f"{refund_id}{':failed' if failed else ''}",
        type=REFUND_FAILED if failed else REFUND_UPDATED,
        occurred_at=datetime.fromtimestamp(whole(refund, "created"), UTC),
        object_id=refund_id,
        intent_id=intent_id,
        order_id=None,
        operation_id=None,
    )
