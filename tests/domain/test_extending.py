"""With the stock elsewhere: what waits for its answers, and what their lateness must not do."""

from datetime import datetime
from typing import Any

import pytest

from consumers.reactions import BY_NAME
from domain.decision import Decision
from domain.failure_codes import FailureCode
from domain.operation import Frozen, Operation, OperationKind, OperationState
from domain.order import HoldState, Order, Status
from domain.outcome import AlreadySold, Approved, Declined, Lapsed, NotFound, Outcome, Reserved, Unknown
from domain.stock_calls import stock_call
from domain.values import replace
from tests.domain.builders import AT, TOTAL, attempt, authorized, captured, context, hold, later, operation, order
from tests.schemas import builders

K = OperationKind
S = Status


def settle(known: Order, done: Operation, outcome: Outcome, at: datetime = AT) -> Decision:
    return BY_NAME[done.reaction].settle(known, done, outcome, context(at, inventory_elsewhere=True))


def kinds(decision: Decision) -> list[tuple[str, int]]:
    assert decision.order is not None
    return [(o.kind.value, o.attempt) for o in decision.order.operations if o.unfinished]


def retried(**overrides: Any) -> Order:
    """Build an order that is authorized again after a refused capture; its old goods are still held."""
    first = authorized(1, voided=True)
    return order(S.PAYMENT_AUTHORIZED, first, authorized(2), holds=(hold(1, pinned=True),), version=9, **overrides)


def test_an_order_does_not_compete_with_its_own_old_hold() -> None:
    event = builders.payment_authorized(attempt=2, order_version=9)
    planned = BY_NAME["reserve_items"].plan(retried(), event, context(inventory_elsewhere=True))
    assert kinds(planned) == [("release", 1)], "the reserve waits for the release"
    assert planned.order is not None
    (release,) = planned.order.operations
    lost = settle(planned.order, release, Unknown("time-out"))
    assert kinds(lost) == [("release", 1)]
    assert lost.order is not None
    after = settle(lost.order, lost.order.operations[0], Approved(), later(30))
    assert kinds(after) == [("reserve", 2)]
    assert [event.TYPE for event in after.events] == ["ReservationReleased"]
    own = BY_NAME["reserve_items"].plan(retried(), event, context())
    assert sorted(kinds(own)) == [("release", 1), ("reserve", 2)], "our own inventory does both at once"


@pytest.mark.parametrize("held", [True, False], ids=["held here", "never known here"])
def test_goods_that_a_release_finds_sold_are_put_back(held: bool) -> None:  # noqa: FBT001
    release = operation(K.RELEASE, 1, reaction="release_items", state=OperationState.UNKNOWN, unknown_since=AT)
    holds = (hold(1, state=HoldState.EXPIRED),) if held else ()
    known = order(S.PAYMENT_FAILED, captured(refunded_minor=TOTAL), holds=holds, operations=(release,), version=9)

    found = settle(known, release, AlreadySold(), later(30))

    assert found.order is not None
    assert (found.events, kinds(found)) == ((), [("restock", 1)])
    assert [h.state for h in found.order.holds] == [HoldState.SOLD]
    (restock,) = [o for o in found.order.operations if o.unfinished]
    assert stock_call(restock).lines == known.lines
    done = settle(found.order, restock, Approved(), later(60))
    assert done.order is not None
    assert [h.state for h in done.order.holds] == [HoldState.RESTOCKED]
    assert [event.TYPE for event in done.events] == ["ItemsRestocked"]
    assert (done.order.status, kinds(done)) == (S.PAYMENT_FAILED, [])


def test_the_next_attempt_reserves_only_when_sold_goods_of_the_last_one_are_back() -> None:
    release = operation(K.RELEASE, 1, reaction="reserve_items")
    found = settle(retried(operations=(release,)), release, AlreadySold())
    assert kinds(found) == [("restock", 1)]
    assert found.order is not None
    (restock,) = [o for o in found.order.operations if o.unfinished]
    assert kinds(settle(found.order, restock, Approved())) == [("reserve", 2)]


def test_a_review_of_a_release_ends_when_its_goods_are_found_sold() -> None:
    release = operation(K.RELEASE, 1, reaction="release_items", due_at=None)
    reviewed = {"reviewed": S.PAYMENT_FAILED, "review_reason": "release_not_executed"}
    known = order(S.MANUAL_REVIEW, captured(refunded_minor=TOTAL), operations=(release,), version=9, **reviewed)
    found = settle(known, release, AlreadySold())
    assert found.order is not None
    assert (found.order.status, kinds(found)) == (S.PAYMENT_FAILED, [("restock", 1)])


@pytest.mark.parametrize("status", [S.PAYMENT_FAILED, S.CANCELLED])
def test_a_restock_that_the_inventory_refuses_comes_to_a_person_whose_word_ends_it(status: Status) -> None:
    restock = operation(K.RESTOCK, 1, reaction="refund_payment", frozen=Frozen(lines=order().lines))
    sold = (hold(1, state=HoldState.SOLD),)
    known = order(status, captured(refunded_minor=TOTAL), holds=sold, operations=(restock,), version=9)
    asked = settle(known, restock, Declined(FailureCode.GATEWAY_REFUSED, "not_confirmed"))
    assert asked.order is not None
    assert (asked.order.review_reason, asked.alarm) == ("restock_not_executed", "review_restock_not_executed")
    (waiting,) = asked.order.operations
    assert (waiting.state, waiting.due_at, waiting.detail) == (OperationState.OPEN, None, "not_confirmed")

    ended = settle(asked.order, waiting, Approved())

    assert ended.order is not None
    assert (ended.order.status, [h.state for h in ended.order.holds]) == (status, [HoldState.RESTOCKED])


def test_a_release_by_another_reaction_is_waited_for_just_so() -> None:
    release = operation(K.RELEASE, 1, reaction="release_items")
    event = builders.payment_authorized(attempt=2, order_version=9)
    known = retried(operations=(release,))
    assert BY_NAME["reserve_items"].plan(known, event, context(inventory_elsewhere=True)).order is None
    assert kinds(settle(known, release, Approved())) == [("reserve", 2)]


def extension(until: datetime, **overrides: Any) -> Operation:
    return operation(K.EXTEND, reaction="capture_payment", frozen=Frozen(until=until), **overrides)


def reserved(*work: Operation, **overrides: Any) -> Order:
    fields = {"holds": (hold(pinned=True, extensions=1),), "operations": work}
    return order(S.ITEMS_RESERVED, authorized(), **(fields | overrides))


@pytest.mark.parametrize(("rests_s", "opened"), [(900, "capture"), (500, "capture"), (400, "extend"), (-60, "extend")])
def test_a_capture_begins_only_if_the_goods_are_held_for_long_enough_from_now(rests_s: float, opened: str) -> None:
    call = extension(later(10))
    decision = settle(reserved(call), call, Reserved(later(100 + rests_s)), later(100))
    assert kinds(decision) == [(opened, 1)]


def test_a_hold_that_is_not_extended_fails_the_reservation_and_nothing_is_captured() -> None:
    call = extension(later(900))
    decision = settle(reserved(call), call, Lapsed())
    assert kinds(decision) == []
    assert [(e.TYPE, getattr(e, "reason", None)) for e in decision.events] == [("ReservationFailed", "LAPSED")]


def test_a_capture_that_had_not_begun_when_its_hold_lapsed_never_does() -> None:
    call, capture = extension(later(900)), operation(K.CAPTURE, reaction="capture_payment")
    lapsed = settle(reserved(call, capture), call, Lapsed())
    assert lapsed.order is not None
    (asked,) = [o for o in lapsed.order.operations if o.unfinished]
    assert (asked.kind, asked.state, asked.replayed) == (K.CAPTURE, OperationState.UNKNOWN, True), "only looked up"
    decision = settle(lapsed.order, asked, NotFound())
    assert decision.order is not None
    assert (decision.order.status, kinds(decision)) == (S.RESERVATION_FAILED, [])


def test_a_capture_that_was_made_though_its_hold_lapsed_is_refunded() -> None:
    call, capture = extension(later(900)), operation(K.CAPTURE, reaction="capture_payment")
    lapsed = settle(reserved(call, capture), call, Lapsed())
    assert lapsed.order is not None
    decision = settle(lapsed.order, capture, Approved("pi_1"))
    assert kinds(decision) == [("refund", 1)]


@pytest.mark.parametrize("status", [S.PAID_AND_CONFIRMED, S.PAYMENT_FAILED])
@pytest.mark.parametrize("outcome", [Reserved(later(900)), Lapsed(), Unknown("time-out"), NotFound()])
def test_a_late_answer_to_an_extension_changes_no_order_that_is_over(status: Status, outcome: Outcome) -> None:
    call = extension(later(-10))
    state = HoldState.SOLD if status is S.PAID_AND_CONFIRMED else HoldState.RELEASED
    money = captured() if status is S.PAID_AND_CONFIRMED else authorized(voided=True)
    known = order(status, money, holds=(hold(state=state, extensions=1),), operations=(call,))
    decision = settle(known, call, outcome)
    assert decision.order is not None
    assert (decision.events, decision.order.status, decision.order.holds) == ((), status, known.holds)
    assert kinds(decision) == []


def test_an_extension_is_given_up_for_one_that_asks_for_longer_by_another_key() -> None:
    call = extension(later(900), state=OperationState.UNKNOWN, unknown_since=AT, tries=3)
    waits = settle(reserved(call), call, Unknown("time-out"), later(100))
    assert kinds(waits) == [("extend", 1)]
    assert waits.order is not None
    assert waits.order.operations[0].operation_id == call.operation_id
    anew = settle(reserved(call), call, Unknown("time-out"), later(500))
    assert anew.order is not None
    (opened,) = [o for o in anew.order.operations if o.unfinished]
    assert stock_call(opened).until == later(1_400)
    assert stock_call(opened).idempotency_key != stock_call(call).idempotency_key
    assert (opened.tries, opened.unknown_since) == (3, AT), "an operator is asked in the end all the same"


def test_a_release_whose_answer_never_comes_asks_nobody_once_the_hold_has_run_out() -> None:
    call = operation(K.RELEASE, reaction="release_items", state=OperationState.UNKNOWN, unknown_since=AT)
    failed = order(S.PAYMENT_FAILED, attempt(), holds=(hold(state=HoldState.EXPIRED),), operations=(call,))
    decision = settle(failed, call, Unknown("time-out"), later(90_000))
    assert decision.order is not None
    assert (decision.order.status, kinds(decision)) == (S.PAYMENT_FAILED, [])
    still = replace(failed, holds=(hold(),))
    assert settle(still, call, Unknown("time-out"), later(90_000)).alarm == "review_release_unknown"
