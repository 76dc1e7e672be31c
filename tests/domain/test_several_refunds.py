"""Several refunds of one order in trouble at once, each a history that test_second_thoughts.py found."""

from datetime import timedelta

import pytest

from domain import told
from domain.gateway_sums import unbooked_minor
from domain.hearing import with_closed
from domain.news import RefundFailure, RefundWord, SeenRefund
from domain.operation import Operation, OperationKind, OperationState
from domain.order import Status
from domain.outcome import Approved, Declined, NotFound, Pending, ReturnedElsewhere, Unknown
from domain.paid_review import end_review
from domain.ruling import Word
from domain.told import transaction_to_ask
from domain.values import replace
from schemas import events as e
from tests.domain.asked_refunds import paid
from tests.domain.builders import TOTAL, captured, later, operation, order
from tests.domain.told import news
from tests.domain.trouble import DISPUTED, OUTSIDE, REFUSED, Trouble


def test_a_cancelled_order_stays_in_review_while_the_refund_of_its_cancel_is_owed() -> None:
    play = Trouble()
    play.ask("R-1", 1_000)
    play.answer(Pending("re_1", "pi_1"), "R-1")
    play.cancel()
    of_cancel = play.of_cancel()
    play.approve_cancel()
    play.fail_later(of_cancel)

    play.approve("R-1")

    assert (play.order.status, play.order.review_reason) == (Status.MANUAL_REVIEW, "refund_failed")
    assert play.rule(Word.NOT_EXECUTED) is None
    assert play.of_cancel().amount_minor == TOTAL - 1_000
    play.approve_cancel()
    assert (play.order.status, play.order.current.kept_minor) == (Status.CANCELLED, 0)


def test_no_try_of_a_refund_has_the_number_of_an_earlier_one() -> None:
    play = Trouble()
    play.ask("R-1", 80)
    play.answer(Unknown("time-out"), "R-1")
    play.at = play.context().at + timedelta(hours=30)
    play.answer(Unknown("time-out"), "R-1")
    assert play.order.review_reason == "refund_unknown"
    assert play.rule(Word.NOT_EXECUTED) is None
    assert play.call().try_number == 2
    play.answer(REFUSED, "R-1")

    assert play.rule(Word.NOT_EXECUTED) is None

    assert play.call().try_number == 3


def test_a_paid_order_does_not_give_back_what_a_refused_cancel_had_asked_for() -> None:
    play = Trouble()
    play.ask("R-1", 1_000)
    play.answer(Pending("re_1", "pi_1"), "R-1")
    play.cancel()
    play.answer_cancel(DISPUTED)
    assert play.states()["C-1"] == "DISPUTED"

    play.answer(REFUSED, "R-1")
    assert play.rule(Word.NOT_EXECUTED) is None

    assert (play.call().for_request, play.call().amount_minor) == ("R-1", 1_000)


def test_money_that_is_not_kept_is_not_paid_past_the_gateway() -> None:
    play = Trouble()
    play.ask("R-1", 1_000)
    play.answer(Pending("re_1", "pi_1"), "R-1")
    play.ask("R-2", None)
    play.approve("R-2")
    play.order = play.order.with_attempt(replace(play.order.current, refunded_minor=TOTAL))
    play.answer(REFUSED, "R-1")

    refused = play.rule(Word.EXECUTED, OUTSIDE)

    assert refused is not None
    assert "0 is kept" in refused
    assert play.rule(Word.NOT_EXECUTED) is None
    assert (play.states()["R-1"], play.order.status) == ("EXCEEDS_KEPT", Status.PAID_AND_CONFIRMED)


def test_a_refund_that_the_cancel_has_made_good_ends_with_it() -> None:
    play = Trouble()
    play.ask("R-1", 1_000)
    play.answer(Pending("re_1", "pi_1"), "R-1")
    play.cancel()
    play.answer(REFUSED, "R-1")

    play.approve_cancel()
    while play.order.status is not Status.CANCELLED:
        play.approve_cancel()

    assert play.states() == {"R-1": "CANCELLED", "C-1": "done"}
    assert play.told(e.RefundRefused, "request_id") == ["R-1"]
    assert play.order.current.kept_minor == 0


def test_the_review_of_a_refused_cancel_is_not_ended_by_another_refund() -> None:
    play = Trouble()
    play.ask("R-1", 80)
    play.answer(Pending("re_1", "pi_1"), "R-1")
    play.cancel()
    first = play.of_cancel().try_number
    play.answer_cancel(REFUSED)

    play.approve("R-1")

    assert (play.order.status, play.order.review_reason) == (Status.MANUAL_REVIEW, "refund_failed")
    assert play.rule(Word.NOT_EXECUTED) is None
    assert play.of_cancel().try_number == first + 1


def test_a_refund_of_a_cancelled_order_that_is_disputed_is_sent_again_or_ended_by_what_the_bank_took() -> None:
    play = Trouble()
    play.ask("R-1", 1_000)
    play.answer(Pending("re_1", "pi_1"), "R-1")
    play.cancel()
    play.approve_cancel()
    play.answer(DISPUTED, "R-1")
    play.order = replace(play.order, disputed=True)
    for number in (2, 3):
        assert (play.order.status, play.order.review_reason) == (Status.MANUAL_REVIEW, "refund_failed")
        assert play.rule(Word.NOT_EXECUTED) is None
        assert (play.call("R-1").try_number, play.told(e.RefundRefused, "reason")) == (number, [])
        play.answer(DISPUTED, "R-1")

    assert play.rule(Word.EXECUTED, "outside:dispute-dp_1-lost") is None

    assert (play.order.status, play.order.current.kept_minor) == (Status.CANCELLED, 0)
    assert play.states() == {"R-1": "done", "C-1": "done"}


@pytest.mark.parametrize(("lost", "found"), [(1_000, 2_500), (2_000, 2_500), (300, 2_900)])
def test_what_others_gave_back_is_not_taken_off_again_by_a_refund_of_ours_that_had_failed(
    lost: int, found: int
) -> None:
    """The sum that our second call met had no more of the first one, which the books had still."""
    play = Trouble()
    play.ask("R-1", lost)
    first = play.call()
    play.approve()
    play.ask("R-2", TOTAL - lost)
    play.answer(ReturnedElsewhere(found, "re_9"))
    assert play.states() == {"R-1": "done", "R-2": "EXCEEDS_KEPT"}
    failed = SeenRefund("re_R-1_1", str(first.operation_id), "failed", lost, "EUR")
    seen = news(failed, SeenRefund("re_9", None, "succeeded", found, "EUR"))

    assert not play.fail_later(first), "a list tells of it alone: the whole transaction is asked about"
    order = with_closed(play.order, list(play.history.values()))
    fact = RefundFailure(order.order_id, str(first.operation_id), "re_R-1_1", lost, "lost")
    assert transaction_to_ask(order, fact) == "pi_1"
    assert play.fail_later(first, seen)

    assert play.order.current.refunded_minor == found
    told = sum(play.told(e.PaymentRefunded, "amount_minor")) - sum(play.told(e.PaymentRefundFailed, "amount_minor"))
    assert told == found
    assert play.told(e.PaymentRefundFailed, "refund_id", "amount_minor") == [("re_R-1_1", lost)]
    assert play.told(e.PaymentRefunded, "refund_id")[-1] == "re_9"


def test_nothing_is_paid_past_the_gateway_before_the_books_have_what_others_gave_back_there() -> None:
    play = Trouble()
    play.ask("R-1", 1_000)
    play.answer(REFUSED)
    states: tuple[tuple[RefundWord, str], ...] = (
        ("succeeded", "has given 2500"),
        ("pending", "re_9 of somebody else (2500) is pending"),
    )
    for state, words in states:
        seen = news(SeenRefund("re_9", None, state, 2_500, "EUR"))
        assert words in (play.rule(Word.EXECUTED, OUTSIDE, seen=(seen,)) or "")
    assert play.order.current.refunded_minor == 0
    assert play.rule(Word.NOT_EXECUTED) is None, "the way out that the refusal names"
    play.answer(ReturnedElsewhere(2_500, "re_9"))
    assert (play.states(), play.order.status) == ({"R-1": "EXCEEDS_KEPT"}, Status.PAID_AND_CONFIRMED)

    play.ask("R-2", 500)
    play.answer(REFUSED)
    seen = news(SeenRefund("re_9", None, "succeeded", 2_500, "EUR"))
    assert play.rule(Word.EXECUTED, OUTSIDE, seen=(seen,)) is None, "the books have it"
    assert play.order.current.refunded_minor == 3_000


@pytest.mark.parametrize("state", ["succeeded", "pending"])
def test_money_goes_back_past_the_gateway_beside_a_refund_of_somebody_else_if_the_payment_has_room_for_both(
    state: RefundWord,
) -> None:
    play = Trouble()
    play.ask("R-1", 1_000)
    play.answer(REFUSED)

    assert play.rule(Word.EXECUTED, OUTSIDE, seen=(news(SeenRefund("re_9", None, state, 300, "EUR")),)) is None

    assert (play.states(), play.order.current.refunded_minor) == ({"R-1": "done"}, 1_000)


def test_a_refund_of_somebody_else_of_the_same_amount_is_named_as_the_money_or_told_apart_from_it() -> None:
    for reference, booked in (("re_9", 0), ("outside:transfer 7, besides re_9", 1_000)):
        play = Trouble()
        play.ask("R-1", 1_000)
        play.answer(REFUSED)
        seen = news(SeenRefund("re_9", None, "succeeded", 1_000, "EUR"))

        refused = play.rule(Word.EXECUTED, OUTSIDE, seen=(seen,)) or ""

        assert "--reference re_9;" in refused
        assert "not-executed" not in refused, "the gateway would make it, and the customer would have it twice"
        assert play.rule(Word.EXECUTED, reference, seen=(seen,)) is None
        order = with_closed(play.order, list(play.history.values()))
        assert unbooked_minor(order, order.current, seen) == booked, "what is not named is booked by itself"


def test_nobody_is_told_to_send_a_refund_again_that_the_gateway_has_room_for() -> None:
    play = Trouble()
    play.ask("R-0", 1_000)
    play.answer(REFUSED)
    assert play.rule(Word.EXECUTED, OUTSIDE) is None
    play.ask("R-1", 1_000)
    play.answer(REFUSED)
    seen = news(SeenRefund("re_9", None, "succeeded", 1_500, "EUR"))

    refused = play.rule(Word.EXECUTED, "outside:transfer 8", seen=(seen,)) or ""

    assert "wait until the books have it" in refused
    assert "Do not have the refund sent again" in refused


@pytest.mark.parametrize("refused", [REFUSED, DISPUTED])
def test_of_a_cancelled_order_refunds_are_sent_again_one_after_the_other(refused: Declined) -> None:
    """The one waited for somebody else's refund, and that came to nothing while the other was sent."""
    play = Trouble()
    for request_id, amount in (("R-1", 1_000), ("R-2", 500)):
        play.ask(request_id, amount)
        play.answer(Pending(f"re_{request_id}", "pi_1"), request_id)
    play.cancel()
    play.approve_cancel()
    play.order = replace(play.order, disputed=refused is DISPUTED)
    play.answer(refused, "R-1")
    assert play.rule(Word.NOT_EXECUTED) is None
    play.answer(ReturnedElsewhere(TOTAL - 500, "re_R-2"), "R-1")
    play.answer(refused, "R-2")
    assert play.rule(Word.NOT_EXECUTED) is None

    play.answer(NotFound(), "R-1")

    assert [(o.for_request, o.state) for o in play.order.operations] == [("R-2", OperationState.OPEN)]
    play.approve("R-2")
    assert play.call("R-1").amount_minor == 1_000
    play.approve("R-1")
    assert (play.order.status, play.order.current.kept_minor) == (Status.CANCELLED, 0)
    assert play.states() == {"R-1": "done", "R-2": "done", "C-1": "done"}


def test_a_refused_refund_of_a_disputed_order_ends_though_somebody_else_has_given_back_a_part() -> None:
    play = Trouble()
    play.ask("R-1", 1_000)
    play.answer(Pending("re_1", "pi_1"), "R-1")
    play.cancel()
    of_cancel = play.of_cancel()
    play.approve_cancel()
    play.answer(DISPUTED, "R-1")
    play.order = replace(play.order, disputed=True)
    made = SeenRefund(
        f"re_cancel_{of_cancel.try_number}", str(of_cancel.operation_id), "succeeded", TOTAL - 1_000, "EUR"
    )
    others = SeenRefund("re_9", None, "succeeded", 300, "EUR")
    seen = news(made, others)
    assert play.rule(Word.EXECUTED, OUTSIDE, seen=(seen,)) is not None

    assert play.hear(others, seen), "it is no longer waited with until the review ends"

    assert play.told(e.PaymentRefunded, "refund_id", "amount_minor")[-1] == ("re_9", 300)
    assert play.order.review_reason == "refund_failed"
    assert play.rule(Word.NOT_EXECUTED) is None
    assert play.call("R-1").amount_minor == 700, "of a cancelled order all that is left goes back"
    play.answer(DISPUTED, "R-1")
    assert play.rule(Word.EXECUTED, OUTSIDE, seen=(seen,)) is None
    assert (play.order.status, play.order.current.kept_minor) == (Status.CANCELLED, 0)
    assert play.states() == {"R-1": "done", "C-1": "done"}


def test_a_refund_of_somebody_else_that_may_be_the_money_under_review_is_left_to_the_person() -> None:
    play = Trouble()
    play.ask("R-1", 1_000)
    play.answer(REFUSED)
    others = SeenRefund("re_9", None, "succeeded", 1_000, "EUR")

    assert not play.hear(others, news(others)), "booked as another one it could not be named any more"

    assert play.rule(Word.EXECUTED, "re_9") is None
    assert play.hear(others, news(others)), "the books have it"
    assert (play.states(), play.order.current.refunded_minor) == ({"R-1": "done"}, 1_000)


def test_a_refund_of_somebody_else_that_stands_for_a_failed_one_waits_for_the_review_about_it() -> None:
    play = Trouble()
    play.ask("R-0", 1_000)
    first = play.call()
    play.approve()
    play.ask("R-1", 500)
    play.answer(REFUSED)
    failed = SeenRefund("re_R-0_1", str(first.operation_id), "failed", 1_000, "EUR")
    in_its_place = SeenRefund("re_9", None, "succeeded", 1_000, "EUR")
    seen = news(failed, in_its_place)
    assert not play.fail_later(first, seen)
    assert not play.hear(in_its_place, seen)

    assert play.rule(Word.NOT_EXECUTED) is None
    again = play.call("R-1")
    play.approve("R-1")
    seen = news(failed, in_its_place, SeenRefund("re_R-1_2", str(again.operation_id), "succeeded", 500, "EUR"))
    assert play.fail_later(first, seen)

    assert play.rule(Word.EXECUTED, "re_9", seen=(seen,)) is None
    assert (play.order.status, play.order.current.refunded_minor) == (Status.PAID_AND_CONFIRMED, 1_500)


def test_money_goes_back_past_the_gateway_while_the_failure_of_another_refund_is_still_to_be_heard() -> None:
    play = Trouble()
    play.ask("R-0", 2_500)
    first = play.call()
    play.approve()
    play.ask("R-1", 500)
    play.answer(REFUSED)
    failed = SeenRefund("re_R-0_1", str(first.operation_id), "failed", 2_500, "EUR")
    in_its_place = SeenRefund("re_9", None, "succeeded", 2_500, "EUR")
    seen = news(failed, in_its_place)

    assert play.rule(Word.EXECUTED, OUTSIDE, seen=(seen,)) is None
    assert play.fail_later(first, seen)
    assert play.rule(Word.EXECUTED, "re_9", seen=(seen,)) is None

    assert (play.order.status, play.order.current.refunded_minor) == (Status.PAID_AND_CONFIRMED, 3_000)


def test_what_somebody_gave_back_for_two_refused_refunds_at_once_is_booked_in_their_review() -> None:
    play = Trouble()
    for request_id, amount in (("R-1", 1_000), ("R-2", 500)):
        play.ask(request_id, amount)
        play.answer(Pending(f"re_{request_id}", "pi_1"), request_id)
    play.cancel()
    of_cancel = play.of_cancel()
    play.approve_cancel()
    play.answer(DISPUTED, "R-1")
    play.answer(DISPUTED, "R-2")
    play.order = replace(play.order, disputed=True)
    at_once = SeenRefund("re_9", None, "succeeded", 1_500, "EUR")
    made = SeenRefund(
        f"re_cancel_{of_cancel.try_number}", str(of_cancel.operation_id), "succeeded", TOTAL - 1_500, "EUR"
    )

    assert play.hear(at_once, news(made, at_once))
    for _ in range(2):
        if play.order.status is Status.MANUAL_REVIEW:
            assert play.rule(Word.NOT_EXECUTED) is None

    assert (play.order.status, play.order.current.kept_minor) == (Status.CANCELLED, 0)


def test_a_second_cancel_after_a_dispute_has_a_key_of_its_own() -> None:
    play = Trouble()
    play.cancel()
    play.answer_cancel(DISPUTED)

    play.cancel("C-2")

    assert play.of_cancel().try_number == 2


def test_the_refund_of_one_attempt_does_not_end_the_review_of_another() -> None:
    first = captured(token=None, refunded_minor=TOTAL, refund_id="re_1")
    second = captured(2, token=None)
    play = Trouble(order=order(Status.PAYMENT_FAILED, first, second, version=9))
    returned = refund(1, OperationState.DECLINED, "re_1")
    pending = refund(2, OperationState.PENDING, "re_2")
    late = play.order.with_attempt(replace(first, refunded_minor=0)).with_operation(pending)
    play.history = {o.operation_id.int: o for o in (returned, pending)}
    play.order = replace(
        late, status=Status.MANUAL_REVIEW, reviewed=Status.PAYMENT_FAILED, review_reason="refund_failed"
    )

    play.approve_cancel()

    assert (play.order.status, play.order.review_reason) == (Status.MANUAL_REVIEW, "refund_failed")
    assert play.rule(Word.NOT_EXECUTED) is None
    assert (play.of_cancel().attempt, play.of_cancel().amount_minor) == (1, TOTAL)


def test_what_an_operator_paid_past_the_gateway_is_not_in_the_sum_that_others_gave_back_there() -> None:
    """Else the cancel gives back the 0.80 of the bank transfer once more."""
    play = Trouble()
    play.ask("R-1", 80)
    play.answer(REFUSED)
    assert play.rule(Word.EXECUTED, OUTSIDE) is None
    play.cancel()

    play.answer_cancel(ReturnedElsewhere(547, "re_9"))

    assert play.order.current.refunded_minor == 547 + 80
    assert play.of_cancel().amount_minor == TOTAL - 547 - 80


def test_a_pending_refund_that_ends_behind_later_ones_opens_no_call_under_a_key_that_was_used() -> None:
    """The gateway would repeat the old answer, and the books would have money back that never moved."""
    play = Trouble()
    for request_id in ("R-1", "R-2"):
        play.ask(request_id, 1)
        play.answer(Pending(f"re_{request_id}", "pi_1"), request_id)
    play.cancel()
    play.answer(REFUSED, "R-1")
    first = play.of_cancel()
    play.settle(first, Pending("re_cancel", "pi_1"))
    second = next(o for o in play.order.operations if o.for_request is None and o.operation_id != first.operation_id)
    play.settle(second, Approved("pi_1", "re_rest", second.amount_minor))
    assert play.order.status is Status.CANCELLED
    play.answer(REFUSED, "R-2")

    play.settle(play.of_cancel(), Approved("pi_1", "re_cancel", first.amount_minor))

    third = play.of_cancel()
    assert len({first.operation_id, second.operation_id, third.operation_id}) == 3
    play.answer_cancel(Approved("pi_1", "re_last", third.amount_minor))
    assert (play.order.status, play.order.current.kept_minor) == (Status.CANCELLED, 0)


def test_what_a_ruling_opens_behind_it_has_a_key_of_its_own() -> None:
    play = Trouble()
    play.ask("R-1", 80)
    play.answer(Pending("re_1", "pi_1"))
    play.cancel()
    refused = play.of_cancel()
    play.answer_cancel(REFUSED)
    play.answer(REFUSED, "R-1")

    assert play.rule(Word.EXECUTED, OUTSIDE) is None

    assert play.rule(Word.NOT_EXECUTED) is None
    assert play.of_cancel().operation_id != refused.operation_id
    assert play.of_cancel().amount_minor == TOTAL - 80


def test_a_review_is_not_ended_by_goods_while_money_is_owed_beside_a_refund_that_is_sent_again() -> None:
    play = Trouble()
    play.ask("R-1", 80)
    first = play.call()
    play.approve()
    play.cancel()
    play.answer_cancel(Pending("re_cancel", "pi_1"))
    play.fail_later(first)
    play.answer_cancel(REFUSED)
    assert play.rule(Word.NOT_EXECUTED) is None
    assert play.call("R-1").amount_minor == 80

    ended = end_review(play.order)

    assert (ended.status, ended.review_reason) == (Status.MANUAL_REVIEW, "refund_failed")
    play.approve("R-1")
    assert play.rule(Word.NOT_EXECUTED) is None
    play.approve_cancel()
    assert (play.order.status, play.order.current.kept_minor) == (Status.CANCELLED, 0)


def in_two_parts() -> tuple[Trouble, Operation, Operation]:
    """Have a refund of 10.00 made in two parts, 4.00 and 6.00."""
    play = Trouble()
    play.ask("R-1", 1_000)
    first = play.call()
    play.approve(amount_minor=400)
    second = play.call()
    play.approve()
    assert play.states() == {"R-1": "done"}
    return play, first, second


def test_a_person_rules_on_the_part_that_failed_and_not_on_the_call_it_was_a_part_of() -> None:
    play, first, _ = in_two_parts()
    play.history[first.operation_id.int] = replace(play.history[first.operation_id.int], amount_minor=1_000)
    done = play.history[first.operation_id.int]
    fact = RefundFailure(play.order.order_id, str(done.operation_id), done.reference or "", 400, "lost")
    decision = told.take_back_refund(with_closed(play.order, [*play.history.values()]), fact, play.context())
    play.take(decision)
    others = SeenRefund("re_9", None, "succeeded", 400, "EUR")
    assert not play.hear(others, news(others)), "the person may name it as that money"

    assert play.rule(Word.EXECUTED, OUTSIDE) is None

    assert (play.request("R-1").returned_minor, play.order.current.refunded_minor) == (1_000, 1_000)


def test_of_two_parts_that_fail_each_is_made_good_by_itself() -> None:
    play, first, second = in_two_parts()
    assert play.fail_later(second)
    assert play.rule(Word.EXECUTED, OUTSIDE) is None
    done = play.history[first.operation_id.int]
    fact = RefundFailure(play.order.order_id, str(done.operation_id), done.reference or "", 400, "lost")
    play.take(told.take_back_refund(with_closed(play.order, [*play.history.values()]), fact, play.context()))

    assert play.rule(Word.EXECUTED, "outside:transfer 8") is None

    assert (play.request("R-1").returned_minor, play.order.current.refunded_minor) == (1_000, 1_000)


@pytest.mark.parametrize("cancels", [False, True])
def test_a_review_ends_by_itself_once_somebody_has_given_back_all_that_was_kept(*, cancels: bool) -> None:
    play = Trouble()
    play.ask("R-1", 1_000)
    play.answer(REFUSED)
    if cancels:
        play.cancel()
    all_of_it = SeenRefund("re_9", None, "succeeded", TOTAL, "EUR")

    assert play.hear(all_of_it, news(all_of_it))

    ends = Status.CANCELLED if cancels else Status.PAID_AND_CONFIRMED
    assert (play.order.status, play.order.review_reason, play.order.current.kept_minor) == (ends, None, 0)
    assert play.states() == {"R-1": "EXCEEDS_KEPT"} | ({"C-1": "done"} if cancels else {})
    assert play.told(e.RefundRefused, "request_id") == ["R-1"]
    assert not [o for o in play.order.operations if o.unfinished]


def test_the_review_about_an_older_attempt_of_a_paid_order_is_not_ended_by_a_refund_on_request() -> None:
    """The customer has paid twice: the refund of the first attempt failed after it had succeeded."""
    first = captured(token=None, refunded_minor=TOTAL, refund_id="re_1")
    play = Trouble(order=paid(attempts=(first, captured(2, token=None)), attempt=2, holds=()))
    returned = refund(1, OperationState.APPROVED, "re_1")
    play.history = {returned.operation_id.int: returned}
    play.ask("R-1", 80)
    play.answer(Pending("re_2", "pi_2"), "R-1")
    assert play.fail_later(returned)

    play.approve("R-1")

    assert (play.order.status, play.order.review_reason) == (Status.MANUAL_REVIEW, "refund_failed")
    assert play.rule(Word.NOT_EXECUTED) is None
    assert (play.call().attempt, play.call().amount_minor) == (1, TOTAL)
    play.approve_cancel()
    assert (play.order.status, play.order.attempts[0].kept_minor) == (Status.PAID_AND_CONFIRMED, 0)


def test_a_refund_that_fails_later_and_that_others_have_made_good_asks_nobody() -> None:
    play = Trouble()
    play.ask("R-1", 1_000)
    first = play.call()
    play.approve()
    play.cancel()
    of_cancel = play.of_cancel()
    play.approve_cancel()
    assert play.fail_later(first)
    assert play.rule(Word.NOT_EXECUTED) is None
    play.answer(ReturnedElsewhere(TOTAL, "re_9"), "R-1")
    assert (play.order.status, play.order.current.kept_minor) == (Status.CANCELLED, 0)
    gone = SeenRefund(f"re_cancel_{of_cancel.try_number}", str(of_cancel.operation_id), "failed", TOTAL - 1_000, "EUR")

    assert play.fail_later(of_cancel, news(gone, SeenRefund("re_9", None, "succeeded", TOTAL, "EUR")))

    assert (play.order.status, play.order.current.kept_minor) == (Status.CANCELLED, 0)
    back = sum(play.told(e.PaymentRefunded, "amount_minor")) - sum(play.told(e.PaymentRefundFailed, "amount_minor"))
    assert back == TOTAL
    assert len(play.told(e.PaymentReviewRequired, "reason")) == 1


@pytest.mark.parametrize("word", Word)
@pytest.mark.parametrize("over", [Status.PAID_AND_CONFIRMED, Status.CANCELLED, Status.PAYMENT_FAILED])
def test_a_review_without_a_question_ends_where_the_order_was_by_either_word(over: Status, word: Word) -> None:
    """A cancelled order must not be told as failed, and that another method may be tried."""
    play = Trouble()
    if over is Status.CANCELLED:
        play.cancel()
        play.approve_cancel()
    money = replace(play.order.current, refunded_minor=TOTAL)
    play.order = replace(
        play.order.with_attempt(money), status=Status.MANUAL_REVIEW, reviewed=over, review_reason="refund_failed"
    )
    play.events.clear()

    assert play.rule(word) is None

    assert (play.order.status, play.order.review_reason, play.order.retryable) == (over, None, False)
    assert play.events == []


def refund(attempt: int, state: OperationState, reference: str) -> Operation:
    """Build an automatic refund of an attempt."""
    built = operation(OperationKind.REFUND, attempt, state=state, reference=reference, due_at=later(0))
    return replace(built, reaction="capture_payment", transaction_id=f"pi_{attempt}")
