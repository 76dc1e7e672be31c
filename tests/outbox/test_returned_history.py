"""The journal of an order whose money somebody gave back before it was paid is whole."""

from dataclasses import replace
from itertools import count
from typing import Final

import pytest

from domain.operation import OperationKind as K
from domain.operation import OperationState as State
from domain.order import HoldState, Status
from outbox.audit.histories import history_problems, journal_problems
from outbox.audit.profiles import AttemptSummary, EventSummary, HoldSummary, OperationSummary, Profile

RETURNED: Final = AttemptSummary(
    1, authorized=True, captured=True, refunded=True, keeps=False, voided=False, not_taken=False, asked=False
)
FAILED: Final = ("PaymentRefunded", "PaymentFailed", "CustomerNotificationRequested")


def _operation(kind: K, state: State = State.APPROVED, *, elsewhere: bool = False) -> OperationSummary:
    return OperationSummary(1, kind, state, lapsed=False, elsewhere=elsewhere)


def _profile(operations: list[OperationSummary], decisions: list[tuple[str, ...]]) -> Profile:
    events = [
        EventSummary(version, ordinal, event_type)
        for version, types in zip(count(1), decisions)
        for ordinal, event_type in enumerate(types)
    ]
    return Profile(
        status=Status.PAYMENT_FAILED,
        version=len(decisions),
        attempt=1,
        free=False,
        reviewed=None,
        has_reason=False,
        waits=False,
        cancelling=False,
        events=tuple(events),
        attempts=(RETURNED,),
        operations=tuple(operations),
        holds=(),
    )


FOUND_BY_CAPTURE: Final = _operation(K.CAPTURE, State.DECLINED, elsewhere=True)
FOUND_BY_LOOK_UP: Final = _operation(K.AUTHORIZE, State.DECLINED, elsewhere=True)
WHOLE_BY_LOOK_UP: Final = _profile([FOUND_BY_LOOK_UP], [FAILED])
PART_BY_LOOK_UP: Final = _profile([FOUND_BY_LOOK_UP, _operation(K.REFUND)], [("PaymentRefunded",), FAILED])
WHOLE_BY_CAPTURE: Final = _profile([_operation(K.AUTHORIZE), FOUND_BY_CAPTURE], [("PaymentAuthorized",), FAILED])
PART_BY_CAPTURE: Final = _profile(
    [_operation(K.AUTHORIZE), FOUND_BY_CAPTURE, _operation(K.REFUND)],
    [("PaymentAuthorized",), ("PaymentRefunded",), FAILED],
)


@pytest.mark.parametrize("profile", [WHOLE_BY_LOOK_UP, PART_BY_LOOK_UP])
def test_what_a_look_up_found_taken_and_given_back_is_explained(profile: Profile) -> None:
    assert [*history_problems(profile), *journal_problems(profile)] == []


@pytest.mark.parametrize("profile", [WHOLE_BY_CAPTURE, PART_BY_CAPTURE])
def test_what_a_capture_found_given_back_is_explained(profile: Profile) -> None:
    # These stand without the events of the goods, whose moves are not told here.
    assert list(journal_problems(profile)) == []


def test_a_refund_of_somebody_else_without_its_event_is_found() -> None:
    silent = _profile([FOUND_BY_LOOK_UP], [FAILED[1:]])
    assert list(journal_problems(silent)) == ["has 0 PaymentRefunded for 1 refunds"]


def test_a_refund_of_somebody_else_is_told_in_the_review_of_a_failed_order() -> None:
    told = [("PaymentAuthorized",), ("ReservationFailed",), FAILED]
    told += [("PaymentRefundFailed", "PaymentReviewRequired"), ("PaymentRefunded",)]
    refunds = [_operation(K.REFUND, State.DECLINED), _operation(K.REFUND, elsewhere=True)]
    profile = _profile([_operation(K.AUTHORIZE), *refunds], told)

    under_review = replace(profile, status=Status.MANUAL_REVIEW, reviewed=Status.PAYMENT_FAILED, has_reason=True)

    assert [*history_problems(under_review), *journal_problems(under_review)] == []


PAID: Final = [("PaymentAuthorized",), ("ItemsReserved",), ("PaidAndConfirmed",)]
NOTICE: Final = "CustomerNotificationRequested"
SOLD: Final = (HoldSummary(1, HoldState.SOLD, pinned=True),)
CALLS: Final = [_operation(K.AUTHORIZE), _operation(K.CAPTURE)]


def test_two_cancels_that_a_dispute_refuses_together_are_one_decision() -> None:
    told = [*PAID, ("CancellationRefused", "CancellationRefused", NOTICE)]
    kept = RETURNED._replace(refunded=False, keeps=True)
    profile = replace(
        _profile([*CALLS, _operation(K.REFUND, State.DECLINED)], told),
        status=Status.PAID_AND_CONFIRMED,
        attempts=(kept,),
        holds=SOLD,
    )

    assert [*history_problems(profile), *journal_problems(profile)] == []


def test_what_was_counted_again_beside_a_failed_refund_is_explained_and_no_more() -> None:
    again = ("PaymentRefundFailed", "PaymentRefunded", "PaymentReviewRequired")
    told = [*PAID, ("PaymentRefunded", NOTICE), ("PaymentRefunded",), ("RefundRefused",), again]
    refunds = [_operation(K.REFUND, State.DECLINED), _operation(K.REFUND, State.DECLINED, elsewhere=True)]
    profile = replace(
        _profile([*CALLS, *refunds], told),
        status=Status.MANUAL_REVIEW,
        reviewed=Status.PAID_AND_CONFIRMED,
        has_reason=True,
        attempts=(RETURNED._replace(keeps=True),),
        holds=SOLD,
    )
    once_more = replace(profile, events=(*profile.events, EventSummary(8, 0, "PaymentRefunded")), version=8)

    assert [*history_problems(profile), *journal_problems(profile)] == []
    assert [*journal_problems(once_more)] == ["has 4 PaymentRefunded for 3 refunds"]


@pytest.mark.parametrize(
    ("state", "released", "under_way", "right"),
    [
        (HoldState.SOLD, False, True, True),
        (HoldState.SOLD, True, True, False),
        (HoldState.SOLD, False, False, False),
        (HoldState.RESTOCKED, False, False, True),
        (HoldState.RESTOCKED, True, False, True),
    ],
)
def test_goods_that_a_release_found_sold_go_back_whether_or_not_their_hold_had_run_out(
    state: HoldState, *, released: bool, under_way: bool, right: bool
) -> None:
    told = [("PaymentAuthorized",), ("ItemsReserved",), ("ReservationFailed",), FAILED]
    told += [("ReservationReleased",)] * released + [("ItemsRestocked",)] * (state is HoldState.RESTOCKED)
    restock = _operation(K.RESTOCK, State.OPEN if under_way else State.APPROVED)
    release = _operation(K.RELEASE, State.DECLINED)
    profile = replace(
        _profile([*CALLS, _operation(K.REFUND), release, restock], told), holds=(HoldSummary(1, state, pinned=False),)
    )

    assert ([*history_problems(profile), *journal_problems(profile)] == []) is right


@pytest.mark.parametrize("released", [False, True])
def test_units_of_a_paid_order_that_came_back_by_refunds_were_not_released(*, released: bool) -> None:
    told = [*PAID, ("PaymentRefunded", NOTICE), ("ItemsRestocked",), *[("ReservationReleased",)] * released]
    profile = replace(
        _profile([*CALLS, _operation(K.REFUND), _operation(K.RESTOCK)], told),
        status=Status.PAID_AND_CONFIRMED,
        holds=(HoldSummary(1, HoldState.RESTOCKED, pinned=False),),
    )

    problems = [*journal_problems(profile)]
    assert problems == (["has 1 ReservationReleased for 0 holds given back"] if released else [])
