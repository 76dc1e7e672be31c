"""A dispute as our books have it, and the words of its status."""

from datetime import datetime
from typing import Final

from domain.news import Dispute
from domain.values import Value

OPEN: Final = frozenset(
    {
        "warning_needs_response",
        "warning_under_review",
        "needs_response",
        "under_review",
        "appeal_needs_response",
        "appeal_under_review",
    }
)
"""A warning is an inquiry: no money has moved. An appeal opens a dispute again that had ended."""
OUTCOMES: Final = {"won": "WON", "lost": "LOST", "prevented": "PREVENTED", "warning_closed": "WARNING_CLOSED"}
"""How a dispute may end. It may be opened again nevertheless."""
STATUSES: Final = OPEN | OUTCOMES.keys()
"""Source: the type of `Dispute.status` in Stripe's SDK 16.1.0; a test compares them."""
REFUSALS: Final = frozenset({"charge_disputed", "refund_disputed_payment"})
"""The gateway's codes by which it refuses a refund because of a dispute. We may not have heard of the dispute yet."""
TOLD_OPEN: Final = "OPEN"
TOLD_WITHDRAWN: Final = "WITHDRAWN"


class KnownDispute(Value, frozen=True):
    """One row of the table `dispute`. amount_minor: in minor units of its own currency.

    told: what our events said last: OPEN, WITHDRAWN, or an outcome; None: nothing yet. looked_at: when the gateway was
    asked; an answer to an older question is not taken.
    """

    dispute_id: str
    attempt: int
    opened_at: datetime
    status: str
    amount_minor: int
    currency: str
    reason: str
    funds_withdrawn: bool
    refundable: bool
    closed_at: datetime | None
    looked_at: datetime
    told: str | None = None


def word_of(dispute: Dispute) -> str:
    """Return what our events must have said last of a dispute that stands so. Only for a status that we know."""
    outcome = OUTCOMES.get(dispute.status)
    return outcome or (TOLD_WITHDRAWN if dispute.funds_withdrawn else TOLD_OPEN)
