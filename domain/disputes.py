"""The steps about disputes and warnings of fraud. None of them changes the order's status, or moves its money.

A dispute is told when it is first seen, when the money is withdrawn, when it is opened again, and when it ends. What we
say follows from what the gateway has and what our events said last, whatever came between: so notices may be lost.
"""

from domain.decision import Decision, Draft, emit, silent
from domain.disputing import OUTCOMES, STATUSES, TOLD_OPEN, TOLD_WITHDRAWN, KnownDispute, word_of
from domain.hearing import Hearing
from domain.news import Dispute
from domain.values import replace
from schemas.events import DisputeOutcome, PaymentDisputeClosed, PaymentDisputed


def answered_late(hearing: Hearing) -> bool:
    """Whether this answers an older question than the one that we know the answer of."""
    known = _known(hearing)
    return known is not None and hearing.asked_at is not None and hearing.asked_at < known.looked_at


def of_unknown_status(hearing: Hearing) -> bool:
    """Whether this release does not know the dispute's status."""
    return hearing.fact_as(Dispute).status not in STATUSES


def is_told(hearing: Hearing) -> bool:
    """Whether our events have said already how the dispute stands."""
    known = _known(hearing)
    word = word_of(hearing.fact_as(Dispute))
    if known is None or known.told is None:
        return False
    # Money that came back while the dispute is open is no news: how it ends will be.
    return known.told == word or (known.told == TOLD_WITHDRAWN and word == TOLD_OPEN)


def has_ended(hearing: Hearing) -> bool:
    """Whether the dispute is over, for now."""
    return hearing.fact_as(Dispute).status in OUTCOMES


def note_unknown_status(hearing: Hearing) -> Decision:
    """Keep a dispute whose status this release does not know, and tell an operator once."""
    known = _known(hearing)
    same = known is not None and known.status == hearing.fact_as(Dispute).status
    return _keep(hearing, silent(hearing.order), _told(known), alarm=None if same else "dispute_unknown")


def note_dispute(hearing: Hearing) -> Decision:
    """Keep how the dispute stands. It is no news to others."""
    known = _known(hearing)
    told = _told(known)
    if told in {TOLD_OPEN, TOLD_WITHDRAWN}:
        told = word_of(hearing.fact_as(Dispute))
    return _keep(hearing, silent(hearing.order), told)


def tell_dispute(hearing: Hearing) -> Decision:
    """Emit that a payment is disputed: for the first time, again, or that its money is withdrawn now."""
    told = emit(hearing.order, hearing.context, Draft(PaymentDisputed, _fields(hearing)))
    return _keep(hearing, told, word_of(hearing.fact_as(Dispute)), alarm=_page(hearing))


def tell_end(hearing: Hearing) -> Decision:
    """Emit how the dispute ended. If nobody heard of it or of its withdrawal before, that is emitted first."""
    dispute, fields = hearing.fact_as(Dispute), _fields(hearing)
    told = _told(_known(hearing))
    unheard = told is None or (told == TOLD_OPEN and dispute.funds_withdrawn)
    before = (Draft(PaymentDisputed, fields),) if unheard else ()
    closed = Draft(PaymentDisputeClosed, {**fields, "outcome": DisputeOutcome[OUTCOMES[dispute.status]]})
    said = emit(hearing.order, hearing.context, *before, closed)
    return _keep(hearing, said, word_of(dispute), alarm=_page(hearing))


def warn_of_fraud(hearing: Hearing) -> Decision:
    """Tell an operator that the issuer warns of fraud: a refund in time may avoid a dispute."""
    return replace(silent(hearing.order), alarm="fraud_warning")


def _known(hearing: Hearing) -> KnownDispute | None:
    dispute_id = hearing.fact_as(Dispute).dispute_id
    return next((known for known in hearing.disputes if known.dispute_id == dispute_id), None)


def _told(known: KnownDispute | None) -> str | None:
    return None if known is None else known.told


def _page(hearing: Hearing) -> str | None:
    """Return the alarm that calls an operator: once a dispute."""
    return "payment_disputed" if _told(_known(hearing)) is None else None


def _keep(hearing: Hearing, decision: Decision, told: str | None, alarm: str | None = None) -> Decision:
    dispute, at = hearing.fact_as(Dispute), hearing.context.at
    known = _known(hearing)
    closed_at = None
    if dispute.status in OUTCOMES:
        closed_at = (known.closed_at if known is not None else None) or at
    row = KnownDispute(
        dispute_id=dispute.dispute_id,
        attempt=hearing.attempt_there.number,
        opened_at=dispute.opened_at,
        status=dispute.status,
        amount_minor=dispute.amount_minor,
        currency=dispute.currency,
        reason=dispute.reason,
        funds_withdrawn=dispute.funds_withdrawn,
        refundable=dispute.refundable,
        closed_at=closed_at,
        looked_at=hearing.asked_at or at,
        told=told,
    )
    others = (known for known in hearing.disputes if known.dispute_id != dispute.dispute_id)
    assert decision.order is not None
    # The money of an older attempt is another payment, which has gone back: that one may be refunded or not.
    of_payment = (each for each in (*others, row) if each.attempt == decision.order.attempt)
    disputed = not all(each.refundable for each in of_payment)
    return replace(decision, order=replace(decision.order, disputed=disputed), dispute=row, alarm=alarm)


def _fields(hearing: Hearing) -> dict[str, object]:
    dispute = hearing.fact_as(Dispute)
    return {
        "customer_id": hearing.order.customer_id,
        "attempt": hearing.attempt_there.number,
        "transaction_id": dispute.transaction_id,
        "dispute_id": dispute.dispute_id,
        "amount_minor": dispute.amount_minor,
        "currency": dispute.currency,
        "reason": dispute.reason,
        "funds_withdrawn": dispute.funds_withdrawn,
    }
