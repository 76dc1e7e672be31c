"""Invariants 5 and 6: the journal explains the state of the order, and has every row that it must have.

The journal has no event for the step to `confirmed`, with which every attempt begins. It does not say which status a
review interrupted. So we follow all states that the order may have; its row must have one of them.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from domain.edges import EDGES
from domain.operation import OperationKind, OperationState
from domain.order import FINAL, HoldState, Status
from outbox.audit.profiles import AttemptSummary, HoldSummary, Profile
from schemas import events
from schemas.models import EVENTS

STATUS_OF: Final = {
    events.CustomerActionRequired.TYPE: Status.ACTION_REQUIRED,
    events.PaymentAuthorized.TYPE: Status.PAYMENT_AUTHORIZED,
    events.ItemsReserved.TYPE: Status.ITEMS_RESERVED,
    events.ReservationFailed.TYPE: Status.RESERVATION_FAILED,
    events.PaidAndConfirmed.TYPE: Status.PAID_AND_CONFIRMED,
    events.PaymentFailed.TYPE: Status.PAYMENT_FAILED,
    events.OrderCancelled.TYPE: Status.CANCELLED,
    events.PaymentReviewRequired.TYPE: Status.MANUAL_REVIEW,
}
"""The status that an event brings; other events bring none."""

_NOTIFIED = events.CustomerNotificationRequested.TYPE
_VOIDED = events.PaymentVoided.TYPE
_REFUNDED = events.PaymentRefunded.TYPE
_FAILED = events.PaymentFailed.TYPE
_CANCELLED = events.OrderCancelled.TYPE
_NOT_CANCELLED = events.CancellationRefused.TYPE

_ENDS_REVIEW: Final = frozenset({_VOIDED, _REFUNDED, events.RefundRefused.TYPE, events.ItemsRestocked.TYPE})
"""One of these may end a review."""
_WERE_OVER: Final = frozenset({Status.PAID_AND_CONFIRMED, Status.CANCELLED, Status.PAYMENT_FAILED})

_COUNTED_AGAIN: Final = (events.PaymentRefundFailed.TYPE, _REFUNDED, events.PaymentReviewRequired.TYPE)

DECISIONS: Final = frozenset(
    {
        (events.CustomerActionRequired.TYPE, _NOTIFIED),
        (events.PaymentAuthorized.TYPE,),
        (events.ItemsReserved.TYPE,),
        (events.ReservationFailed.TYPE,),
        (events.ReservationReleased.TYPE,),
        (events.PaidAndConfirmed.TYPE,),
        (events.PaymentReviewRequired.TYPE,),
        (_FAILED, _NOTIFIED),
        (_VOIDED, _FAILED, _NOTIFIED),
        (_REFUNDED, _FAILED, _NOTIFIED),
        (_VOIDED,),
        (_REFUNDED,),
        (_REFUNDED, _NOTIFIED),
        (events.RefundRefused.TYPE,),
        (events.ItemsRestocked.TYPE,),
        (events.PaymentRefundFailed.TYPE, events.PaymentReviewRequired.TYPE),
        _COUNTED_AGAIN,
        (events.PaymentRefundFailed.TYPE,),
        (events.PaymentDisputed.TYPE,),
        (events.PaymentDisputeClosed.TYPE,),
        (events.PaymentDisputed.TYPE, events.PaymentDisputeClosed.TYPE),
        (_CANCELLED, _NOTIFIED),
        (_VOIDED, _CANCELLED, _NOTIFIED),
        (_REFUNDED, _CANCELLED, _NOTIFIED),
        (_CANCELLED,),
        (_NOT_CANCELLED, _NOTIFIED),
        (_NOTIFIED,),
    }
)
"""What one decision may emit: all of these events, in this order."""


class OrderState(NamedTuple):
    """A state that the order may have after the events so far."""

    status: Status | None
    reviewed: Status | None
    attempt: int


def history_problems(profile: Profile) -> Iterator[str]:
    """Say which versions and statuses do not fit (invariant 5)."""
    if profile.status is None:
        return
    expected_version, expected_ordinal = 0, 0
    for event in profile.events:
        if event.version != expected_version:
            expected_version, expected_ordinal = expected_version + 1, 0
        if (event.version, event.ordinal) != (expected_version, expected_ordinal):
            yield (
                f"the journal goes on with version {event.version} ordinal {event.ordinal} "
                f"where version {expected_version} ordinal {expected_ordinal} is next"
            )
            return
        expected_ordinal += 1
    if expected_version != profile.version:
        yield f"is at version {profile.version} and its journal ends with {expected_version}"
        return
    states = frozenset({OrderState(None, None, 1)})
    for version, types in profile.decisions():
        moved = _apply(states, types)
        if not moved:
            before = " or ".join(sorted({str(state.status or "nothing") for state in states}))
            yield f"version {version} ({', '.join(types)}) is no declared move from {before}"
            return
        states = moved
    if OrderState(profile.status, profile.reviewed, profile.attempt) not in _with_new_attempts(states):
        ends = sorted({f"{state.status} (attempt {state.attempt})" for state in states})
        yield f"is {profile.status} (attempt {profile.attempt}) and its journal ends with {' or '.join(ends)}"


def _with_new_attempts(states: frozenset[OrderState]) -> frozenset[OrderState]:
    """Add the states in which a new attempt has begun: no event says so."""
    begun = {OrderState(Status.CONFIRMED, None, state.attempt) for state in states if state.status is None}
    again = {
        OrderState(Status.CONFIRMED, None, state.attempt + 1)
        for state in states
        if state.status is Status.PAYMENT_FAILED
    }
    return states | begun | again


def _apply(states: frozenset[OrderState], types: tuple[str, ...]) -> frozenset[OrderState]:
    """Return the states after a decision with these events; none if no declared edge leads there."""
    states = _with_new_attempts(states)
    target = next((STATUS_OF[event_type] for event_type in types if event_type in STATUS_OF), None)
    if target is None:
        if not _ENDS_REVIEW.intersection(types):
            return states
        # A review of an order that was over goes on while something else of it needs a person.
        stays = {state for state in states if state.reviewed in _WERE_OVER}
        return frozenset(_end_review(state) for state in states) | stays
    moved = set()
    for state in states:
        if target is Status.MANUAL_REVIEW and state.status is Status.MANUAL_REVIEW:
            moved.add(state)
        elif (state.status, target) in EDGES:
            reviewed = state.status if target is Status.MANUAL_REVIEW else None
            moved.add(OrderState(target, reviewed, state.attempt))
    return frozenset(moved)


def _end_review(state: OrderState) -> OrderState:
    """End a review about money that is returned now, if the order was final before the review."""
    if state.status is Status.MANUAL_REVIEW and state.reviewed in FINAL:
        return OrderState(state.reviewed, None, state.attempt)
    return state


def journal_problems(profile: Profile) -> Iterator[str]:
    """Say which rows the journal lacks or has too often (invariant 6)."""
    if profile.status is None:
        yield "has rows in event, attempt, operation or reservation and none in orders"
        return
    missing = set(range(1, profile.version + 1)).difference(version for version, _ in profile.decisions())
    if missing:
        yield f"has no journal rows of version {', '.join(map(str, sorted(missing)))}"
    unknown = sorted({event.type for event in profile.events if event.type not in EVENTS})
    if unknown:
        yield f"has journal rows for topics that are none of ours ({', '.join(unknown)})"
    told_again = _told_again(profile)
    for version, types in profile.decisions():
        if _without_refusals(types) not in DECISIONS and version not in told_again and not unknown:
            yield f"version {version} emitted {', '.join(types)}, which no decision does"
    if len(profile.attempts) != profile.attempt:
        yield f"is at attempt {profile.attempt} and has rows for {len(profile.attempts)}"
    for event_type, wanted, why in _expected_events(profile):
        if (found := profile.count(event_type)) != wanted:
            yield f"has {found} {event_type} for {wanted} {why}"
    paid = profile.effective is Status.PAID_AND_CONFIRMED
    sold = [hold.attempt for hold in profile.holds if _counts_as_sold(profile, hold)]
    # A cancel may come before or after the sale; what becomes of the goods is the stock's affair (invariant 4).
    cancelling = profile.cancelling or profile.effective is Status.CANCELLED
    allowed = ([], [profile.attempt]) if cancelling and not paid else ([profile.attempt] if paid else [],)
    if sold not in allowed:
        yield f"is {profile.status} and has sold the holds of attempts {sold}"


def _counts_as_sold(profile: Profile, hold: HoldSummary) -> bool:
    """Whether the hold was sold for the order. Of a paid order refunds may have brought all units back.

    What a release found sold though nobody wants it is being put back, or is back.
    """
    if profile.effective is Status.PAID_AND_CONFIRMED and hold.attempt == profile.attempt:
        return hold.state in {HoldState.SOLD, HoldState.RESTOCKED}
    restocks = profile.operations_of(hold.attempt, OperationKind.RESTOCK)
    return hold.state is HoldState.SOLD and not any(o.unfinished for o in restocks)


def _without_refusals(types: tuple[str, ...]) -> tuple[str, ...]:
    """Leave out the refusals of other cancels: they follow when an order is cancelled, or the first is refused."""
    first = -1 if _CANCELLED in types or _NOT_CANCELLED not in types else types.index(_NOT_CANCELLED)
    return tuple(t for n, t in enumerate(types) if t != _NOT_CANCELLED or n == first)


def _expected_events(profile: Profile) -> Iterator[tuple[str, int, str]]:
    """Yield event types, how many of each the rows call for, and why."""
    before = _before_cancel(profile)
    failed = profile.attempt - 1 + (before is Status.PAYMENT_FAILED) + len(_told_again(profile))
    if profile.effective is Status.CANCELLED and before is Status.PAYMENT_FAILED:
        # A new attempt may have begun before the cancel: no event says so.
        failed = max(min(profile.count(_FAILED), failed), failed - 1)
    gone = sum(hold.state in {HoldState.RELEASED, HoldState.EXPIRED} for hold in profile.holds)
    yield _FAILED, failed, "failed attempts"
    yield events.CustomerActionRequired.TYPE, sum(t.asked for t in profile.attempts), "attempts that ask the customer"
    yield events.PaidAndConfirmed.TYPE, int(before is Status.PAID_AND_CONFIRMED), "times that it was paid"
    if not profile.cancelling:
        # What an inventory still reserves while a cancel is noted is released, and not told as reserved.
        yield events.ItemsReserved.TYPE, len(profile.holds), "holds"
    # A hold that ran out is told as released; its release may still find the goods sold, and put them back.
    restocked = sum(
        hold.state is HoldState.RESTOCKED and bool(profile.operations_of(hold.attempt, OperationKind.RELEASE))
        for hold in profile.holds
    )
    gone = min(max(gone, profile.count(events.ReservationReleased.TYPE)), gone + restocked)
    yield events.ReservationReleased.TYPE, gone, "holds given back"
    yield _VOIDED, sum(_has_void_event(profile, t) for t in profile.attempts), "attempts voided"
    came_back = profile.count(events.PaymentRefundFailed.TYPE)
    # What a call had found was counted once more, for the failed refund had been taken for it: no operation says so.
    came_back += sum(types == _COUNTED_AGAIN for _, types in profile.decisions())
    yield _REFUNDED, came_back + sum(_refunds(profile, t) for t in profile.attempts), "refunds"
    reviews = profile.count(events.PaymentReviewRequired.TYPE)
    if profile.status is Status.MANUAL_REVIEW and not reviews:
        yield events.PaymentReviewRequired.TYPE, 1, "review"
    if not reviews and not profile.free and not profile.cancelling:
        # An approval that an operator finds later is voided, without an event PaymentAuthorized.
        # So is one that somebody else brought about for an attempt that had been declined. While a cancel is noted
        # the event is not said, either.
        taken = sum(
            t.authorized
            and not t.not_taken
            and not _returned_unseen(profile, t.attempt)
            and not _was_declined(profile, t)
            for t in profile.attempts
        )
        yield events.PaymentAuthorized.TYPE, taken, "attempts authorized"


def _before_cancel(profile: Profile) -> Status | None:
    """Return the effective status; of a cancelled order, the one in which it was cancelled."""
    if profile.effective is not Status.CANCELLED:
        return profile.effective
    before: Status | None = None
    for event in profile.events:
        if event.type == _CANCELLED:
            break
        status = STATUS_OF.get(event.type)
        before = before if status in {None, Status.MANUAL_REVIEW} else status
    return before


def _told_again(profile: Profile) -> frozenset[int]:
    """Return the versions in which the review of a failed order ended with PaymentFailed alone, for no money came."""
    versions = set()
    last = ""
    for version, types in profile.decisions():
        if types == (_FAILED,) and last == events.PaymentReviewRequired.TYPE:
            versions.add(version)
        last = next((event_type for event_type in types if event_type in STATUS_OF), last)
    return frozenset(versions)


def _has_void_event(profile: Profile, attempt: AttemptSummary) -> bool:
    """Whether we gave the authorization up. One that lapsed under a capture has an event PaymentFailed instead.

    If we cancelled what nobody had decided on, no money was held as far as we know.
    """
    if not attempt.voided or not attempt.authorized:
        return False
    lapsed = any(o.lapsed for o in profile.operations_of(attempt.attempt, OperationKind.CAPTURE))
    voids = profile.operations_of(attempt.attempt, OperationKind.VOID)
    return not lapsed or any(o.state is OperationState.APPROVED or o.lapsed for o in voids)


def _was_declined(profile: Profile, attempt: AttemptSummary) -> bool:
    asked = profile.operations_of(attempt.attempt, OperationKind.AUTHORIZE)
    return any(o.state is OperationState.DECLINED for o in asked)


def _refunds(profile: Profile, attempt: AttemptSummary) -> int:
    """Return how often money of this attempt went back: by refunds of ours, or by somebody else's."""
    if not attempt.refunded:
        return 0
    refunds = profile.operations_of(attempt.attempt, OperationKind.REFUND)
    ours = sum(o.state is OperationState.APPROVED and not o.elsewhere for o in refunds)
    # Of several that a call of ours found together, told by one event, some may have failed since.
    least = 0 if profile.count(events.PaymentRefundFailed.TYPE) else 1
    return max(least, ours + sum(o.elsewhere for o in profile.operations if o.attempt == attempt.attempt))


def _returned_unseen(profile: Profile, attempt: int) -> bool:
    """Whether the look-up that found the money taken also found that somebody had given it back."""
    return any(o.elsewhere for o in profile.operations_of(attempt, OperationKind.AUTHORIZE))
