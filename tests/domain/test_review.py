"""How an order comes under manual review, and how what an operator finds leads out of it."""

from typing import Final

import pytest

from domain.failure_codes import FailureCode
from domain.operation import OperationKind, OperationState
from domain.order import Order, Status
from domain.outcome import Approved, Declined, Missing, Outcome, Reserved, Short
from tests.domain.builders import AT, TOTAL, attempt, authorized, captured, later
from tests.domain.facts import FAILED, NOTICE, REFUNDED, VOIDED, after, facts, failure, pinned, settle, work

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


def test_a_refund_found_under_review_ends_it_where_it_began() -> None:
    decision = settle(S.PAYMENT_FAILED, K.REFUND, captured(), Approved("pi_1", "re_1", TOTAL), under_review=True)
    assert facts(decision)[0] == REFUNDED
    assert after(decision)[0] is S.PAYMENT_FAILED
