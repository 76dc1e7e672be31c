"""The audit follows orders that waited for their customer or for a slow bank, by their profiles alone."""

from itertools import count
from typing import Any, Final

import pytest

from domain.operation import OperationKind, OperationState
from domain.order import Status
from outbox.audit.histories import history_problems, journal_problems
from outbox.audit.orders import leftover_problems, outcome_problems, twice_problems
from outbox.audit.profiles import AttemptSummary, EventSummary, OperationSummary, Profile

K = OperationKind
O = OperationState  # noqa: E741 - beside K, for tables of states
ASKED: Final = ("CustomerActionRequired", "CustomerNotificationRequested")
FAILED: Final = ("PaymentFailed", "CustomerNotificationRequested")


def attempt(number: int = 1, **changed: Any) -> AttemptSummary:
    bare = AttemptSummary(
        number,
        authorized=False,
        captured=False,
        refunded=False,
        keeps=False,
        voided=False,
        not_taken=False,
        asked=False,
    )
    return bare._replace(**changed)


def operation(kind: OperationKind, state: OperationState, number: int = 1) -> OperationSummary:
    return OperationSummary(number, kind, state, lapsed=False, elsewhere=False)


def profile(
    status: Status, *decisions: tuple[str, ...], attempts: Any, operations: Any = (), **changed: Any
) -> Profile:
    """Build an order whose decisions emitted these events."""
    events = tuple(
        EventSummary(version, ordinal, event_type)
        for version, types in zip(count(1), decisions, strict=False)
        for ordinal, event_type in enumerate(types)
    )
    fields: dict[str, Any] = {
        "free": False,
        "reviewed": None,
        "has_reason": False,
        "waits": False,
        "cancelling": False,
        "holds": (),
    }
    fields |= {"version": len(decisions), "attempt": len(attempts), "attempts": attempts, "operations": operations}
    return Profile(status=status, events=events, **(fields | changed))


def problems(found: Profile) -> list[str]:
    judges = (twice_problems, history_problems, journal_problems, outcome_problems, leftover_problems)
    return [problem for judge in judges for problem in judge(found)]


EXPIRED: Final = attempt(voided=True, not_taken=True, asked=True)
CANCELLED: Final = (operation(K.AUTHORIZE, O.NOT_EXECUTED), operation(K.VOID, O.APPROVED))
OVERDUE: Final = (operation(K.AUTHORIZE, O.PENDING),)
LATE: Final = (operation(K.AUTHORIZE, O.APPROVED), operation(K.REFUND, O.APPROVED))
CAME: Final = attempt(authorized=True, captured=True, refunded=True, not_taken=True)
SOUND: Final = {
    "not confirmed in time": profile(Status.PAYMENT_FAILED, ASKED, FAILED, attempts=(EXPIRED,), operations=CANCELLED),
    "overdue": profile(Status.PAYMENT_FAILED, FAILED, attempts=(attempt(not_taken=True),), operations=OVERDUE),
    "overdue after the customer": profile(
        Status.PAYMENT_FAILED, ASKED, FAILED, attempts=(attempt(not_taken=True, asked=True),), operations=OVERDUE
    ),
    "came too late": profile(
        Status.PAYMENT_FAILED,
        FAILED,
        ("PaymentRefunded", "CustomerNotificationRequested"),
        attempts=(CAME,),
        operations=LATE,
    ),
    "never came": profile(
        Status.PAYMENT_FAILED,
        FAILED,
        ("PaymentReviewRequired",),
        ("PaymentFailed",),
        attempts=(attempt(not_taken=True),),
        operations=(operation(K.AUTHORIZE, O.NOT_EXECUTED),),
    ),
}


@pytest.mark.parametrize("name", SOUND)
def test_what_a_customer_or_a_bank_left_undone_is_sound(name: str) -> None:
    assert problems(SOUND[name]) == []


def test_an_order_that_waits_for_its_customer_is_explained_and_not_at_rest() -> None:
    asks = (attempt(asked=True),)
    waiting = profile(Status.ACTION_REQUIRED, ASKED, attempts=asks, operations=OVERDUE)
    assert [*history_problems(waiting), *journal_problems(waiting)] == []
    assert [*outcome_problems(waiting)] == ["is action_required and nobody works on it"]


BROKEN: Final = {
    "is no declared move from": profile(
        Status.ACTION_REQUIRED, ("PaymentAuthorized",), ASKED, attempts=(attempt(asked=True),), operations=OVERDUE
    ),
    "has 0 CustomerActionRequired for 1": profile(
        Status.PAYMENT_FAILED, FAILED, attempts=(EXPIRED,), operations=CANCELLED
    ),
    "has 1 CustomerActionRequired for 0": profile(
        Status.PAYMENT_FAILED, ASKED, FAILED, attempts=(EXPIRED._replace(asked=False),), operations=CANCELLED
    ),
    "emitted PaymentFailed, which no decision does": profile(
        Status.PAYMENT_FAILED, ASKED, ("PaymentFailed",), attempts=(EXPIRED,), operations=CANCELLED
    ),
    "has 2 PaymentFailed for 1": profile(
        Status.PAYMENT_FAILED, ("PaymentReviewRequired",), FAILED, FAILED, attempts=(attempt(),), operations=OVERDUE
    ),
    "has 0 PaymentAuthorized for 1": profile(
        Status.PAYMENT_FAILED,
        FAILED,
        ("PaymentRefunded", "CustomerNotificationRequested"),
        attempts=(CAME._replace(not_taken=False),),
        operations=LATE,
    ),
    "keeps money, and no refund is pending": profile(
        Status.PAYMENT_FAILED,
        FAILED,
        attempts=(attempt(authorized=True, captured=True, keeps=True, not_taken=True),),
        operations=(operation(K.AUTHORIZE, O.APPROVED),),
    ),
}


@pytest.mark.parametrize("told", BROKEN)
def test_what_does_not_fit_is_found(told: str) -> None:
    assert any(told in problem for problem in problems(BROKEN[told])), problems(BROKEN[told])
