"""What somebody does in the gateway's dashboard: booked once, and money that no order wants goes back."""

from typing import Any

import pytest

from domain.decision import NOTHING, Decision
from domain.failure_codes import FailureCode
from domain.news import RefundFailure
from domain.operation import OperationKind, OperationState
from domain.order import Attempt, Order, Status
from domain.values import replace
from tests.domain.builders import AT, ORDER_ID, TOTAL, attempt, authorized, captured, operation, order
from tests.domain.facts import facts, work
from tests.domain.told import news, of, refund, told

K = OperationKind
S = Status
AUTHORIZE = operation(K.AUTHORIZE, state=OperationState.APPROVED, due_at=None)
PAID = order(S.PAID_AND_CONFIRMED, captured(), operations=(AUTHORIZE,))
DECLINED = attempt(transaction_id="pi_1", failure_code=FailureCode.CARD_DECLINED)
FAILED = order(S.PAYMENT_FAILED, DECLINED, operations=(replace(AUTHORIZE, state=OperationState.DECLINED),))


def after(decision: Decision | None) -> Order:
    assert decision is not None
    assert decision.order is not None
    return decision.order


def test_a_refund_of_somebody_else_is_booked_and_told_and_the_order_stays_paid() -> None:
    decision = of(PAID, refund(amount_minor=1_000))
    assert decision is not None
    (event,) = facts(decision)
    assert event == {
        "type": "PaymentRefunded",
        "attempt": 1,
        "transaction_id": "pi_1",
        "refund_id": "re_9",
        "amount_minor": 1_000,
        "currency": "EUR",
        "request_id": None,
    }
    known = after(decision)
    assert (known.status, known.current.kept_minor, known.current.refund_id) == (S.PAID_AND_CONFIRMED, 2_080, "re_9")
    booked = known.operations[-1]
    assert (booked.state, booked.reference, booked.try_number, booked.due_at) == (
        OperationState.APPROVED,
        "re_9",
        -1,
        None,
    )


def test_each_is_booked_once_and_all_of_them_up_to_what_was_captured() -> None:
    first, second = refund("re_8", 2_000), refund("re_9", 2_000)
    known = after(of(PAID, first, first, second))
    assert of(known, first, first, second) == NOTHING
    known = after(of(known, second, first, second))
    assert known.current.refunded_minor == TOTAL, "more cannot have come back than was captured"
    assert [o.amount_minor for o in known.operations[1:]] == [2_000, 1_080]
    assert [o.try_number for o in known.operations[1:]] == [-1, -2]
    assert of(known, second, first, second) == NOTHING


def test_a_refund_that_our_own_refund_met_is_in_the_books_already() -> None:
    """Our refund was refused, what was back was booked from the list, and the rest went back by us."""
    ours = operation(K.REFUND, state=OperationState.APPROVED, due_at=None, reference="re_1", try_number=2)
    known = order(S.PAYMENT_FAILED, captured(refunded_minor=TOTAL), operations=(AUTHORIZE, ours))
    foreign = refund(amount_minor=1_000)
    assert of(known, foreign, foreign, refund("re_1", 2_080, operation_id="x")) == NOTHING


def test_a_refund_that_is_pending_is_not_booked_before_it_has_succeeded() -> None:
    assert of(PAID, refund(state="pending")) == NOTHING
    assert of(PAID, refund(state="failed")) == NOTHING
    assert of(PAID, refund()) != NOTHING


@pytest.mark.parametrize(
    "known",
    [
        replace(PAID, status=S.ITEMS_RESERVED),
        replace(PAID, status=S.MANUAL_REVIEW, reviewed=S.ITEMS_RESERVED, review_reason="capture_unknown"),
        replace(PAID, operations=(AUTHORIZE, operation(K.REFUND, state=OperationState.PENDING))),
    ],
    ids=["not at rest", "under review", "a refund of ours under way"],
)
def test_it_waits_until_the_order_is_at_rest(known: Order) -> None:
    assert of(known, refund()) is None


def test_what_contradicts_the_books_waits_for_a_person() -> None:
    assert of(PAID, refund(currency="USD")) is None
    more_back = order(S.PAID_AND_CONFIRMED, captured(refunded_minor=TOTAL), operations=(AUTHORIZE,))
    assert of(more_back, refund(amount_minor=10)) is None


def test_one_that_fails_later_is_booked_back_and_a_paid_order_stays_paid() -> None:
    known = after(of(PAID, refund(amount_minor=1_000)))
    failed = refund(amount_minor=1_000, state="failed", reason="declined")
    decision = of(known, failed)
    assert decision is not None
    (event,) = facts(decision)
    assert event == {
        "type": "PaymentRefundFailed",
        "attempt": 1,
        "refund_id": "re_9",
        "request_id": None,
        "amount_minor": 1_000,
        "currency": "EUR",
        "reason": "declined",
    }
    known = after(decision)
    assert (known.status, known.current.kept_minor, decision.alarm) == (
        S.PAID_AND_CONFIRMED,
        TOTAL,
        "foreign_refund_failed",
    )
    assert work(decision) == []
    assert of(known, failed) == NOTHING


def test_of_a_failed_order_that_money_goes_back_by_us() -> None:
    kept = replace(FAILED, attempts=(captured(),))
    known = after(of(kept, refund()))
    decision = of(known, refund(state="failed"))
    assert decision is not None
    assert work(decision) == [("refund", 1, TOTAL)]
    assert [o.try_number for o in after(decision).operations if o.unfinished] == [1]


@pytest.mark.parametrize("kind", [K.AUTHORIZE, K.CAPTURE, K.REFUND])
def test_one_that_our_call_found_and_that_fails_later_goes_back_by_us_once(kind: OperationKind) -> None:
    """The order failed for it, so there is no row of its own: without it the money would stay with us unseen."""
    found = operation(kind, state=OperationState.DECLINED, due_at=None, reference="re_9")
    known = order(S.PAYMENT_FAILED, captured(refunded_minor=TOTAL, refund_id="re_9"), operations=(found,))
    failed, stays = refund("re_8", 1_000, state="failed", reason="declined"), refund("re_9", TOTAL - 1_000)
    decision = of(known, failed, failed, stays)
    assert decision is not None
    assert [(e["type"], e["amount_minor"], e["refund_id"]) for e in facts(decision)] == [
        ("PaymentRefundFailed", 1_000, "re_8")
    ]
    assert [(name, amount) for name, _, amount in work(decision)] == [("refund", 1_000)]
    assert decision.alarm == "foreign_refund_failed"
    at_rest = replace(after(decision), operations=(found,))
    assert of(at_rest, failed, failed, stays) == NOTHING


def test_one_that_a_person_named_in_place_of_ours_and_that_fails_later_comes_to_a_person_again() -> None:
    ours = operation(K.REFUND, state=OperationState.APPROVED, due_at=None, reference="re_9", by="alice")
    known = order(S.PAYMENT_FAILED, captured(refunded_minor=TOTAL), operations=(AUTHORIZE, ours))
    assert of(known, refund()) == NOTHING
    failed = refund(state="failed", reason="declined")
    decision = of(known, failed)
    assert decision is not None
    assert [event["type"] for event in facts(decision)] == ["PaymentRefundFailed", "PaymentReviewRequired"]
    assert (after(decision).review_reason, after(decision).current.kept_minor) == ("refund_failed", TOTAL)
    assert of(after(decision), failed) == NOTHING


def test_one_beside_money_that_went_back_past_the_gateway_waits_for_a_person() -> None:
    """The customer has it twice: that must not look as if the books had it."""
    ours = operation(K.REFUND, state=OperationState.APPROVED, due_at=None, reference="outside:SEPA-7")
    known = order(S.PAYMENT_FAILED, captured(refunded_minor=TOTAL), operations=(AUTHORIZE, ours))
    assert of(known, refund()) is None
    assert of(known, refund(state="failed")) == NOTHING


def test_a_refund_of_ours_that_failed_is_heard_by_the_same_rows() -> None:
    ours = operation(K.REFUND, state=OperationState.APPROVED, due_at=None, reference="re_1")
    known = order(S.PAYMENT_FAILED, captured(refunded_minor=TOTAL), operations=(ours,))
    failure = RefundFailure(ORDER_ID, str(ours.operation_id), "re_1", TOTAL, "declined")
    decision = told(known, failure)
    assert after(decision).status is S.MANUAL_REVIEW
    assert told(after(decision), failure) == NOTHING
    assert told(replace(known, status=S.CONFIRMED), failure) is None


# Captured, approved, cancelled


@pytest.mark.parametrize(
    ("said", "kind"),
    [({"captured_minor": TOTAL}, "refund"), ({"captured_minor": 0, "held_minor": TOTAL}, "void")],
    ids=["captured", "approved"],
)
def test_money_of_a_failed_order_goes_back_at_once_and_rings(said: dict[str, int], kind: str) -> None:
    decision = told(FAILED, news(**said))
    assert decision is not None
    assert (work(decision), decision.events, decision.alarm) == ([(kind, 1, TOTAL)], (), "money_unwanted")
    (opened,) = [o for o in after(decision).operations if o.unfinished]
    assert (opened.due_at, opened.transaction_id, opened.reaction) == (AT, "pi_1", "return_payment")
    assert told(after(decision), news(**said)) == NOTHING


def test_so_does_money_of_an_older_attempt_of_a_paid_order() -> None:
    known = order(S.PAID_AND_CONFIRMED, DECLINED, captured(2), operations=FAILED.operations)
    decision = told(known, news())
    assert decision is not None
    assert work(decision) == [("refund", 1, TOTAL)]


def test_a_transaction_whose_answer_never_came_is_found_by_its_operation() -> None:
    known = replace(FAILED, attempts=(attempt(failure_code=FailureCode.CANCELLED_BY_OPERATOR),))
    decision = told(known, news())
    assert after(decision).current.transaction_id == "pi_1"


def test_a_new_refund_gets_a_number_that_no_earlier_one_has() -> None:
    old = operation(K.REFUND, state=OperationState.DECLINED, due_at=None, try_number=3)
    decision = told(replace(FAILED, operations=(*FAILED.operations, old)), news())
    assert [o.try_number for o in after(decision).operations if o.unfinished] == [4]


def test_what_was_captured_and_given_back_there_is_no_money() -> None:
    back = news(refund())
    assert told(FAILED, back) == NOTHING
    assert of(FAILED, refund()) == NOTHING


def test_a_held_authorization_that_somebody_cancelled_is_booked_once() -> None:
    known = order(S.PAYMENT_FAILED, authorized())
    cancelled = news(captured_minor=0, cancelled=True)
    decision = told(known, cancelled)
    assert decision is not None
    assert [event["type"] for event in facts(decision)] == ["PaymentVoided"]
    assert told(after(decision), cancelled) == NOTHING


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (PAID, {}),
        (order(S.ITEMS_RESERVED, authorized()), {"captured_minor": 0, "held_minor": TOTAL}),
        (order(S.PAYMENT_FAILED, authorized(voided=True)), {"captured_minor": 0, "cancelled": True}),
        (FAILED, {"captured_minor": 0}),
    ],
    ids=["paid", "held", "voided", "declined"],
)
def test_what_the_books_have_has_no_effect(known: Order, said: dict[str, Any]) -> None:
    assert told(known, news(**said)) == NOTHING


@pytest.mark.parametrize(
    ("status", "first"),
    [(S.ITEMS_RESERVED, authorized()), (S.MANUAL_REVIEW, DECLINED), (S.CONFIRMED, DECLINED)],
    ids=["its capture will find it", "under review", "paid for again"],
)
def test_what_is_under_way_is_waited_for(status: Status, first: Attempt) -> None:
    assert told(order(status, first), news()) is None


def test_what_cannot_be_is_left_to_a_person() -> None:
    voided = order(S.PAYMENT_FAILED, authorized(voided=True))
    assert told(voided, news()) is None, "what was cancelled cannot be captured"
    assert told(FAILED, news(currency="USD")) is None
    strange = order(S.PAYMENT_FAILED, attempt(transaction_id="pi_other"), operations=FAILED.operations)
    assert told(strange, news()) is None, "a second transaction of one operation"
    assert told(strange, news(captured_minor=0)) == NOTHING
