"""An operator's word is held against what the gateway has: amount, currency, state, whose it is."""

from typing import Any

import pytest

from consumers.adapters.gateway.references import could_name
from domain.decision import Decision
from domain.news import RefundWord, SeenRefund, TransactionNews
from domain.operation import Operation, OperationKind, OperationState
from domain.order import Order, Status
from domain.outcome import Pending, Unknown
from domain.resolving import resolve
from domain.ruling import No, Ruling, Word
from domain.values import replace
from tests.domain.asked_refunds import SETTLES
from tests.domain.builders import AT, ORDER_ID, TOTAL, attempt, authorized, context, hold, later, operation, order
from tests.domain.told import news, refund
from tests.domain.trouble import OUTSIDE, REFUSED, Trouble

K = OperationKind


def two_refused() -> Trouble:
    """Two refunds on request were accepted, and the gateway has refused both: 10.00 and 5.00 are owed."""
    play = Trouble()
    for request_id, amount in (("R-1", 1_000), ("R-2", 500)):
        play.ask(request_id, amount)
        play.answer(Pending(f"re_{request_id}", "pi_1"), request_id)
    for request_id in ("R-1", "R-2"):
        play.answer(REFUSED, request_id)
    return play


@pytest.mark.parametrize(("made_good", "open_still", "amount"), [("R-1", "R-2", 1_000), ("R-2", "R-1", 500)])
def test_the_refund_of_one_request_never_settles_another_and_nothing_goes_back_twice(
    made_good: str, open_still: str, amount: int
) -> None:
    play = two_refused()
    seen = news(refund("re_9", amount))

    assert play.rule(Word.EXECUTED, "re_9", seen=(seen,)) is None

    assert play.states() == {made_good: "done", open_still: "taken"}
    assert play.request(made_good).returned_minor == play.order.current.refunded_minor == amount
    assert play.rule(Word.NOT_EXECUTED) is None
    assert (play.call().for_request, play.call().amount_minor) == (open_still, 1_500 - amount)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (refund("re_9", 999), "re_9 gives back 9.99 EUR of 5.00 EUR"),
        (refund("re_9", 500, currency="USD"), "re_9 gives back 5.00 USD of 5.00 EUR"),
        (refund("re_9", 500, state="failed"), "re_9 has failed"),
        (refund("re_8", 500), "re_9 gave back nothing of pi_1"),
    ],
)
def test_a_refund_that_is_not_what_is_owed_is_refused_with_what_to_do(found: SeenRefund, why: str) -> None:
    play = two_refused()
    before = play.order

    refused = play.rule(Word.EXECUTED, "re_9", seen=(news(found),)) or ""

    assert why in refused
    assert play.order == before
    if found.refund_id == "re_9":
        assert "--as not-executed has that one sent again" in refused


def test_a_refund_that_a_call_of_ours_made_for_something_else_is_refused() -> None:
    play = Trouble()
    play.ask("R-0", 500)
    other = play.call()
    play.answer(Pending(None, "pi_1"), "R-0")
    play.ask("R-1", 500)
    play.answer(REFUSED, "R-1")
    made = refund("re_0", 500, operation_id=str(other.operation_id))

    assert "that of another operation" in (play.rule(Word.EXECUTED, "re_0", seen=(news(made),)) or "")


def test_what_an_earlier_try_of_the_same_refund_made_after_all_is_taken() -> None:
    play = Trouble()
    play.ask("R-1", 500)
    first = play.call()
    play.answer(REFUSED, "R-1")
    made = refund("re_1", 500, operation_id=str(first.operation_id))

    assert play.rule(Word.EXECUTED, "re_1", seen=(news(made),)) is None

    assert play.states() == {"R-1": "done"}


def test_money_that_the_books_have_as_part_of_a_sum_is_not_named_for_another_refund() -> None:
    """A call met the sum of two refunds of somebody else, and kept the id of the newest alone."""
    play = Trouble()
    play.ask("R-1", 500)
    play.answer(REFUSED)
    play.order = play.order.with_attempt(replace(play.order.current, refunded_minor=800))
    seen = news(refund("re_8", 500), refund("re_9", 300))

    assert "our books have what refund re_8 gave back" in (play.rule(Word.EXECUTED, "re_8", seen=(seen,)) or "")


def test_two_refunds_of_an_order_can_both_be_named_while_they_are_pending() -> None:
    play = two_refused()
    pending = (refund("re_8", 1_000, state="pending"), refund("re_9", 500, state="pending"))
    assert play.rule(Word.EXECUTED, "re_8", seen=(news(*pending),)) is None
    seen = news(pending[0], replace(pending[1], state="succeeded"))

    assert play.rule(Word.EXECUTED, "re_9", seen=(seen,)) is None

    assert (play.order.status, play.order.current.refunded_minor) == (Status.PAID_AND_CONFIRMED, 1_500)


def test_one_payment_past_the_gateway_stands_for_one_refund_however_often_the_command_is_repeated() -> None:
    play = two_refused()
    assert play.rule(Word.EXECUTED, OUTSIDE) is None

    refused = play.rule(Word.EXECUTED, OUTSIDE) or ""

    assert "add to it what tells the two apart" in refused
    assert play.order.current.refunded_minor == 500
    assert play.rule(Word.EXECUTED, f"{OUTSIDE}, the other one") is None
    assert play.order.current.refunded_minor == 1_500


@pytest.mark.parametrize(("state", "says"), [("succeeded", "say --as executed"), ("pending", "cancelled there first")])
def test_a_refund_that_the_gateway_has_made_is_not_sent_again_under_a_key_that_it_does_not_know(
    state: RefundWord, says: str
) -> None:
    """After a day the gateway has forgotten the first key, and would make the refund twice."""
    play = Trouble()
    play.ask("R-1", 500)
    call = play.call()
    play.answer(Unknown("time-out"))
    play.at = later(30 * 3_600)
    play.answer(Unknown("time-out"))
    assert play.order.review_reason == "refund_unknown"
    made = refund("re_1", 500, operation_id=str(call.operation_id), state=state)

    refused = play.rule(Word.NOT_EXECUTED, seen=(news(made),)) or ""

    assert "this call has made refund re_1" in refused
    assert says in refused
    assert play.rule(Word.EXECUTED, "re_1", seen=(news(made),)) is None
    assert (play.states(), play.order.current.refunded_minor) == ({"R-1": "done"}, 500)


# Captures, voids and authorizations


def under(call: Operation, reviewed: Status, **overrides: Any) -> Order:
    waiting = replace(call, due_at=None, state=OperationState.UNKNOWN, unknown_since=AT)
    money = attempt() if call.kind is K.AUTHORIZE else authorized()
    fields = {"reviewed": reviewed, "review_reason": f"{call.kind}_unknown", "operations": (waiting,)}
    return order(Status.MANUAL_REVIEW, money, **(fields | overrides))


def rule(known: Order, seen: TransactionNews | None, reference: str | None = None) -> Decision | No:
    ruling = Ruling(Word.EXECUTED, "saw it", "alice", reference, seen=() if seen is None else (seen,))
    return resolve(known, known.operations, ruling, SETTLES, could_name, context())


CAPTURE = operation(K.CAPTURE, reaction="capture_payment")
VOID = operation(K.VOID, reaction="return_payment")
AUTHORIZE = operation(K.AUTHORIZE)


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (news(held_minor=TOTAL, captured_minor=0), "0.00 EUR of 30.80 EUR is captured: --as not-executed"),
        (news(captured_minor=3_000), "30.00 EUR of 30.80 EUR is captured"),
        (news(currency="USD"), "30.80 USD of 30.80 EUR is captured"),
        (news(refund(amount_minor=80)), "is captured, and 0.80 EUR of it went back"),
        (news(refund(amount_minor=80, state="pending")), "is captured, and 0.80 EUR of it went back"),
    ],
)
def test_an_order_is_not_paid_by_a_capture_that_the_gateway_does_not_have_whole(
    seen: TransactionNews, why: str
) -> None:
    known = under(CAPTURE, Status.ITEMS_RESERVED, holds=(hold(pinned=True),))
    found = rule(known, seen)
    assert isinstance(found, No)
    assert why in found.why
    for true in (news(), None):
        decision = rule(known, true)
        assert not isinstance(decision, No)
        assert decision.order is not None
        assert decision.order.current.captured_minor == TOTAL


@pytest.mark.parametrize("seen", [news(held_minor=TOTAL, captured_minor=0), news(), news(captured_minor=0)])
def test_money_is_not_free_by_a_void_while_the_gateway_has_the_transaction_uncancelled(seen: TransactionNews) -> None:
    known = under(VOID, Status.RESERVATION_FAILED)
    found = rule(known, seen)
    assert isinstance(found, No)
    assert "is not cancelled: --as not-executed" in found.why
    decision = rule(known, news(captured_minor=0, cancelled=True))
    assert not isinstance(decision, No)
    assert [event.TYPE for event in decision.events][:1] == ["PaymentVoided"]


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (news(order_id="order-2"), "is of order order-2 at the gateway"),
        (news(order_id=None, operation_id=None), "names no order of ours"),
        (news(operation_id="another"), "has the id of another operation"),
        (news(transaction_id="pi_2"), "names no order of ours"),
    ],
)
def test_a_payment_that_this_authorize_did_not_make_is_never_given_back_for_it(seen: TransactionNews, why: str) -> None:
    known = under(AUTHORIZE, Status.CONFIRMED)
    found = rule(known, seen, "pi_1")
    assert isinstance(found, No)
    assert why in found.why
    assert not isinstance(rule(known, news(captured_minor=0, held_minor=TOTAL), "pi_1"), No)
    assert news().order_id == ORDER_ID


def given_up(state: str, amount: int = 500) -> tuple[Trouble, TransactionNews]:
    """Return an order whose refund was pending for so long that it was given up, and what the gateway has of it."""
    play = Trouble()
    play.ask("R-1", 500)
    play.answer(Pending("re_1", "pi_1"), "R-1")
    call = replace(play.call(), due_at=None)
    known = replace(play.order, status=Status.MANUAL_REVIEW, reviewed=Status.PAID_AND_CONFIRMED)
    play.order = replace(known, review_reason="refund_overdue").with_operation(call)
    play.at = later(play.context().rules.key_life_s + 1)
    return play, news(refund("re_1", amount, operation_id=str(call.operation_id), state=state))


@pytest.mark.parametrize("state", ["succeeded", "pending"])
def test_a_refund_that_the_gateway_has_is_not_made_twice_by_a_word_that_it_was_not_executed(state: str) -> None:
    play, seen = given_up(state)

    assert "say --as executed --reference re_1" in (play.rule(Word.NOT_EXECUTED, seen=(seen,)) or "")

    assert play.rule(Word.EXECUTED, "re_1", seen=(seen,)) is None
    assert (play.order.status, play.order.current.refunded_minor) == (Status.PAID_AND_CONFIRMED, 500)


@pytest.mark.parametrize(("state", "amount"), [("failed", 500), ("succeeded", 400)])
def test_a_refund_that_cannot_be_booked_as_executed_is_never_refused_both_words(state: str, amount: int) -> None:
    play, seen = given_up(state, amount)

    assert play.rule(Word.EXECUTED, "re_1", seen=(seen,)) is not None

    assert play.rule(Word.NOT_EXECUTED, seen=(seen,)) is None
    assert play.call().try_number == 2
