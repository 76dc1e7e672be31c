"""How an order comes under manual review, and how what an operator finds leads out of it."""

from typing import Final

import pytest

from consumers.payment_failed import release_items
from domain.failure_codes import FailureCode
from domain.operation import OperationKind, OperationState
from domain.order import Order, Status
from domain.outcome import Approved, Declined, Missing, Outcome, Reserved, Short
from tests.domain.builders import AT, TOTAL, attempt, authorized, captured, context, hold, later, operation, order
from tests.domain.facts import FAILED, NOTICE, REFUNDED, VOIDED, after, facts, failure, pinned, settle, work
from tests.domain.told import of, refund

K = OperationKind
S = Status

REVIEW: Final = {
    "type": "PaymentReviewRequired",
    "customer_id": "customer-1",
    "attempt": 1,
    "amount_minor": TOTAL,
    "currency": "EUR",
}


def test_a_failed_refund_needs_an_operator() -> None:
    waiting = {"state": OperationState.PENDING, "unknown_since": AT}
    decision = settle(S.PAYMENT_FAILED, K.REFUND, captured(), Declined(FailureCode.GATEWAY_REFUSED), waiting=waiting)
    said = {"operation": "REFUND", "reason": "refund_failed", "money": "CAPTURED"}
    assert facts(decision) == [REVIEW | said]
    assert (decision.alarm, after(decision)[0]) == ("review_refund_failed", S.MANUAL_REVIEW)


def test_a_refused_void_needs_an_operator() -> None:
    decision = settle(S.RESERVATION_FAILED, K.VOID, authorized(), Declined(FailureCode.GATEWAY_REFUSED))
    assert facts(decision) == [REVIEW | {"operation": "VOID", "reason": "void_refused", "money": "HELD"}]


def test_an_old_approval_found_under_review_is_voided_and_may_be_retried() -> None:
    found = settle(S.CONFIRMED, K.AUTHORIZE, attempt(), Approved("pi_1", None, TOTAL), under_review=True)
    assert (facts(found), work(found), after(found)[0]) == ([], [("void", 1, TOTAL)], S.MANUAL_REVIEW)
    voided = settle(S.CONFIRMED, K.VOID, authorized(), Approved("pi_1"), under_review=True)
    said = failure(FailureCode.CANCELLED_BY_OPERATOR)
    assert facts(voided) == [VOIDED, FAILED | said, NOTICE | said]


def test_a_capture_found_under_review_sells_its_live_hold_and_refunds_without_one() -> None:
    outcome = Approved("pi_1", None, TOTAL)
    live = settle(S.ITEMS_RESERVED, K.CAPTURE, authorized(), outcome, under_review=True, **pinned())
    assert work(live) == [("confirm", 1, 0)]
    gone = settle(S.ITEMS_RESERVED, K.CAPTURE, authorized(), outcome, under_review=True)
    assert work(gone) == [("refund", 1, TOTAL)]


@pytest.mark.parametrize("outcome", [Reserved(later(900)), Short((Missing("SKU-1", 2, 1),))])
def test_goods_found_under_review_end_the_review(outcome: Outcome) -> None:
    decision = settle(S.PAYMENT_AUTHORIZED, K.RESERVE, authorized(), outcome, under_review=True)
    known: Order | None = decision.order
    assert known is not None
    assert (known.status is S.MANUAL_REVIEW, known.reviewed, known.review_reason) == (False, None, None)


def test_a_review_ends_with_the_last_call_once_others_have_given_all_of_it_back() -> None:
    """A release was under way when their refund was booked; nobody had asked for anything of this order.

    Of their refund the books had the most by a sum before, so it is not the amount that the person is asked about.
    """
    release = operation(K.RELEASE, reaction="release_items", amount_minor=0)
    failed = {"reviewed": S.PAYMENT_FAILED, "review_reason": "refund_failed"}
    money = captured(refunded_minor=TOTAL - 80)
    known = order(S.MANUAL_REVIEW, money, holds=(hold(),), operations=(release,), **failed)
    back = of(known, refund(amount_minor=TOTAL))
    assert back is not None
    assert back.order is not None
    assert (back.order.status, back.order.current.kept_minor) == (S.MANUAL_REVIEW, 0)

    done = release_items.settle(back.order, release, Approved(), context())

    assert done.order is not None
    assert (done.order.status, done.order.review_reason) == (S.PAYMENT_FAILED, None)


def test_a_refund_found_under_review_ends_it_where_it_began() -> None:
    decision = settle(S.PAYMENT_FAILED, K.REFUND, captured(), Approved("pi_1", "re_1", TOTAL), under_review=True)
    assert facts(decision)[0] == REFUNDED
    assert after(decision)[0] is S.PAYMENT_FAILED
