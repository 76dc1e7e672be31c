"""Refunds on request: each once by its id, in order, never more than is kept; and the ways out of trouble."""

import pytest

from consumers.gateway_told import ROWS
from consumers.order_cancel_requested import cancel_order
from domain.failure_codes import FailureCode
from domain.hearing import ForeignRefund, Hearing, hear
from domain.news import RefundFailure
from domain.operation import OperationKind, OperationState, idempotency_key, operation_id
from domain.order import HoldState, Status
from domain.outcome import Approved, Declined, NotFound, Pending, ReturnedElsewhere, Unknown
from domain.pending import AT_OTHERS
from domain.requests import REQUESTS_MAX, RequestState
from domain.retries import retry_refusal
from domain.ruling import Word
from domain.told import take_back_refund
from domain.values import replace
from schemas import events as e
from schemas.rejection import Reason
from tests.domain.asked_refunds import SETTLES, Play, paid
from tests.domain.builders import ORDER_ID, TOTAL, captured, context, hold, later, operation, order, request
from tests.domain.told import news, refund
from tests.schemas import builders

K = OperationKind
S = Status
REFUSED = Declined(FailureCode.GATEWAY_REFUSED, "generic_decline", "pi_1")
DISPUTED = Declined(FailureCode.GATEWAY_REFUSED, "charge_disputed", "pi_1")


# Asked and made


def test_a_part_is_refunded_and_the_order_stays_paid() -> None:
    play = Play()
    assert play.ask("R-1", 1_000) is None
    call = play.call()
    assert (call.kind, call.amount_minor, call.for_request, call.reaction) == (K.REFUND, 1_000, "R-1", "refund_payment")
    assert call.transaction_id == "pi_1"
    play.approve()
    assert (play.order.status, play.order.current.refunded_minor) == (S.PAID_AND_CONFIRMED, 1_000)
    assert play.told(e.PaymentRefunded, "amount_minor", "request_id", "refund_id") == [(1_000, "R-1", "re_R-1_1")]
    notices = play.told(e.CustomerNotificationRequested, "kind", "amount_minor", "money")
    assert notices == [(e.NotificationKind.REFUNDED, 1_000, e.MoneyState.RETURNED)]
    assert play.states() == {"R-1": "done"}
    assert (play.request("R-1").taken_minor, play.request("R-1").returned_minor) == (1_000, 1_000)


def test_without_an_amount_all_that_is_kept_when_it_is_taken_goes_back() -> None:
    play = Play()
    play.ask("R-1", 1_000)
    play.ask("R-2")
    play.approve()
    assert play.call().amount_minor == TOTAL - 1_000
    play.approve()
    assert play.order.current.kept_minor == 0
    assert play.order.status is S.PAID_AND_CONFIRMED
    play.ask("R-3")
    assert play.states() == {"R-1": "done", "R-2": "done", "R-3": "EXCEEDS_KEPT"}


def test_racing_requests_are_taken_in_the_order_of_their_arrival_and_never_for_more_than_is_kept() -> None:
    play = Play()
    for request_id, amount in (("R-1", 2_000), ("R-2", 1_500), ("R-3", 1_000), ("R-4", 81), ("R-5", 80)):
        play.ask(request_id, amount)
    assert [o.for_request for o in play.order.operations] == ["R-1"]
    play.approve()
    assert play.states() == {"R-1": "done", "R-2": "EXCEEDS_KEPT", "R-3": "taken", "R-4": "waiting", "R-5": "waiting"}
    play.approve()
    assert play.states()["R-4"] == "EXCEEDS_KEPT"
    play.approve()
    assert play.order.current.kept_minor == 0
    assert play.told(e.RefundRefused, "request_id") == ["R-2", "R-4"]


def test_one_request_is_taken_once_however_often_it_comes_and_other_content_is_a_conflict() -> None:
    play = Play()
    assert [play.ask("R-1", 1_000), play.ask("R-1", 1_000)] == [None, None]
    play.approve()
    assert play.ask("R-1", 1_000) is None
    assert play.ask("R-1", 1_001) is Reason.CONFLICT
    assert play.ask("R-1", 1_000, reason="another") is Reason.CONFLICT
    assert play.order.current.refunded_minor == 1_000
    assert len(play.order.requests) == 1


def test_a_pending_refund_blocks_nothing_and_counts_as_returned() -> None:
    play = Play()
    play.ask("R-1", 2_000)
    play.answer(Pending("re_1", "pi_1"))
    play.ask("R-2", 1_081)
    play.ask("R-3", 1_000)
    play.ask("R-4")
    assert play.states() == {"R-1": "taken", "R-2": "EXCEEDS_KEPT", "R-3": "taken", "R-4": "waiting"}
    play.approve("R-3")
    assert play.call("R-4").amount_minor == 80
    play.approve("R-4")
    assert play.told(e.PaymentRefunded, "request_id", "amount_minor") == [("R-3", 1_000), ("R-4", 80)]
    play.approve("R-1")
    assert play.told(e.PaymentRefunded, "request_id", "amount_minor")[-1] == ("R-1", 2_000)
    assert play.order.current.kept_minor == 0
    assert play.states() == {"R-1": "done", "R-2": "EXCEEDS_KEPT", "R-3": "done", "R-4": "done"}


def test_what_a_refund_moved_is_told_exactly_while_another_fails_meanwhile() -> None:
    play = Play()
    play.ask("R-1", 2_000)
    play.answer(Pending("re_1", "pi_1"))
    play.ask("R-2", 1_000)
    play.answer(REFUSED, "R-1")
    play.approve("R-2")
    assert play.told(e.PaymentRefunded, "request_id", "amount_minor") == [("R-2", 1_000)]
    assert (play.order.status, play.order.review_reason) == (S.MANUAL_REVIEW, "refund_failed")
    assert play.states() == {"R-1": "taken", "R-2": "done"}


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (S.PAYMENT_FAILED, "NOT_PAID"),
        (S.CANCELLED, "CANCELLED"),
        (S.MANUAL_REVIEW, "IN_REVIEW"),
        *((status, None) for status in (S.CONFIRMED, S.ACTION_REQUIRED, S.PAYMENT_AUTHORIZED, S.ITEMS_RESERVED)),
    ],
)
def test_a_refund_of_an_order_that_is_not_paid_is_refused_or_waits_for_how_it_ends(
    status: Status, why: str | None
) -> None:
    reviewed = S.PAID_AND_CONFIRMED if status is S.MANUAL_REVIEW else None
    play = Play(replace(paid(), status=status, reviewed=reviewed))
    play.ask("R-1", 1_000)
    assert play.states() == {"R-1": why or "waiting"}
    assert play.told(e.RefundRefused, "reason", "customer_id") == ([(why, "customer-1")] if why else [])
    assert play.order.operations == ()


def test_a_refund_that_waits_for_the_capture_is_taken_when_the_order_is_paid_and_refused_when_it_fails() -> None:
    confirm = operation(K.CONFIRM, reaction="capture_payment", amount_minor=0)
    waiting = order(
        S.ITEMS_RESERVED, captured(), holds=(hold(pinned=True),), operations=(confirm,), requests=(request(),)
    )
    play = Play(waiting)
    (call,) = play.order.operations
    play.take(SETTLES[call.reaction](play.order, call, Approved(), play.context()))
    assert [type(event).__name__ for event in play.events] == ["PaidAndConfirmed"]
    assert (play.order.status, play.call().amount_minor) == (S.PAID_AND_CONFIRMED, 1_000)


def test_a_disputed_payment_is_not_refunded_though_enough_is_kept() -> None:
    play = Play(replace(paid(), disputed=True))
    play.ask("R-1", 1_000)
    assert play.states() == {"R-1": "DISPUTED"}


def test_a_payment_that_was_disputed_meanwhile_is_not_refunded_and_the_order_stays_paid() -> None:
    play = Play()
    for request_id in ("R-1", "R-2"):
        play.ask(request_id, 1_000)
    play.answer(DISPUTED)
    assert play.states() == {"R-1": "DISPUTED", "R-2": "taken"}
    play.answer(DISPUTED)
    assert play.told(e.RefundRefused, "request_id", "reason") == [("R-1", "DISPUTED"), ("R-2", "DISPUTED")]
    assert (play.order.status, play.order.current.kept_minor) == (S.PAID_AND_CONFIRMED, TOTAL)
    assert play.told(e.PaymentReviewRequired, "reason") == []


def test_a_dispute_that_is_known_when_a_refund_is_refused_explains_it() -> None:
    play = Play()
    play.ask("R-1", 1_000)
    play.order = replace(play.order, disputed=True)
    play.answer(REFUSED)
    assert (play.states(), play.order.status) == ({"R-1": "DISPUTED"}, S.PAID_AND_CONFIRMED)


@pytest.mark.parametrize(
    ("amount", "lines", "ends"), [(1, 0, "EXCEEDS_KEPT"), (None, 1, "done"), (None, 0, "EXCEEDS_KEPT")]
)
def test_of_an_order_that_cost_nothing_only_goods_come_back(amount: int | None, lines: int, ends: str) -> None:
    free = replace(captured(), authorized_minor=0, captured_minor=0, transaction_id=None)
    play = Play(replace(paid(), total_minor=0).with_attempt(free))
    play.ask("R-1", amount, lines=(e.Item(sku="SKU-1", quantity=1),) * lines)
    assert play.states() == {"R-1": ends}
    assert play.order.operations == ()


def test_an_order_takes_no_more_requests_than_it_can_be_loaded_with() -> None:
    many = tuple(request(f"R-{n}", n, state=RequestState.REFUSED) for n in range(1, REQUESTS_MAX + 1))
    play = Play(replace(paid(), requests=many))
    assert play.ask("R-201", 1_000) is Reason.ILLEGAL_TRANSITION
    assert len(play.order.requests) == REQUESTS_MAX


# Goods


def item(sku: str, quantity: int) -> e.Item:
    return e.Item(sku=sku, quantity=quantity)


def test_the_lines_that_are_named_go_back_into_stock_and_never_more_than_were_sold() -> None:
    play = Play()
    play.ask("R-1", 100, lines=(item("SKU-1", 1), item("SKU-2", 1)))
    (restocked,) = play.told(e.ItemsRestocked, "lines")
    assert [(line.sku, line.quantity) for line in restocked] == [("SKU-1", 1), ("SKU-2", 1)]
    assert play.states() == {"R-1": "taken"}
    play.approve()
    play.ask("R-2", 100, lines=(item("SKU-1", 1), item("SKU-1", 1)))
    play.ask("R-3", 100, lines=(item("SKU-2", 1),))
    play.ask("R-4", 100, lines=(item("SKU-9", 1),))
    play.ask("R-5", 100, lines=(item("SKU-1", 1),))
    play.approve()
    ends = {"R-1": "done", "R-2": "EXCEEDS_SOLD", "R-3": "EXCEEDS_SOLD", "R-4": "EXCEEDS_SOLD", "R-5": "done"}
    assert play.states() == ends
    assert play.told(e.ItemsRestocked, "request_id") == ["R-1", "R-5"]


def test_a_refund_that_is_refused_brings_no_goods_back() -> None:
    play = Play()
    play.ask("R-1", TOTAL + 1, lines=(item("SKU-1", 2),))
    play.ask("R-2", 100, lines=(item("SKU-1", 2),))
    assert play.told(e.ItemsRestocked, "request_id") == ["R-2"]


def test_goods_that_came_back_stay_back_though_the_money_could_not_be_given() -> None:
    play = Play()
    play.ask("R-1", 100, lines=(item("SKU-1", 2),))
    play.answer(REFUSED)
    play.order = replace(play.order, disputed=True)
    assert play.rule(Word.NOT_EXECUTED) is None
    assert play.states() == {"R-1": "DISPUTED"}
    play.order = replace(play.order, disputed=False)
    play.ask("R-2", 100, lines=(item("SKU-1", 1),))
    assert play.states()["R-2"] == "EXCEEDS_SOLD"
    assert play.order.holds[0].state is HoldState.SOLD


# Trouble


def test_a_refusal_comes_to_a_person_and_what_waits_behind_it_is_refused() -> None:
    play = Play()
    play.ask("R-1", 1_000)
    play.ask("R-2", 500)
    play.answer(REFUSED)
    assert (play.order.status, play.order.reviewed, play.order.review_reason) == (
        S.MANUAL_REVIEW,
        S.PAID_AND_CONFIRMED,
        "refund_failed",
    )
    assert play.alarms == ["review_refund_failed"]
    assert play.states() == {"R-1": "taken", "R-2": "IN_REVIEW"}


def test_a_person_has_it_sent_again_under_a_new_key_and_the_order_is_paid_again() -> None:
    play = Play()
    play.ask("R-1", 1_000)
    first = play.call()
    play.answer(REFUSED)
    assert play.rule(Word.NOT_EXECUTED) is None
    again = play.call()
    assert (again.try_number, again.amount_minor, again.due_at) == (2, 1_000, context().at)
    assert again.operation_id != first.operation_id
    play.approve()
    assert (play.order.status, play.order.review_reason, play.states()) == (S.PAID_AND_CONFIRMED, None, {"R-1": "done"})


def test_a_person_has_paid_it_by_other_means_and_only_that_amount_is_booked() -> None:
    play = Play()
    play.ask("R-1", 1_000)
    play.answer(REFUSED)
    assert play.rule(Word.EXECUTED) is not None
    assert play.rule(Word.EXECUTED, "outside:transfer 4711") is None
    assert (play.order.status, play.order.current.refunded_minor) == (S.PAID_AND_CONFIRMED, 1_000)
    assert play.told(e.PaymentRefunded, "refund_id", "request_id") == [("outside:transfer 4711", "R-1")]
    assert play.states() == {"R-1": "done"}


@pytest.mark.parametrize("word", Word)
def test_an_unknown_outcome_is_settled_by_either_word(word: Word) -> None:
    play = Play(rules={"unknown_give_up_s": 0})
    play.ask("R-1", 1_000)
    play.answer(Unknown("time-out"))
    assert play.order.status is S.PAID_AND_CONFIRMED
    play.at = later(60)
    play.answer(Unknown("time-out"))
    assert (play.order.status, play.order.review_reason) == (S.MANUAL_REVIEW, "refund_unknown")
    assert play.rule(word, "re_9" if word is Word.EXECUTED else None) is None
    if word is Word.NOT_EXECUTED:
        play.approve()
    assert (play.order.status, play.states()) == (S.PAID_AND_CONFIRMED, {"R-1": "done"})


def test_a_review_of_one_refund_is_not_ended_by_the_success_of_another() -> None:
    play = Play()
    for request_id in ("R-1", "R-2", "R-3"):
        play.ask(request_id, 500)
        play.answer(Pending(f"re_{request_id}", "pi_1"), request_id)
    play.answer(REFUSED, "R-1")
    play.approve("R-2")
    assert (play.order.status, play.states()["R-2"]) == (S.MANUAL_REVIEW, "done")
    play.answer(REFUSED, "R-3")
    assert play.rule(Word.EXECUTED, "outside:one") is None
    assert (play.order.status, play.order.review_reason) == (S.MANUAL_REVIEW, "refund_failed")
    assert play.rule(Word.EXECUTED, "outside:another") is None
    assert play.order.status is S.PAID_AND_CONFIRMED
    assert set(play.states().values()) == {"done"}
    assert play.order.current.refunded_minor == 1_500


def test_while_the_resent_refund_is_under_way_a_ruling_is_refused() -> None:
    play = Play()
    play.ask("R-1", 500)
    play.answer(REFUSED)
    play.rule(Word.NOT_EXECUTED)
    assert "under way" in (play.rule(Word.EXECUTED, "outside:one") or "")
    play.answer(Pending("re_2", "pi_1"))
    assert "under way" in (play.rule(Word.NOT_EXECUTED) or "")
    play.approve()
    assert play.order.status is S.PAID_AND_CONFIRMED


def test_a_refund_that_fails_after_it_succeeded_is_told_with_its_request_and_comes_to_a_person() -> None:
    play = Play()
    play.ask("R-1", 1_000)
    play.ask("R-2", 500)
    play.approve()
    play.approve()
    (call,) = [o for o in play.history.values() if o.for_request == "R-1"]
    failure = RefundFailure(ORDER_ID, str(call.operation_id), "re_R-1_1", 1_000, "lost_or_stolen_card")
    play.take(take_back_refund(replace(play.order, operations=tuple(play.history.values())), failure, context()))
    assert play.told(e.PaymentRefundFailed, "request_id", "amount_minor") == [("R-1", 1_000)]
    assert (play.order.status, play.order.current.refunded_minor) == (S.MANUAL_REVIEW, 500)
    assert play.states() == {"R-1": "taken", "R-2": "done"}
    assert play.rule(Word.NOT_EXECUTED) is None
    assert (play.call().for_request, play.call().try_number, play.call().amount_minor) == ("R-1", 2, 1_000)
    play.approve()
    assert (play.order.status, play.order.current.refunded_minor) == (S.PAID_AND_CONFIRMED, 1_500)


# Others give money back


def test_money_that_others_gave_back_is_booked_as_theirs_and_the_request_is_refused() -> None:
    play = Play()
    play.ask("R-1", 2_000)
    play.answer(ReturnedElsewhere(1_500, "re_9"))
    assert play.told(e.PaymentRefunded, "amount_minor", "request_id", "refund_id") == [(1_500, None, "re_9")]
    assert play.states() == {"R-1": "EXCEEDS_KEPT"}
    assert play.order.current.kept_minor == TOTAL - 1_500


def test_all_that_is_kept_is_less_after_others_gave_money_back() -> None:
    play = Play()
    play.ask("R-1")
    play.answer(ReturnedElsewhere(1_500, "re_9"))
    assert (play.call().amount_minor, play.call().try_number) == (TOTAL - 1_500, 2)
    play.approve()
    assert (play.order.current.kept_minor, play.states()) == (0, {"R-1": "done"})


def test_what_came_back_in_all_is_not_read_while_a_refund_of_ours_may_be_in_it() -> None:
    play = Play()
    play.ask("R-1", 1_000)
    play.answer(Pending("re_1", "pi_1"))
    play.ask("R-2", 2_000)
    play.answer(ReturnedElsewhere(1_500, "re_9"), "R-2")
    assert (play.order.current.refunded_minor, play.call("R-2").detail) == (0, AT_OTHERS)
    play.approve("R-1")
    play.answer(ReturnedElsewhere(1_500, "re_9"), "R-2")
    told = play.told(e.PaymentRefunded, "request_id", "amount_minor")
    assert told == [("R-1", 1_000), (None, 500)]
    assert play.states() == {"R-1": "done", "R-2": "EXCEEDS_KEPT"}


def test_a_refusal_that_nothing_explains_comes_to_a_person() -> None:
    play = Play(paid().with_attempt(captured(refunded_minor=500)))
    play.ask("R-1", 1_000)
    play.answer(ReturnedElsewhere(500, "re_9"))
    assert (play.order.status, play.told(e.PaymentRefunded, "amount_minor")) == (S.MANUAL_REVIEW, [])


def test_ours_is_sent_anew_once_the_refund_of_others_came_to_nothing() -> None:
    play = Play()
    play.ask("R-1", 2_000)
    play.answer(Pending(None, "pi_1", AT_OTHERS))
    play.ask("R-2", 1_000)
    play.answer(NotFound(), "R-1")
    assert play.states() == {"R-1": "waiting", "R-2": "taken"}, "one call at a time"
    play.approve("R-2")
    assert (play.call("R-1").try_number, play.call("R-1").amount_minor) == (2, 2_000)
    play.approve("R-1")
    assert set(play.states().values()) == {"done"}


def test_a_part_that_was_refunded_is_told_and_the_rest_is_sent() -> None:
    play = Play()
    play.ask("R-1", 1_000)
    play.approve(amount_minor=400)
    assert (play.call().amount_minor, play.call().try_number) == (600, 2)
    play.approve()
    assert play.told(e.PaymentRefunded, "amount_minor") == [400, 600]
    assert (play.states(), play.order.current.refunded_minor) == ({"R-1": "done"}, 1_000)


# Keys, retries


def test_no_two_keys_are_equal_whatever_ids_are_given() -> None:
    odd = ("1:refund:1", "R", "", "R:1", "x" * 64, "1:1", "payments-refund:", "é" * 64)
    orders = ("o", "o:1", "o:1:refund", "1:o", "1:1:o", "y" * 64)
    keys = [
        idempotency_key(order_id, attempt, K.REFUND, number, for_request)  # type: ignore[arg-type]
        for order_id in orders
        for for_request in (None, *odd)
        for attempt in (1, 11)
        for number in (1, 11, 111)
    ]
    assert len(keys) == len(set(keys))
    assert max(map(len, keys)) < 255
    assert all(key.isascii() for key in keys)


def test_keys_and_ids_of_operations_that_nobody_asked_for_stay_as_they_were() -> None:
    assert idempotency_key(ORDER_ID, 1, K.REFUND, 2) == "payments:order-1:1:refund:2"
    assert str(operation_id(ORDER_ID, 1, K.REFUND, 2)) == "87598a9b-08d8-5d6f-8367-a9dc47a494a6"


def test_a_retry_still_waits_for_a_pending_refund() -> None:
    refund = operation(K.REFUND, state=OperationState.PENDING)
    failed = order(S.PAYMENT_FAILED, captured(), operations=(refund,), retryable=True, retry_until=later(60))
    event = builders.payment_retry_requested()
    assert not failed.busy()
    assert retry_refusal(failed, event, context()) == "in_progress"
    assert retry_refusal(replace(failed, operations=()), event, context()) is None


def test_what_waits_for_a_second_person_is_refused_once_nothing_is_kept_that_it_could_give_back() -> None:
    limit = {"four_eyes_minor": {"EUR": 2_000}}
    play = Play(rules=limit)
    play.ask("R-1", 2_500)
    play.ask("R-2", 1_000)
    play.ask("R-3", 1_000)
    assert play.states() == {"R-1": "approval", "R-2": "taken", "R-3": "waiting"}
    play.approve("R-2")
    play.approve("R-3")
    play.rules = {}
    play.ask("R-4", None)
    assert play.states()["R-1"] == "approval", "what is on its way back may still fail"
    play.approve("R-4")
    assert play.states()["R-1"] == "EXCEEDS_KEPT"
    assert play.told(e.RefundRefused, "request_id", "reason") == [("R-1", "EXCEEDS_KEPT")]

    other = Play(rules=limit)
    other.ask("R-1", 2_500)
    foreign = refund(amount_minor=TOTAL)
    fact = ForeignRefund(foreign, news(foreign))
    decision = hear(ROWS, Hearing(other.order, fact, other.context(), other.order.current))
    assert decision is not None
    other.take(decision)
    assert other.states() == {"R-1": "EXCEEDS_KEPT"}

    third = Play(rules=limit)
    third.ask("R-1", 2_500)
    third.rules = {}
    asked = builders.order_cancel_requested()
    third.take(cancel_order.plan(third.order, asked, third.context()))
    third.approve()
    assert (third.order.status, third.states()["R-1"]) == (S.CANCELLED, "CANCELLED")


def test_the_goods_of_a_paid_order_are_restocked_once_refunds_have_brought_all_of_them_back() -> None:
    play = Play()
    for name, sku, units, state in (("R-1", "SKU-1", 2, HoldState.SOLD), ("R-2", "SKU-2", 1, HoldState.RESTOCKED)):
        play.ask(name, 100, lines=(e.Item(sku=sku, quantity=units),))
        play.approve(name)
        assert [hold.state for hold in play.order.holds] == [state]
    assert play.order.status is S.PAID_AND_CONFIRMED
    play.ask("R-3", 100, lines=(e.Item(sku="SKU-1", quantity=1),))
    assert play.states()["R-3"] == "EXCEEDS_SOLD"
