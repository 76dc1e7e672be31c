"""A refund that had succeeded fails: the money is ours again, a person is asked, and it is booked once."""

from typing import Any

import pytest

from consumers.adapters.gateway.references import could_name
from domain.decision import NOTHING, Decision
from domain.news import RefundFailure
from domain.operation import OperationKind, OperationState
from domain.order import Order, Status
from domain.resolving import resolve
from domain.ruling import No, Ruling, Word
from domain.told import must_wait, take_back_refund
from domain.values import replace
from tests.domain.builders import CAUSE, ORDER_ID, TOTAL, captured, context, operation, order
from tests.domain.facts import after, facts, work
from tests.domain.test_resolving import SETTLES

K = OperationKind
S = Status
REFUND = operation(K.REFUND, reaction="return_payment", state=OperationState.APPROVED, due_at=None, reference="re_1")
FAILURE = RefundFailure(ORDER_ID, str(REFUND.operation_id), "re_1", TOTAL, "lost_or_stolen_card")


def refunded(status: Status = S.PAYMENT_FAILED, **overrides: Any) -> Order:
    back = captured(refunded_minor=TOTAL, refund_id="re_1")
    return order(status, back, operations=(REFUND,), **overrides)


def test_what_did_not_reach_the_customer_is_kept_again_and_a_person_is_asked() -> None:
    decision = take_back_refund(refunded(), FAILURE, context())

    failed, review = facts(decision)
    assert failed == {
        "type": "PaymentRefundFailed",
        "attempt": 1,
        "refund_id": "re_1",
        "request_id": None,
        "amount_minor": TOTAL,
        "currency": "EUR",
        "reason": "lost_or_stolen_card",
    }
    assert review | {"reason": "refund_failed", "money": "CAPTURED", "operation": "REFUND"} == review
    status, money = after(decision)
    assert (status, money.kept_minor, decision.alarm) == (S.MANUAL_REVIEW, TOTAL, "review_refund_failed")
    assert [event.causation_id for event in decision.events] == [CAUSE, CAUSE]
    assert decision.order is not None
    assert [o.state for o in decision.order.operations] == [OperationState.DECLINED]


def test_what_is_said_again_is_booked_once() -> None:
    once = take_back_refund(refunded(), FAILURE, context()).order
    assert once is not None
    assert take_back_refund(once, FAILURE, context()) == NOTHING


@pytest.mark.parametrize("state", [state for state in OperationState if state is not OperationState.APPROVED])
def test_a_refund_that_has_not_succeeded_hears_of_it_by_its_own_look_up(state: OperationState) -> None:
    known = replace(refunded(), operations=(replace(REFUND, state=state),))
    assert take_back_refund(known, FAILURE, context()) == NOTHING
    assert take_back_refund(replace(known, operations=()), FAILURE, context()) == NOTHING


def test_an_operator_has_it_sent_again_under_a_new_key() -> None:
    known = take_back_refund(refunded(), FAILURE, context()).order
    assert known is not None
    again = resolve(
        replace(known, operations=()),
        known.operations,
        Ruling(Word.NOT_EXECUTED, "the customer has a new card", "alice"),
        SETTLES,
        could_name,
        context(),
    )
    assert isinstance(again, Decision)
    assert again.order is not None
    assert (work(again), again.order.operations[-1].try_number) == ([("refund", 1, TOTAL)], 2)


@pytest.mark.parametrize(
    "known",
    [
        refunded(S.MANUAL_REVIEW, reviewed=S.ITEMS_RESERVED, review_reason="capture_unknown"),
        refunded(S.CONFIRMED),
        replace(refunded(), operations=(REFUND, operation(K.REFUND, try_number=2))),
    ],
    ids=["under review", "paid for again", "a refund under way"],
)
def test_while_something_else_is_under_way_it_waits_and_is_booked_later(known: Order) -> None:
    assert must_wait(known, FAILURE)
    assert take_back_refund(known, FAILURE, context()) == NOTHING
    assert not must_wait(refunded(), FAILURE)


def test_what_a_person_has_made_good_by_other_means_stays() -> None:
    by_hand = replace(refunded(), operations=(replace(REFUND, reference="re_by_hand"),))
    assert not must_wait(by_hand, FAILURE)
    assert take_back_refund(by_hand, FAILURE, context()) == NOTHING


def test_a_paid_order_is_never_refunded_for_an_older_attempt() -> None:
    """Attempt 1 failed and its refund failed later; attempt 2 is paid, and has a refund that owes nothing."""
    old = replace(REFUND, state=OperationState.DECLINED)
    other = operation(K.REFUND, 2, state=OperationState.DECLINED, due_at=None)
    attempts = (captured(1), captured(2))
    known = order(
        S.MANUAL_REVIEW, *attempts, reviewed=S.PAID_AND_CONFIRMED, review_reason="refund_failed", operations=()
    )
    for history in ([old, other], [other, old]):
        again = resolve(
            replace(known, attempts=(captured(1), captured(2, refunded_minor=TOTAL))),
            history,
            Ruling(Word.NOT_EXECUTED, "sent again", "alice"),
            SETTLES,
            could_name,
            context(),
        )
        assert isinstance(again, Decision)
        assert work(again) == [("refund", 1, TOTAL)]
    nothing_owed = resolve(known, [], Ruling(Word.NOT_EXECUTED, "?", "alice"), SETTLES, could_name, context())
    assert isinstance(nothing_owed, No)
