"""Invariants 5 and 6: how the order came to be where it is, told by the journal alone, and what must stand in it.

The journal has no event for the silent step to `confirmed`, with which every attempt begins, and does not say which
status a review interrupted. So the places where an order may be are followed together, and the row must be at one.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from domain.edges import EDGES
from domain.operation import OperationKind, OperationState
from domain.order import FINAL, HoldState, Status
from outbox.audit.stories import Story, Try
from schemas import events
from schemas.topics import EVENTS

MOVES: Final = {
    events.PaymentAuthorized.TYPE: Status.PAYMENT_AUTHORIZED,
    events.ItemsReserved.TYPE: Status.ITEMS_RESERVED,
    events.ReservationFailed.TYPE: Status.RESERVATION_FAILED,
    events.PaidAndConfirmed.TYPE: Status.PAID_AND_CONFIRMED,
    events.PaymentFailed.TYPE: Status.PAYMENT_FAILED,
    events.PaymentReviewRequired.TYPE: Status.MANUAL_REVIEW,
}
"""The status that an event tells of; the other events tell of none."""

_NOTIFIED = events.CustomerNotificationRequested.TYPE
_VOIDED = events.PaymentVoided.TYPE
_REFUNDED = events.PaymentRefunded.TYPE
_FAILED = events.PaymentFailed.TYPE

DECISIONS: Final = frozenset(
    {
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
        (_REFUNDED, _NOTIFIED),
        (_NOTIFIED,),
    }
)
"""What one decision may emit, all of it and in this order."""


class Place(NamedTuple):
    """Where an order may be after what was told so far."""

    status: Status | None
    reviewed: Status | None
    attempt: int


def history_problems(story: Story) -> Iterator[str]:
    """Say what of the versions and statuses does not fit (invariant 5)."""
    if story.status is None:
        return
    expected_version, expected_ordinal = 0, 0
    for told in story.events:
        if told.version != expected_version:
            expected_version, expected_ordinal = expected_version + 1, 0
        if (told.version, told.ordinal) != (expected_version, expected_ordinal):
            yield (
                f"the journal goes on with version {told.version} ordinal {told.ordinal} "
                f"where version {expected_version} ordinal {expected_ordinal} is next"
            )
            return
        expected_ordinal += 1
    if expected_version != story.version:
        yield f"is at version {story.version} and its journal ends with {expected_version}"
        return
    places = frozenset({Place(None, None, 1)})
    for version, types in story.decisions():
        moved = _after(places, types)
        if not moved:
            before = sorted({str(place.status or "nothing") for place in places})
            yield f"version {version} ({', '.join(types)}) is no declared move from {' or '.join(before)}"
            return
        places = moved
    if Place(story.status, story.reviewed, story.attempt) not in _silently(places):
        ends = sorted({f"{place.status} (attempt {place.attempt})" for place in places})
        yield f"is {story.status} (attempt {story.attempt}) and its journal ends with {' or '.join(ends)}"


def _silently(places: frozenset[Place]) -> frozenset[Place]:
    """Add where an attempt may have begun since."""
    begun = {Place(Status.CONFIRMED, None, place.attempt) for place in places if place.status is None}
    again = {
        Place(Status.CONFIRMED, None, place.attempt + 1) for place in places if place.status is Status.PAYMENT_FAILED
    }
    return places | begun | again


def _after(places: frozenset[Place], types: tuple[str, ...]) -> frozenset[Place]:
    places = _silently(places)
    target = next((MOVES[event_type] for event_type in types if event_type in MOVES), None)
    if target is None:
        returned = _VOIDED in types or _REFUNDED in types
        return frozenset(_out_of_review(place) for place in places) if returned else places
    moved = set()
    for place in places:
        if target is Status.MANUAL_REVIEW and place.status is Status.MANUAL_REVIEW:
            moved.add(place)
        elif (place.status, target) in EDGES:
            reviewed = place.status if target is Status.MANUAL_REVIEW else None
            moved.add(Place(target, reviewed, place.attempt))
    return frozenset(moved)


def _out_of_review(place: Place) -> Place:
    """End a review about money that is back now, if the order had its outcome before."""
    if place.status is Status.MANUAL_REVIEW and place.reviewed in FINAL:
        return Place(place.reviewed, None, place.attempt)
    return place


def journal_problems(story: Story) -> Iterator[str]:
    """Say which rows the journal lacks, or has too many (invariant 6)."""
    if story.status is None:
        yield "has rows in event, attempt, operation or reservation and none in orders"
        return
    versions = {version for version, _ in story.decisions()}
    missing = [str(version) for version in range(1, story.version + 1) if version not in versions]
    if missing:
        yield f"has no journal rows of version {', '.join(missing)}"
    unknown = sorted({told.type for told in story.events if told.type not in EVENTS})
    if unknown:
        yield f"has journal rows for topics that are none of ours ({', '.join(unknown)})"
    for version, types in story.decisions():
        if types not in DECISIONS and not unknown:
            yield f"version {version} emitted {', '.join(types)}, which no decision does"
    if len(story.attempts) != story.attempt:
        yield f"is at attempt {story.attempt} and has rows for {len(story.attempts)}"
    for event_type, wanted, why in _due(story):
        told = story.count(event_type)
        if told != wanted:
            yield f"has {told} {event_type} for {wanted} {why}"
    paid = story.effective is Status.PAID_AND_CONFIRMED
    sold = [hold.attempt for hold in story.holds if hold.state is HoldState.SOLD]
    if sold != ([story.attempt] if paid else []):
        yield f"is {story.status} and has sold the holds of attempts {sold}"


def _due(story: Story) -> Iterator[tuple[str, int, str]]:
    """Say how many events of a type the rows ask for."""
    failed = story.attempt - 1 + (story.effective is Status.PAYMENT_FAILED)
    gone = sum(hold.state in {HoldState.RELEASED, HoldState.EXPIRED} for hold in story.holds)
    yield _FAILED, failed, "failed attempts"
    yield events.PaidAndConfirmed.TYPE, int(story.effective is Status.PAID_AND_CONFIRMED), "times that it was paid"
    yield events.ItemsReserved.TYPE, len(story.holds), "holds"
    yield events.ReservationReleased.TYPE, gone, "holds given back"
    yield _VOIDED, sum(_void_told(story, t) for t in story.attempts), "attempts voided"
    yield _REFUNDED, sum(t.refunded for t in story.attempts), "attempts refunded"
    reviews = story.count(events.PaymentReviewRequired.TYPE)
    if story.status is Status.MANUAL_REVIEW and not reviews:
        yield events.PaymentReviewRequired.TYPE, 1, "review"
    if not reviews and not story.free:
        # An approval that an operator finds later is voided, and never told as authorized.
        yield events.PaymentAuthorized.TYPE, sum(t.authorized for t in story.attempts), "attempts authorized"


def _void_told(story: Story, attempt: Try) -> bool:
    """Whether the attempt's authorization was given up by us: one that lapsed under a capture is told as a failure."""
    if not attempt.voided:
        return False
    lapsed = any(o.lapsed for o in story.asked(attempt.attempt, OperationKind.CAPTURE))
    voids = story.asked(attempt.attempt, OperationKind.VOID)
    done = any(o.state is OperationState.APPROVED or o.lapsed for o in voids)
    return done or not lapsed
