"""Refunds of ours that have failed at Stripe, perhaps weeks after they succeeded."""

import re
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Final

from consumers.adapters.gateway.stripe_fields import Thing, part, remark, text
from consumers.adapters.gateway.stripe_outcomes import amount_of
from consumers.adapters.gateway.stripe_pages import StripePages, read_each
from consumers.adapters.gateway.stripe_requests import REFUNDS
from domain.told import RefundFailure

PAGES_MAX: Final = 5_000
"""Half a million refunds in the time that is looked at."""
_FAILED: Final = frozenset({"failed", "canceled"})
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


async def failed_refunds(pages: StripePages, since: datetime) -> AsyncIterator[Sequence[RefundFailure]]:
    """List refunds that were made since then and have failed, a page at a time. Raises Transient."""
    async for page in pages.listed(REFUNDS, {"created": {"gte": int(since.timestamp())}}, PAGES_MAX):
        if failures := read_each(page.things, _read):
            yield failures


def _read(refund: Thing) -> RefundFailure | None:
    """Read one refund; None if it is none of ours, or has not failed."""
    metadata = part(refund, "metadata")
    if refund.get("status") not in _FAILED or "operation_id" not in metadata or "order_id" not in metadata:
        return None
    reason = remark(refund, "failure_reason")
    return RefundFailure(
        order_id=text(metadata, "order_id"),
        operation_id=text(metadata, "operation_id"),
        refund_id=text(refund, "id"),
        amount_minor=amount_of(refund, "amount"),
        reason=reason if reason is not None and _CODE.fullmatch(reason) else "unknown",
    )
