"""What is opened for a request of long ago is looked up first: a restored database may have lost that it was made."""

from datetime import timedelta
from typing import Any, Final

import pytest

from consumers.order_cancel_requested import cancel_order
from consumers.refund_requested import refund_payment
from domain.approval import Person
from domain.approving import approve
from domain.ids import EventId
from domain.operating import NEW, Move, may_send_again, next_move, next_number
from domain.operation import OperationKind, OperationState
from domain.order import HoldState, Order
from domain.outcome import Unknown
from domain.requests import RequestState
from domain.rules import Rules
from domain.ruling import No, Word
from domain.values import replace
from schemas.events import Item
from tests.domain.asked_refunds import Play, paid
from tests.domain.builders import AT, RULES, captured, context, hold, later, operation, request
from tests.schemas import builders

K = OperationKind
S = OperationState
LONG_AGO: Final = AT - timedelta(days=2)
LIMIT: Final = {"EUR": 500}
SKEW: Final = timedelta(seconds=RULES.clock_skew_max_s)


def moves(play: Play, request_id: str | None = None) -> tuple[Move, bool]:
    """Return what is done next for the refund, and whether it is sent once it was not found."""
    call = play.call(request_id)
    return next_move(call, AT, RULES), may_send_again(call, AT, RULES)


def test_a_refund_asked_for_long_ago_is_looked_up_first_and_then_sent() -> None:
    play = Play()
    play.ask("R-1", 1_000, occurred_at=LONG_AGO)
    assert moves(play) == (Move.LOOK_UP, True)
    play.approve()
    assert (play.states(), play.order.current.refunded_minor) == ({"R-1": "done"}, 1_000)


@pytest.mark.parametrize(
    ("before", "move"),
    [
        (timedelta(0), Move.PERFORM),
        (NEW - SKEW, Move.PERFORM),
        (NEW - SKEW + timedelta(seconds=1), Move.LOOK_UP),
        (-SKEW, Move.PERFORM),
    ],
)
def test_a_new_one_is_sent_at_once_and_a_fast_clock_makes_no_old_one_new(before: timedelta, move: Move) -> None:
    play = Play()
    play.ask("R-1", 1_000, occurred_at=AT - before)
    assert moves(play)[0] is move
    asked_at = play.request("R-1").asked_at
    assert asked_at is not None
    assert asked_at <= play.request("R-1").noted_at


def test_one_that_waited_behind_another_is_looked_up_though_the_database_noted_it_now() -> None:
    play = Play()
    play.ask("R-1", 1_000, occurred_at=AT)
    play.ask("R-2", 1_000, occurred_at=LONG_AGO)
    play.approve("R-1")
    assert moves(play, "R-2") == (Move.LOOK_UP, True)


def test_each_next_try_of_it_is_looked_up_too() -> None:
    play = Play()
    play.ask("R-1", 1_000, occurred_at=LONG_AGO)
    play.approve(amount_minor=400)
    assert (play.call().try_number, *moves(play)) == (2, Move.LOOK_UP, True)


def test_one_that_a_second_person_approves_two_days_later_is_looked_up() -> None:
    play = Play(rules={"four_eyes_minor": LIMIT})
    play.ask("R-1", 1_000, occurred_at=AT)
    play.at = later(2 * 86_400)
    decision = approve(play.order, "R-1", Person("bob", "payments"), play.context())
    assert not isinstance(decision, No)
    play.take(decision)
    assert play.call().state is S.UNKNOWN


def test_of_a_request_from_before_this_was_kept_the_time_counts_when_it_was_noted() -> None:
    old = request(noted_at=LONG_AGO, state=RequestState.APPROVAL)
    play = Play(order=paid(requests=(old,)), rules={"four_eyes_minor": LIMIT})
    decision = approve(play.order, "R-1", Person("bob", "payments"), play.context())
    assert not isinstance(decision, No)
    play.take(decision)
    assert play.call().state is S.UNKNOWN


@pytest.mark.parametrize(("asked_at", "state"), [(LONG_AGO, S.UNKNOWN), (AT, S.OPEN)])
def test_a_cancel_asked_for_long_ago_looks_its_refund_up_first(asked_at: Any, state: OperationState) -> None:
    event = builders.order_cancel_requested(occurred_at=asked_at)
    decision = cancel_order.plan(paid(paid_at=AT), event, replace(context(), causation_id=EventId(event.event_id)))
    assert decision.order is not None
    (call,) = [o for o in decision.order.operations if o.kind is K.REFUND]
    assert call.state is state


@pytest.mark.parametrize(
    ("elsewhere", "asked_at", "state"),
    [(True, LONG_AGO, S.UNKNOWN), (True, AT, S.OPEN), (False, LONG_AGO, S.OPEN)],
)
def test_units_are_not_put_back_twice_elsewhere_and_our_own_stock_is_restored_with_us(
    *, elsewhere: bool, asked_at: Any, state: OperationState
) -> None:
    event = builders.refund_requested(occurred_at=asked_at, lines=(Item(sku="SKU-1", quantity=1),))
    decision = _plan(paid(holds=(hold(state=HoldState.SOLD),)), event, RULES_OF[elsewhere])
    (call,) = [o for o in decision.operations if o.kind is K.RESTOCK]
    assert call.state is state


RULES_OF: Final = {True: replace(RULES, inventory_elsewhere=True), False: RULES}


def _plan(order: Order, event: Any, rules: Rules) -> Order:
    after = refund_payment.plan(order, event, replace(context(), rules=rules)).order
    assert after is not None
    return after


@pytest.mark.parametrize("state", [S.PENDING, S.APPROVED])
def test_the_key_of_what_a_cancel_gives_back_does_not_depend_on_a_refund_on_request(state: OperationState) -> None:
    """The restore may find that one ended before, and must look the same call up."""
    asked = operation(K.REFUND, for_request="R-1", state=state, amount_minor=1_000)
    assert next_number(paid(operations=(asked,)), captured(), K.REFUND) == 1


def test_a_refund_that_a_person_has_sent_again_is_looked_up_first() -> None:
    """They may have said so before, in what a restore has lost: then it was made under this very key."""
    play = Play()
    play.ask("R-1", 1_000, occurred_at=AT)
    play.answer(Unknown("no answer"))
    play.at = later(RULES.unknown_give_up_s + 1)
    play.answer(Unknown("no answer"))
    assert play.rule(Word.NOT_EXECUTED) is None
    call = play.call()
    assert (call.try_number, call.opened_at, call.state) == (2, play.at, S.UNKNOWN)
    assert may_send_again(call, play.at, RULES)
