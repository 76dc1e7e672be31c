"""The table of outcomes, row by row: what an answer makes of an order, and whom it tells what."""

from dataclasses import replace
from typing import Any, Final

import pytest

from consumers.reactions import BY_NAME
from domain.decision import Decision
from domain.failure_codes import FailureCode, reason_of
from domain.operation import OperationKind
from domain.order import Attempt, Order, Status
from domain.outcome import AlreadyCaptured, Approved, Missing, Outcome, Pending, Reserved, Short
from tests.domain.builders import TOTAL, authorized, captured, context, hold, later, operation, order
from tests.domain.facts import FAILED, NOTICE, REFUNDED, facts, work

K = OperationKind
S = Status
OWNER: Final = {
    S.CONFIRMED: "authorize_payment",
    S.PAYMENT_AUTHORIZED: "reserve_items",
    S.ITEMS_RESERVED: "capture_payment",
    S.RESERVATION_FAILED: "return_payment",
    S.PAYMENT_FAILED: "return_payment",
}


def settle(
    status: Status, kind: OperationKind, money: Attempt, outcome: Outcome, *, under_review: bool = False, **known: Any
) -> Decision:
    """Settle an operation of the only attempt, as the reaction does that opened it."""
    reaction = BY_NAME[OWNER[status]]
    waiting = operation(kind, reaction=reaction.name, **known.pop("waiting", {}))
    reviewed = status if under_review else None
    known |= {"operations": (waiting,), "reviewed": reviewed, "review_reason": "unknown" if under_review else None}
    now = S.MANUAL_REVIEW if under_review else status
    return reaction.settle(order(now, money, **known), waiting, outcome, context())


def after(decision: Decision) -> tuple[Status, Attempt]:
    assert decision.order is not None
    return decision.order.status, decision.order.current


def failure(code: FailureCode, **fields: Any) -> dict[str, Any]:
    return {"failure_code": code, "reason": reason_of(code)} | fields


REFUSED: Final = failure(FailureCode.CAPTURE_REFUSED)


def capture_refused(**fields: Any) -> list[dict[str, Any]]:
    """Return PaymentFailed(CAPTURE) and the customer's notice."""
    return [FAILED | REFUSED | {"stage": "CAPTURE"} | fields, NOTICE | REFUSED | fields]


def pinned() -> dict[str, Any]:
    return {"holds": (hold(pinned=True),)}


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


def test_a_refund_without_a_name_is_told_by_its_operation() -> None:
    decision = settle(S.RESERVATION_FAILED, K.REFUND, captured(), Approved("pi_1"))
    assert facts(decision)[0] == REFUNDED | {"refund_id": str(operation(K.REFUND).operation_id)}


@pytest.mark.parametrize("outcome", [Reserved(later(900)), Short((Missing("SKU-1", 2, 1),))])
def test_goods_found_under_review_end_the_review(outcome: Outcome) -> None:
    decision = settle(S.PAYMENT_AUTHORIZED, K.RESERVE, authorized(), outcome, under_review=True)
    known: Order | None = decision.order
    assert known is not None
    assert (known.status is S.MANUAL_REVIEW, known.reviewed, known.review_reason) == (False, None, None)
