"""Invariants 2, 3, 7 and 9, as far as the profile of an order shows them."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from domain.operation import OperationKind, OperationState
from domain.order import FINAL, HoldState, Status
from outbox.audit.profiles import HoldSummary, OperationSummary, Profile
from schemas import events

_ONCE: Final = (OperationKind.AUTHORIZE, OperationKind.CAPTURE, OperationKind.VOID)
_OUTCOMES: Final = {
    events.PaidAndConfirmed.TYPE: Status.PAID_AND_CONFIRMED,
    events.PaymentFailed.TYPE: Status.PAYMENT_FAILED,
    events.OrderCancelled.TYPE: Status.CANCELLED,
    events.PaymentReviewRequired.TYPE: Status.MANUAL_REVIEW,
}
_OVER: Final = frozenset({Status.PAYMENT_FAILED, Status.CANCELLED})
"""In these statuses an order keeps nothing."""


def twice_problems(profile: Profile) -> Iterator[str]:
    """Say what was done more than once (invariant 2)."""
    done = Counter((o.attempt, o.kind) for o in profile.operations if o.state is OperationState.APPROVED)
    for (attempt, kind), times in sorted(done.items()):
        if kind in _ONCE and times > 1:
            yield f"attempt {attempt} has {times} approved operations {kind}"
    keeping = [str(t.attempt) for t in profile.attempts if t.keeps]
    if len(keeping) > 1:
        yield f"money was captured and not returned in attempts {' and '.join(keeping)}"


def capture_problems(profile: Profile) -> Iterator[str]:
    """Say which capture began without a live hold, or after a void (invariant 3)."""
    voided: set[int] = set()
    for operation in profile.operations:
        if operation.kind is OperationKind.CAPTURE:
            problem = _without_hold(operation, profile.hold(operation.attempt))
            if problem is not None:
                yield f"attempt {operation.attempt} has a capture ({operation.state}) and {problem}"
            if operation.attempt in voided:
                yield f"attempt {operation.attempt} has a capture that was opened after its void"
        elif operation.kind is OperationKind.VOID and operation.state is OperationState.APPROVED:
            voided.add(operation.attempt)
    for attempt in profile.attempts:
        if attempt.voided and attempt.captured:
            yield f"attempt {attempt.attempt} was voided and captured"


def _without_hold(capture: OperationSummary, hold: HoldSummary | None) -> str | None:
    if hold is None:
        return "no hold"
    match hold.state:
        case HoldState.EXPIRED:
            return "a hold that was let run out"
        case HoldState.HELD if not hold.pinned:
            return "a hold that is not pinned"
        case HoldState.RELEASED if capture.unfinished:
            return "a hold that was released meanwhile"
        case _:
            return None


def outcome_problems(profile: Profile) -> Iterator[str]:
    """Say why the order has no outcome, or more than one (invariant 7, if quiescent)."""
    if profile.status is None or profile.waits:
        return
    if profile.status not in FINAL:
        yield f"is {profile.status} and nobody works on it"
        return
    under_review = profile.status is Status.MANUAL_REVIEW
    if under_review != profile.has_reason:
        yield "is under review without a reason" if under_review else "has a reason for a review that it is not under"
    emitted = [_OUTCOMES[event.type] for event in profile.events if event.type in _OUTCOMES]
    without_reviews = [status for status in emitted if status is not Status.MANUAL_REVIEW]
    for outcome, word in ((Status.PAID_AND_CONFIRMED, "paid"), (Status.CANCELLED, "cancelled")):
        # A paid order may be cancelled. A cancelled one may be told so once more, when a review of it ends.
        after = without_reviews[without_reviews.index(outcome) + 1 :] if outcome in without_reviews else []
        if set(after) - {Status.CANCELLED}:
            yield f"was told as {word}, and had another outcome afterwards"
    last = (emitted if under_review else without_reviews)[-1:]
    if last != [profile.status]:
        yield f"is {profile.status} and was last told as {last[0] if last else 'nothing'}"


def leftover_problems(profile: Profile) -> Iterator[str]:
    """Say what a failed or cancelled order still keeps (invariant 9, if quiescent)."""
    if profile.status not in _OVER or profile.waits:
        return
    which = "failed" if profile.status is Status.PAYMENT_FAILED else "cancelled"
    for hold in profile.holds:
        if hold.state is HoldState.HELD:
            yield f"attempt {hold.attempt} of a {which} order still holds its items"
    for attempt in profile.attempts:
        if attempt.authorized and not attempt.captured and not attempt.voided:
            yield f"attempt {attempt.attempt} of a {which} order still has its authorization"
        if attempt.keeps and not _refund_pending(profile, attempt.attempt):
            yield f"attempt {attempt.attempt} of a {which} order keeps money, and no refund is pending"


def _refund_pending(profile: Profile, attempt: int) -> bool:
    return any(o.state is OperationState.PENDING for o in profile.operations_of(attempt, OperationKind.REFUND))
