"""The table of triggers, row by row: what an event makes of an order."""

from typing import Final

import pytest

from consumers.customer_notification_requested import notify_customer
from consumers.items_reserved import capture_payment
from consumers.order_confirmed import authorize_payment
from consumers.payment_authorized import reserve_items
from consumers.payment_failed import release_items
from consumers.payment_retry_requested import retry_payment
from consumers.reservation_failed import return_payment
from domain.decision import NOTHING, Decision
from domain.failure_codes import FailureCode, reason_of
from domain.operation import OperationKind
from domain.order import HoldState, Order, Status
from domain.reaction import Reaction
from domain.values import replace
from schemas import events as e
from schemas.rejection import Reason
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
from tests.domain.facts import AUTHORIZED, FAILED, NOTICE, facts, work
from tests.schemas import builders

K = OperationKind
S = Status
FREE: Final = builders.order_confirmed(
    lines=(e.Line(sku="SKU-1", quantity=1, unit_price_minor=100),),
    delivery_fee_minor=0,
    service_fee_minor=0,
    tax_minor=0,
    payment_method=None,
)


def new(status: Status = S.CONFIRMED, **overrides: object) -> Order:
    """Return the order as it begins, with the token of its event."""
    first = attempt(token="pm_card_visa")
    return replace(order(status, first, version=0, confirmed_at=AT), **overrides)


def test_a_new_order_is_authorized_over_its_whole_total() -> None:
    authorize = operation(K.AUTHORIZE)
    decision = authorize_payment.plan(None, builders.order_confirmed(), context())
    assert decision == Decision(new(operations=(authorize,)))


def test_lines_of_the_same_sku_are_added_up_and_sorted() -> None:
    lines = [e.Line(sku=sku, quantity=n, unit_price_minor=100) for sku, n in (("SKU-2", 1), ("SKU-1", 2), ("SKU-2", 3))]
    decision = authorize_payment.plan(None, builders.order_confirmed(lines=lines), context())
    assert decision.order is not None
    assert [(line.sku, line.quantity) for line in decision.order.lines] == [("SKU-1", 2), ("SKU-2", 4)]


@pytest.mark.parametrize("livemode", [False, True])
def test_a_free_order_is_authorized_at_once_without_a_gateway(livemode: bool) -> None:  # noqa: FBT001 - a parameter
    decision = authorize_payment.plan(None, FREE, context(livemode=livemode))
    assert facts(decision) == [
        AUTHORIZED
        | {
            "amount_minor": 0,
            "transaction_id": None,
            "captured": False,
            "authorization_expires_at": None,
            "livemode": livemode,
        }
    ]
    assert (work(decision), decision.order and decision.order.status) == ([], S.PAYMENT_AUTHORIZED)


def test_an_order_too_old_for_the_gateways_memory_fails_and_is_never_charged() -> None:
    event = builders.order_confirmed(occurred_at=later(-RULES.order_max_age_s - 1))
    decision = authorize_payment.plan(None, event, context())
    expired = {
        "failure_code": "order_expired",
        "reason": reason_of(FailureCode.ORDER_EXPIRED),
        "retryable": False,
        "retry_until": None,
        "money": "NONE",
    }
    assert facts(decision) == [FAILED | expired, NOTICE | expired]
    assert (work(decision), decision.order and decision.order.status) == ([], S.PAYMENT_FAILED)


def test_an_order_just_young_enough_is_charged() -> None:
    event = builders.order_confirmed(occurred_at=later(-RULES.order_max_age_s))
    assert work(authorize_payment.plan(None, event, context())) == [("authorize", 1, TOTAL)]


@pytest.mark.parametrize("status", Status)
def test_the_same_order_confirmed_again_has_no_effect(status: Status) -> None:
    again = builders.order_confirmed(
        event_id=builders.event_id("again"), occurred_at=later(60), correlation_id="another", causation_id=None
    )
    assert authorize_payment.plan(order(status), again, context(later(99_999))) == NOTHING


OTHER_CONTENT: Final = {
    "customer": {"customer_id": "customer-2"},
    "price": {"lines": (e.Line(sku="SKU-1", quantity=1, unit_price_minor=2_550),)},
    "method": {"payment_method": e.PaymentMethod(kind=e.PaymentMethodKind.CARD, token="pm_other")},
    "method kind": {"payment_method": e.PaymentMethod(kind=e.PaymentMethodKind.BANK, token="pm_card_visa")},
    "currency": {"currency": "USD"},
    "fees": {"delivery_fee_minor": 150, "service_fee_minor": 400},
    "tax": {"tax_minor": 0, "delivery_fee_minor": 480},
}


@pytest.mark.parametrize("change", OTHER_CONTENT.values(), ids=OTHER_CONTENT.keys())
@pytest.mark.parametrize("status", Status)
def test_the_same_order_id_with_other_content_is_a_conflict_and_never_charged(
    status: Status, change: dict[str, object]
) -> None:
    decision = authorize_payment.plan(order(status), builders.order_confirmed(**change), context())
    assert (decision.order, decision.events, decision.refused) == (None, (), Reason.CONFLICT)


def failed(**overrides: object) -> Order:
    fields: dict[str, object] = {"retryable": True, "retry_until": later(60)}
    return replace(order(S.PAYMENT_FAILED, attempt(token=None)), **(fields | overrides))


def test_a_retry_in_time_is_the_next_attempt_with_the_other_method() -> None:
    decision = retry_payment.plan(failed(), builders.payment_retry_requested(), context())
    second = attempt(2, token="pm_card_visa")
    assert decision == Decision(
        order(
            S.CONFIRMED,
            attempt(token=None),
            second,
            operations=(operation(K.AUTHORIZE, 2, reaction="retry_payment"),),
        )
    )


REFUSALS: Final = {
    "window_closed": failed(retry_until=AT),
    "not_retryable": failed(retryable=False, retry_until=None),
    "too_many": failed(attempts=tuple(attempt(n, token=None) for n in range(1, 6)), attempt=5),
    "in_progress": failed(operations=(operation(K.REFUND),)),
    "already_paid": order(S.PAID_AND_CONFIRMED, captured()),
}


@pytest.mark.parametrize("code", REFUSALS)
def test_a_retry_that_may_not_be_is_refused_to_the_customer_and_changes_nothing(code: str) -> None:
    known = REFUSALS[code]
    event = builders.payment_retry_requested(after_attempt=known.attempt)
    decision = retry_payment.plan(known, event, context())
    assert decision.order == replace(known, version=known.version + 1)
    [fact] = facts(decision)
    assert (fact["type"], fact["kind"], fact["failure_code"], fact["retryable"]) == (
        "CustomerNotificationRequested",
        "RETRY_REFUSED",
        code,
        False,
    )


@pytest.mark.parametrize(
    "status", [s for s in Status if s not in {S.PAYMENT_FAILED, S.PAID_AND_CONFIRMED, S.CANCELLED}]
)
def test_a_retry_of_an_attempt_that_has_not_failed_is_in_progress(status: Status) -> None:
    decision = retry_payment.plan(order(status), builders.payment_retry_requested(), context())
    assert [fact["failure_code"] for fact in facts(decision)] == ["in_progress"]


@pytest.mark.parametrize("status", Status)
def test_a_second_click_on_retry_has_no_effect(status: Status) -> None:
    known = order(status, attempt(), attempt(2))
    assert retry_payment.plan(known, builders.payment_retry_requested(), context()) == NOTHING


def test_a_retry_that_comes_before_its_order_waits_for_it() -> None:
    assert retry_payment.plan(None, builders.payment_retry_requested(), context()) == Decision(None, early=True)


@pytest.mark.parametrize("status", list(Status))
def test_a_retry_of_an_attempt_that_does_not_exist_is_a_dead_letter(status: Status) -> None:
    decision = retry_payment.plan(order(status), builders.payment_retry_requested(after_attempt=2), context())
    assert (decision.order, decision.events, decision.refused) == (None, (), Reason.ILLEGAL_TRANSITION)


def test_an_authorized_payment_gives_back_older_holds_and_reserves() -> None:
    known = order(S.PAYMENT_AUTHORIZED, authorized(voided=True), authorized(2), holds=(hold(pinned=True),))
    decision = reserve_items.plan(known, builders.payment_authorized(attempt=2), context())
    assert decision.events == ()
    assert work(decision) == [("release", 1, 0), ("reserve", 2, 0)]


def test_reserved_items_pin_their_hold_and_are_paid_by_a_capture_of_what_is_held() -> None:
    known = order(S.ITEMS_RESERVED, authorized(), holds=(hold(),))
    decision = capture_payment.plan(known, builders.items_reserved(), context())
    capture = operation(K.CAPTURE, reaction="capture_payment")
    assert decision == Decision(replace(known, holds=(hold(pinned=True),), operations=(capture,)))


@pytest.mark.parametrize("money", [captured(), attempt()], ids=["captured before", "free"])
def test_reserved_items_that_need_no_capture_go_straight_to_the_sale(money: object) -> None:
    known = replace(order(S.ITEMS_RESERVED, holds=(hold(),)), attempts=(money,))
    decision = capture_payment.plan(known, builders.items_reserved(), context())
    assert work(decision) == [("confirm", 1, 0)]
    assert decision.order is not None
    assert decision.order.holds == (hold(pinned=True),)


LAPSED_HOLDS: Final = {"ran out": hold(expires_at=AT), "expired": hold(state=HoldState.EXPIRED)}


@pytest.mark.parametrize("goods", LAPSED_HOLDS.values(), ids=LAPSED_HOLDS.keys())
def test_reserved_items_whose_hold_lapsed_are_not_paid(goods: object) -> None:
    known = replace(order(S.ITEMS_RESERVED, authorized()), holds=(goods,))
    decision = capture_payment.plan(known, builders.items_reserved(), context())
    assert facts(decision) == [{"type": "ReservationFailed", "attempt": 1, "reason": "LAPSED", "missing": ()}]
    assert (work(decision), decision.order and decision.order.status) == ([], S.RESERVATION_FAILED)


@pytest.mark.parametrize(("money", "kind"), [(authorized(), "void"), (captured(), "refund")])
def test_money_goes_back_when_there_are_no_goods(money: object, kind: str) -> None:
    known = replace(order(S.RESERVATION_FAILED), attempts=(money,))
    decision = return_payment.plan(known, builders.reservation_failed(), context())
    assert (work(decision), decision.events) == ([(kind, 1, TOTAL)], ())


def test_an_order_without_goods_and_without_money_fails_at_once() -> None:
    known = order(S.RESERVATION_FAILED, attempt(failure_code=FailureCode.ITEMS_UNAVAILABLE), total_minor=0)
    decision = return_payment.plan(known, builders.reservation_failed(), context())
    failure = {
        "failure_code": "items_unavailable",
        "reason": reason_of(FailureCode.ITEMS_UNAVAILABLE),
        "amount_minor": 0,
        "retryable": False,
        "retry_until": None,
    }
    assert facts(decision) == [
        FAILED | failure | {"stage": "RESERVE"},
        NOTICE | failure | {"kind": "ITEMS_UNAVAILABLE"},
    ]


@pytest.mark.parametrize(
    ("reaction", "event", "status"),
    [
        (reserve_items, builders.payment_authorized(attempt=2), S.PAYMENT_AUTHORIZED),
        (capture_payment, builders.items_reserved(attempt=2), S.ITEMS_RESERVED),
        (return_payment, builders.reservation_failed(attempt=2), S.RESERVATION_FAILED),
    ],
)
@pytest.mark.parametrize("kind", [K.RESERVE, K.CAPTURE, K.CONFIRM, K.VOID, K.REFUND])
def test_what_was_planned_already_is_not_planned_again(
    reaction: Reaction, event: e.Event, status: Status, kind: OperationKind
) -> None:
    known = order(status, attempt(), authorized(2), holds=(hold(2),), operations=(operation(kind, 2, tries=3),))
    assert reaction.plan(known, event, context()) == NOTHING


def test_a_failed_payment_releases_the_holds_of_its_attempt_and_of_older_ones() -> None:
    holds = (hold(1, pinned=True), hold(2), hold(3))
    known = order(S.CONFIRMED, attempt(), attempt(2), attempt(3), holds=holds)
    decision = release_items.plan(known, builders.payment_failed(attempt=2), context())
    assert work(decision) == [("release", 1, 0), ("release", 2, 0)]


def test_a_failed_order_that_came_under_review_releases_its_goods() -> None:
    known = order(S.MANUAL_REVIEW, captured(), reviewed=S.PAYMENT_FAILED, holds=(hold(pinned=True),))
    assert work(release_items.plan(known, builders.payment_failed(), context())) == [("release", 1, 0)]


def test_goods_that_an_operator_may_still_sell_are_not_released() -> None:
    known = order(S.MANUAL_REVIEW, authorized(), reviewed=S.ITEMS_RESERVED, holds=(hold(pinned=True),))
    assert release_items.plan(known, builders.payment_failed(), context()) == NOTHING


def test_a_release_under_way_is_left_alone() -> None:
    waiting = operation(K.RELEASE, tries=3, amount_minor=0)
    known = order(S.PAYMENT_FAILED, authorized(voided=True), holds=(hold(),), operations=(waiting,))
    assert release_items.plan(known, builders.payment_failed(), context()) == NOTHING


@pytest.mark.parametrize("state", [s for s in HoldState if s is not HoldState.HELD])
def test_goods_that_are_not_held_are_not_released(state: HoldState) -> None:
    known = order(S.PAYMENT_FAILED, authorized(voided=True), holds=(hold(state=state),))
    assert release_items.plan(known, builders.payment_failed(), context()) == NOTHING


@pytest.mark.parametrize(("age_s", "stale"), [(0, False), (86_400, False), (86_401, True)])
def test_a_customer_is_told_by_the_events_own_key_and_not_of_old_news(age_s: int, stale: bool) -> None:  # noqa: FBT001
    event = builders.customer_notification_requested()
    [told] = notify_customer.plan(order(), event, context(later(age_s))).notifications
    assert (told.key, told.kind, told.text, told.stale) == (event.event_id, event.kind, event.reason, stale)


def test_a_retry_older_than_the_gateway_remembers_keys_is_never_charged() -> None:
    event = builders.payment_retry_requested(occurred_at=later(-82_801))
    decision = retry_payment.plan(failed(), event, context())
    assert decision.order is not None
    assert decision.order.operations == ()
    assert [fact["failure_code"] for fact in facts(decision)] == ["window_closed"]
