"""Invariants 2, 3, 7 and 9 as far as the story of an order tells them."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from domain.operation import OperationKind, OperationState
from domain.order import FINAL, HoldState, Status
from outbox.audit.stories import Asked, Held, Story
from schemas import events

_ONCE: Final = (OperationKind.AUTHORIZE, OperationKind.CAPTURE, OperationKind.VOID)
_OUTCOMES: Final = {
    events.PaidAndConfirmed.TYPE: Status.PAID_AND_CONFIRMED,
    events.PaymentFailed.TYPE: Status.PAYMENT_FAILED,
    events.PaymentReviewRequired.TYPE: Status.MANUAL_REVIEW,
}


def twice_problems(story: Story) -> Iterator[str]:
    """Say what was done more than once (invariant 2)."""
    done = Counter((o.attempt, o.kind) for o in story.operations if o.state is OperationState.APPROVED)
    for (attempt, kind), times in sorted(done.items()):
        if kind in _ONCE and times > 1:
            yield f"attempt {attempt} has {times} approved operations {kind}"
    keeping = [str(t.attempt) for t in story.attempts if t.keeps]
    if len(keeping) > 1:
        yield f"money was captured and not returned in attempts {' and '.join(keeping)}"


def capture_problems(story: Story) -> Iterator[str]:
    """Say which capture began without goods to sell, or after the authorization was given up (invariant 3)."""
    voided: set[int] = set()
    for operation in story.operations:
        if operation.kind is OperationKind.CAPTURE:
            problem = _without_hold(operation, story.hold(operation.attempt))
            if problem is not None:
                yield f"attempt {operation.attempt} has a capture ({operation.state}) and {problem}"
            if operation.attempt in voided:
                yield f"attempt {operation.attempt} has a capture that was opened after its void"
        elif operation.kind is OperationKind.VOID and operation.state is OperationState.APPROVED:
            voided.add(operation.attempt)
    for attempt in story.attempts:
        if attempt.voided and attempt.captured:
            yield f"attempt {attempt.attempt} was voided and captured"


def _without_hold(capture: Asked, hold: Held | None) -> str | None:
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


def outcome_problems(story: Story) -> Iterator[str]:
    """Say why the order has no outcome, or more than one (invariant 7, at quiescence)."""
    if story.status is None or story.waits:
        return
    if story.status not in FINAL:
        yield f"is {story.status} and nobody works on it"
        return
    under_review = story.status is Status.MANUAL_REVIEW
    if under_review != story.has_reason:
        yield "is under review without a reason" if under_review else "has a reason for a review that it is not under"
    told = [_OUTCOMES[t.type] for t in story.events if t.type in _OUTCOMES]
    paid_at = told.index(Status.PAID_AND_CONFIRMED) if Status.PAID_AND_CONFIRMED in told else len(told)
    if any(outcome is not Status.MANUAL_REVIEW for outcome in told[paid_at + 1 :]):
        yield "was told as paid, and had another outcome afterwards"
    if not under_review:
        told = [outcome for outcome in told if outcome is not Status.MANUAL_REVIEW]
    if not told or told[-1] is not story.status:
        yield f"is {story.status} and was last told as {told[-1] if told else 'nothing'}"


def leftover_problems(story: Story) -> Iterator[str]:
    """Say what a failed order still holds (invariant 9, at quiescence)."""
    if story.status is not Status.PAYMENT_FAILED or story.waits:
        return
    for hold in story.holds:
        if hold.state is HoldState.HELD:
            yield f"attempt {hold.attempt} of a failed order still holds its items"
    for attempt in story.attempts:
        if attempt.authorized and not attempt.captured and not attempt.voided:
            yield f"attempt {attempt.attempt} of a failed order still has its authorization"
        if attempt.keeps and not _refund_pending(story, attempt.attempt):
            yield f"attempt {attempt.attempt} of a failed order keeps money, and no refund is pending"


def _refund_pending(story: Story, attempt: int) -> bool:
    return any(o.state is OperationState.PENDING for o in story.asked(attempt, OperationKind.REFUND))
