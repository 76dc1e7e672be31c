"""While an outcome is unknown: who is told when, and when a person must decide."""

from datetime import timedelta
from typing import Any, Final

import pytest

from consumers.reactions import BY_NAME
from domain.decision import NOTHING, Decision
from domain.goods import expire_hold
from domain.operation import OperationKind, OperationState
from domain.order import HoldState, Order, Status
from domain.outcome import NotExecuted, NotFound, Outcome, Pending, Unknown
from domain.settling import notify_delay
from domain.stuck import revive
from domain.values import replace
from tests.domain.builders import (
    AT,
    RULES,
    TOTAL,
    attempt,
    authorized,
    captured,
    context,
    hold,
    later,
    operation,
    order,
)
from tests.domain.facts import facts, work

K = OperationKind
S = Status
OWNER: Final = {
    K.AUTHORIZE: ("authorize_payment", S.CONFIRMED, attempt()),
    K.RESERVE: ("reserve_items", S.PAYMENT_AUTHORIZED, captured()),
    K.CAPTURE: ("capture_payment", S.ITEMS_RESERVED, authorized()),
    K.CONFIRM: ("capture_payment", S.ITEMS_RESERVED, captured()),
    K.VOID: ("return_payment", S.RESERVATION_FAILED, authorized()),
    K.REFUND: ("return_payment", S.PAYMENT_FAILED, captured()),
}


def wait(kind: OperationKind, outcome: Outcome, age_s: float, known: dict[str, Any], **waiting: Any) -> Decision:
    name, status, money = OWNER[kind]
    op = operation(kind, reaction=name, **({"opened_at": later(-age_s)} | waiting))
    fields = {"operations": (op,)} | known
    return BY_NAME[name].settle(order(status, money, **fields), op, outcome, context())


UNKNOWNS: Final = (Unknown("time-out"), NotFound(), NotExecuted("HTTP 429"))


@pytest.mark.parametrize("kind", [K.AUTHORIZE, K.CAPTURE, K.VOID])
@pytest.mark.parametrize("outcome", [*UNKNOWNS, Pending()])
def test_a_customer_whose_payment_takes_a_quarter_of_an_hour_is_told_once_not_to_pay_again(
    kind: OperationKind, outcome: Outcome
) -> None:
    assert facts(wait(kind, outcome, RULES.delayed_notice_s - 1, {})) == []
    late = wait(kind, outcome, RULES.delayed_notice_s, {})
    money = "NONE" if kind is K.AUTHORIZE else "HELD"
    assert [(f["type"], f["kind"], f["money"], f["retryable"]) for f in facts(late)] == [
        ("CustomerNotificationRequested", "PAYMENT_DELAYED", money, False)
    ]
    assert late.order is not None
    assert (late.order.status, late.order.delay_notified) == (OWNER[kind][1], True)
    assert facts(wait(kind, outcome, RULES.delayed_notice_s, {"delay_notified": True})) == []


def test_a_refund_that_takes_long_tells_nobody_not_to_pay() -> None:
    assert facts(wait(K.REFUND, Unknown("time-out"), 3_600, {})) == []


@pytest.mark.parametrize("state", [OperationState.OPEN, OperationState.UNKNOWN])
@pytest.mark.parametrize("kind", [K.AUTHORIZE, K.CAPTURE, K.VOID])
def test_it_is_told_without_an_answer_whether_the_outcome_is_unknown_or_nobody_was_asked(
    kind: OperationKind, state: OperationState
) -> None:
    waiting = operation(kind, state=state, opened_at=later(-RULES.delayed_notice_s))
    known = order(OWNER[kind][1], OWNER[kind][2], operations=(waiting,))
    assert notify_delay(known, context(later(-1))) is NOTHING
    told = notify_delay(known, context())
    assert [(f["type"], f["kind"]) for f in facts(told)] == [("CustomerNotificationRequested", "PAYMENT_DELAYED")]
    assert [event.causation_id for event in told.events] == [waiting.causation_id]
    assert told.order is not None
    assert told.order.operations == known.operations
    assert notify_delay(told.order, context(later(3_600))) is NOTHING


@pytest.mark.parametrize(
    ("kind", "known"),
    [
        (K.REFUND, {}),
        (K.RELEASE, {}),
        (K.AUTHORIZE, {"status": S.MANUAL_REVIEW}),
        (K.VOID, {"status": S.PAYMENT_FAILED}),
        (K.CAPTURE, {"status": S.PAID_AND_CONFIRMED}),
    ],
)
def test_nobody_is_told_not_to_pay_while_money_or_goods_go_back_or_once_the_order_is_final(
    kind: OperationKind, known: dict[str, Any]
) -> None:
    waiting = operation(kind, opened_at=later(-86_400))
    found = replace(order(S.RESERVATION_FAILED, captured(), operations=(waiting,)), **known)
    assert notify_delay(found, context()) is NOTHING


REVIEWS: Final = {
    # kind: operation of PaymentReviewRequired, money, amount. An inventory's silence leaves the money where it is.
    K.AUTHORIZE: ("AUTHORIZE", "UNKNOWN", TOTAL),
    K.CAPTURE: ("CAPTURE", "UNKNOWN", TOTAL),
    K.VOID: ("VOID", "UNKNOWN", TOTAL),
    K.REFUND: ("REFUND", "UNKNOWN", TOTAL),
    K.RESERVE: ("NONE", "CAPTURED", TOTAL),
    K.CONFIRM: ("NONE", "CAPTURED", TOTAL),
}


@pytest.mark.parametrize("kind", REVIEWS)
def test_what_stays_unknown_to_the_end_is_handed_to_an_operator(kind: OperationKind) -> None:
    amount = 0 if kind in {K.RESERVE, K.CONFIRM} else TOTAL
    since = later(-RULES.unknown_give_up_s - 1)
    decision = wait(kind, NotFound(), 0, {}, state=OperationState.UNKNOWN, unknown_since=since, amount_minor=amount)
    [fact] = facts(decision)
    assert (fact["type"], fact["operation"], fact["money"], fact["amount_minor"]) == (
        "PaymentReviewRequired",
        *REVIEWS[kind],
    )
    assert (fact["reason"], decision.alarm) == (f"{kind}_unknown", f"review_{kind}_unknown")
    assert decision.order is not None
    assert (decision.order.status, decision.order.reviewed) == (S.MANUAL_REVIEW, OWNER[kind][1])
    assert [(o.unfinished, o.due_at) for o in decision.order.operations] == [(True, None)]


def test_a_refund_pending_for_thirty_days_is_overdue() -> None:
    since = AT - timedelta(days=30, seconds=1)
    decision = wait(K.REFUND, Pending(), 0, {}, state=OperationState.PENDING, unknown_since=since)
    assert [(f["reason"], f["money"]) for f in facts(decision)] == [("refund_overdue", "CAPTURED")]


def test_what_is_never_executed_is_handed_to_an_operator() -> None:
    decision = wait(K.AUTHORIZE, NotExecuted("HTTP 429"), 0, {}, tries=RULES.tries_max)
    assert [(f["reason"], f["money"]) for f in facts(decision)] == [("authorize_not_executed", "NONE")]


def stuck(**overrides: Any) -> Order:
    return replace(order(S.PAYMENT_AUTHORIZED, authorized()), **overrides)


def test_an_order_that_stands_still_is_told_again_three_times_and_then_handed_to_an_operator() -> None:
    known = stuck()
    for times in (1, 2, 3):
        decision = revive(known, context())
        assert decision is not None
        assert decision.order is not None
        assert (decision.order, decision.events) == (stuck(resends=times), ())
        known = decision.order
    decision = revive(known, context())
    assert decision is not None
    said = [(f["type"], f["operation"], f["reason"], f["money"], f["amount_minor"]) for f in facts(decision)]
    assert said == [("PaymentReviewRequired", "NONE", "stuck", "HELD", TOTAL)]


@pytest.mark.parametrize(
    "known",
    [
        stuck(operations=(operation(K.RESERVE),)),
        *(stuck(status=status) for status in (S.PAID_AND_CONFIRMED, S.PAYMENT_FAILED, S.MANUAL_REVIEW)),
    ],
)
def test_an_order_that_is_final_or_worked_on_does_not_stand_still(known: Order) -> None:
    assert revive(known, context()) is None


def test_a_hold_that_ran_out_is_given_back_and_told() -> None:
    known = order(S.ITEMS_RESERVED, authorized(), holds=(hold(expires_at=AT),))
    decision = expire_hold(known, 1, context())
    assert [f["type"] for f in facts(decision)] == ["ReservationReleased"]
    assert decision.order is not None
    assert decision.order.holds == (hold(expires_at=AT, state=HoldState.EXPIRED),)
    assert work(decision) == []


@pytest.mark.parametrize(
    "goods",
    [hold(), hold(expires_at=AT, pinned=True), *(hold(expires_at=AT, state=s) for s in HoldState if s != "held")],
)
def test_a_hold_that_is_pinned_in_time_or_gone_does_not_run_out(goods: Any) -> None:
    known = order(S.ITEMS_RESERVED, authorized(), holds=(goods,))
    assert expire_hold(known, 1, context()).order is None
