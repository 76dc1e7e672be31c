"""The table of outcomes, row by row: what an answer makes of an order, and whom it tells what."""

from typing import Any, Final

import pytest

from consumers.reactions import BY_NAME
from domain.failure_codes import FailureCode, may_retry
from domain.operation import OperationKind, OperationState
from domain.order import Attempt, HoldState, Status
from domain.outcome import AlreadyCaptured, Approved, Declined, Lapsed, Missing, Outcome, Pending, Reserved, Short
from domain.values import replace
from tests.domain.builders import AT, TOTAL, attempt, authorized, captured, context, hold, later, operation, order
from tests.domain.facts import AUTHORIZED, FAILED, NOTICE, REFUNDED, VOIDED, after, facts, failure, pinned, settle, work
from tests.schemas import builders

K = OperationKind
S = Status
FINAL_FAILURE: Final = {"retryable": False, "retry_until": None}
GONE: Final = failure(FailureCode.ITEMS_UNAVAILABLE, **FINAL_FAILURE)
REFUSED: Final = failure(FailureCode.CAPTURE_REFUSED)


def goods_gone(**fields: Any) -> list[dict[str, Any]]:
    """Return PaymentFailed(RESERVE) and the customer's notice."""
    stage, kind = {"stage": "RESERVE"}, {"kind": "ITEMS_UNAVAILABLE"}
    return [FAILED | GONE | stage | fields, NOTICE | GONE | kind | fields]


def capture_refused(**fields: Any) -> list[dict[str, Any]]:
    """Return PaymentFailed(CAPTURE) and the customer's notice."""
    return [FAILED | REFUSED | {"stage": "CAPTURE"} | fields, NOTICE | REFUSED | fields]


@pytest.mark.parametrize("at_once", [False, True])
def test_an_approved_authorization_is_told_with_what_the_gateway_said(at_once: bool) -> None:  # noqa: FBT001
    outcome = Approved("pi_1", None, TOTAL, captured=at_once, expires_at=later(600), livemode=True)
    decision = settle(S.CONFIRMED, K.AUTHORIZE, attempt(), outcome)
    said = {"captured": at_once, "authorization_expires_at": later(600), "livemode": True}
    assert facts(decision) == [AUTHORIZED | said]
    money: dict[str, Any] = {"captured_minor": TOTAL, "captured_at": AT} if at_once else {}
    assert after(decision) == (
        S.PAYMENT_AUTHORIZED,
        authorized(authorization_expires_at=later(600), livemode=True, **money),
    )


@pytest.mark.parametrize("code", FailureCode)
def test_a_declined_authorization_fails_and_may_be_retried_as_its_code_says(code: FailureCode) -> None:
    decision = settle(S.CONFIRMED, K.AUTHORIZE, attempt(), Declined(code, "do_not_honor", "pi_1"))
    said = failure(code) | ({} if may_retry(code) else FINAL_FAILURE)
    assert facts(decision) == [FAILED | said, NOTICE | said]
    assert after(decision) == (S.PAYMENT_FAILED, attempt(token=None, transaction_id="pi_1", failure_code=code))


def test_an_authorization_that_lapsed_unseen_fails_and_may_be_retried() -> None:
    decision = settle(S.CONFIRMED, K.AUTHORIZE, attempt(), Lapsed())
    said = failure(FailureCode.AUTHORIZATION_EXPIRED)
    assert facts(decision) == [FAILED | said, NOTICE | said]


def test_an_authorization_that_somebody_cancelled_unseen_is_known_and_holds_nothing() -> None:
    decision = settle(S.CONFIRMED, K.AUTHORIZE, attempt(), Lapsed("pi_1"))
    code = FailureCode.AUTHORIZATION_EXPIRED
    over = attempt(token=None, transaction_id="pi_1", voided=True, failure_code=code)
    assert after(decision) == (S.PAYMENT_FAILED, over)


def test_reserved_items_are_told_with_their_hold() -> None:
    decision = settle(S.PAYMENT_AUTHORIZED, K.RESERVE, authorized(), Reserved(later(900)))
    items = builders.items_reserved().lines
    fact = {"attempt": 1, "reservation_id": hold().reservation_id, "lines": items, "expires_at": later(900)}
    assert facts(decision) == [{"type": "ItemsReserved"} | fact]
    assert decision.order is not None
    assert (decision.order.status, decision.order.holds) == (S.ITEMS_RESERVED, (hold(),))


@pytest.mark.parametrize(("available", "reason"), [(1, "SHORT"), (None, "UNKNOWN_SKU")])
def test_a_shortage_is_told_with_every_missing_item(available: int | None, reason: str) -> None:
    missing = (Missing("SKU-1", 2, available), Missing("SKU-2", 1, 0))
    decision = settle(S.PAYMENT_AUTHORIZED, K.RESERVE, authorized(), Short(missing))
    [fact] = facts(decision)
    assert (fact["type"], fact["reason"]) == ("ReservationFailed", reason)
    assert [(m.sku, m.requested, m.available) for m in fact["missing"]] == [
        ("SKU-1", 2, available),
        ("SKU-2", 1, 0),
    ]
    assert after(decision) == (S.RESERVATION_FAILED, authorized(failure_code=FailureCode.ITEMS_UNAVAILABLE))


def test_captured_money_sells_the_pinned_hold_next() -> None:
    decision = settle(S.ITEMS_RESERVED, K.CAPTURE, authorized(), Approved("pi_1", None, TOTAL), **pinned())
    assert (facts(decision), work(decision)) == ([], [("confirm", 1, 0)])
    assert after(decision) == (S.ITEMS_RESERVED, captured())


@pytest.mark.parametrize("money", [captured(), captured(token=None, transaction_id=None, captured_minor=0)])
def test_a_sold_hold_is_paid_and_confirmed(money: Attempt) -> None:
    decision = settle(S.ITEMS_RESERVED, K.CONFIRM, money, Approved(), **pinned())
    expected = {
        "type": "PaidAndConfirmed",
        "customer_id": "customer-1",
        "attempt": 1,
        "amount_minor": TOTAL,
        "currency": "EUR",
        "transaction_id": money.transaction_id,
        "reservation_id": hold().reservation_id,
        "lines": builders.items_reserved().lines,
        "captured_at": AT,
        "livemode": False,
    }
    assert facts(decision) == [expected]
    assert after(decision) == (S.PAID_AND_CONFIRMED, replace(money, token=None))
    assert decision.order is not None
    assert decision.order.holds == (hold(pinned=True, state=HoldState.SOLD),)


def test_a_refused_sale_refunds_and_fails_for_lack_of_goods() -> None:
    refused = settle(S.ITEMS_RESERVED, K.CONFIRM, captured(), Short((Missing("SKU-1", 2, 0),)), **pinned())
    assert (facts(refused), work(refused)) == ([], [("refund", 1, TOTAL)])
    back = settle(S.ITEMS_RESERVED, K.REFUND, captured(), Approved("pi_1", "re_1", TOTAL), **pinned())
    assert facts(back) == [REFUNDED, *goods_gone(money="RETURNED")]


def test_a_refused_sale_of_a_free_order_fails_at_once() -> None:
    decision = settle(S.ITEMS_RESERVED, K.CONFIRM, attempt(), Short((Missing("SKU-1", 2, 0),)), **pinned())
    assert facts(decision) == goods_gone()


def test_a_refused_capture_is_voided_and_fails_retryable() -> None:
    refused = settle(S.ITEMS_RESERVED, K.CAPTURE, authorized(), Declined(FailureCode.CAPTURE_REFUSED), **pinned())
    assert (facts(refused), work(refused)) == ([], [("void", 1, TOTAL)])
    doomed = authorized(failure_code=FailureCode.CAPTURE_REFUSED)
    assert after(refused) == (S.ITEMS_RESERVED, doomed)
    voided = settle(S.ITEMS_RESERVED, K.VOID, doomed, Approved("pi_1"), **pinned())
    assert facts(voided) == [VOIDED, *capture_refused()]
    assert after(voided) == (S.PAYMENT_FAILED, replace(doomed, token=None, voided=True))


def test_a_refused_capture_that_took_the_money_is_refunded_and_fails_at_capture_for_the_goods_were_there() -> None:
    doomed = captured(failure_code=FailureCode.CAPTURE_REFUSED)
    found = settle(
        S.ITEMS_RESERVED,
        K.VOID,
        replace(doomed, captured_minor=0, captured_at=None),
        AlreadyCaptured("pi_1", TOTAL),
        **pinned(),
    )
    assert (work(found), after(found)) == ([("refund", 1, TOTAL)], (S.ITEMS_RESERVED, doomed))
    back = settle(S.ITEMS_RESERVED, K.REFUND, doomed, Approved("pi_1", "re_1", TOTAL), **pinned())
    assert facts(back) == [REFUNDED, *capture_refused(money="RETURNED")]
    waiting = settle(S.ITEMS_RESERVED, K.REFUND, doomed, Pending("re_1"), **pinned())
    assert facts(waiting) == capture_refused(money="RETURNING")


def test_a_lapsed_authorization_fails_the_capture_and_may_be_retried() -> None:
    decision = settle(S.ITEMS_RESERVED, K.CAPTURE, authorized(), Lapsed(), **pinned())
    said = failure(FailureCode.AUTHORIZATION_EXPIRED)
    assert facts(decision) == [FAILED | said | {"stage": "CAPTURE"}, NOTICE | said]
    assert (work(decision), after(decision)[1].held_minor) == ([], 0)


@pytest.mark.parametrize("outcome", [Approved("pi_1"), Lapsed()], ids=["done", "nothing held any more"])
def test_an_order_without_goods_fails_once_its_money_is_free(outcome: Outcome) -> None:
    decision = settle(S.RESERVATION_FAILED, K.VOID, authorized(), outcome)
    assert facts(decision) == [VOIDED, *goods_gone()]
    assert after(decision)[0] is S.PAYMENT_FAILED


def test_the_customer_is_told_what_is_missing() -> None:
    missing = (Missing("SKU-1", 2, 1),)
    notice = facts(settle(S.RESERVATION_FAILED, K.VOID, authorized(), Approved("pi_1"), missing=missing))[-1]
    assert notice["missing"] == builders.reservation_failed().missing


def test_an_order_whose_hold_lapsed_says_so() -> None:
    money = authorized(failure_code=FailureCode.RESERVATION_LAPSED)
    said = failure(FailureCode.RESERVATION_LAPSED)
    assert facts(settle(S.RESERVATION_FAILED, K.VOID, money, Approved("pi_1"))) == [
        VOIDED,
        *(fact | said for fact in goods_gone()),
    ]


@pytest.mark.parametrize("status", [S.ITEMS_RESERVED, S.RESERVATION_FAILED])
def test_a_void_of_captured_money_becomes_a_refund(status: Status) -> None:
    decision = settle(status, K.VOID, authorized(), AlreadyCaptured("pi_1", TOTAL), **pinned())
    assert (facts(decision), work(decision)) == ([], [("refund", 1, TOTAL)])
    assert after(decision) == (status, captured())


def test_an_order_without_goods_fails_once_its_money_is_back() -> None:
    decision = settle(S.RESERVATION_FAILED, K.REFUND, captured(), Approved("pi_1", "re_1", TOTAL))
    assert facts(decision) == [REFUNDED, *goods_gone(money="RETURNED")]
    assert after(decision) == (
        S.PAYMENT_FAILED,
        captured(token=None, refunded_minor=TOTAL, refund_id="re_1", failure_code=FailureCode.ITEMS_UNAVAILABLE),
    )


def test_a_refund_without_a_name_is_told_by_its_operation() -> None:
    decision = settle(S.RESERVATION_FAILED, K.REFUND, captured(), Approved("pi_1"))
    assert facts(decision)[0] == REFUNDED | {"refund_id": str(operation(K.REFUND).operation_id)}


def test_an_order_without_goods_fails_while_its_refund_is_pending() -> None:
    decision = settle(S.RESERVATION_FAILED, K.REFUND, captured(), Pending("re_1"))
    assert facts(decision) == goods_gone(money="RETURNING")
    assert decision.order is not None
    assert decision.order.status is S.PAYMENT_FAILED
    assert [(o.kind, o.state, o.reference) for o in decision.order.operations] == [
        (K.REFUND, OperationState.PENDING, "re_1")
    ]


def test_a_refund_that_arrives_after_it_was_pending_is_told() -> None:
    money, waiting = captured(refund_id="re_1"), {"state": OperationState.PENDING, "unknown_since": AT}
    decision = settle(S.PAYMENT_FAILED, K.REFUND, money, Approved("pi_1", "re_1", TOTAL), waiting=waiting)
    refunded, notice = facts(decision)
    assert refunded == REFUNDED
    assert (notice["kind"], notice["money"], notice["failure_code"]) == ("REFUNDED", "RETURNED", None)
    assert (work(decision), after(decision)[0]) == ([], S.PAYMENT_FAILED)


def test_money_of_an_older_attempt_is_given_back_and_the_order_goes_on() -> None:
    reaction = BY_NAME["authorize_payment"]
    waiting = operation(K.AUTHORIZE)
    known = order(S.PAYMENT_AUTHORIZED, attempt(), authorized(2), operations=(waiting,))
    decision = reaction.settle(known, waiting, Approved("pi_1", None, TOTAL, captured=True), context())
    assert (facts(decision), work(decision)) == ([], [("refund", 1, TOTAL)])
    assert decision.order is not None
    assert (decision.order.status, decision.order.current) == (S.PAYMENT_AUTHORIZED, authorized(2))


def test_a_released_hold_is_told_once() -> None:
    reaction, waiting = BY_NAME["release_items"], operation(K.RELEASE)
    known = order(S.PAYMENT_FAILED, holds=(hold(pinned=True),), operations=(waiting,))
    decision = reaction.settle(known, waiting, Approved(), context())
    assert facts(decision) == [{"type": "ReservationReleased", "attempt": 1, "reservation_id": hold().reservation_id}]
    assert decision.order is not None
    assert decision.order.holds == (hold(state=HoldState.RELEASED),)
    assert reaction.settle(decision.order, waiting, Approved(), context()).events == ()
