"""A copy of a refund call was under way for long: the gateway executes it when the books have the call as ended.

And the opposite: the books have a refund that the gateway never made. Neither may stay so unheard.
"""

from datetime import timedelta

import pytest

from domain.gateway_sums import NOT_THERE
from domain.hearing import with_closed
from domain.news import LAG_MAX, RefundFailure, SeenRefund, TransactionNews
from domain.operation import Operation
from domain.order import Status
from domain.outcome import Declined, NotFound, Pending, ReturnedElsewhere
from domain.pending import AT_OTHERS
from domain.ruling import Word
from domain.told import transaction_to_ask
from domain.ways_out import SAID_BEFORE
from schemas import events as e
from tests.domain.builders import AT, ORDER_ID, TOTAL
from tests.domain.told import news, refund
from tests.domain.trouble import DISPUTED, OUTSIDE, REFUSED, Trouble

LONG_AFTER = AT + LAG_MAX
"""Calls of a play end at AT. An answer of this time cannot be older than their end."""


def copy_of(call: Operation, name: str = "re_late", state: str = "succeeded") -> SeenRefund:
    return SeenRefund(name, str(call.operation_id), state, call.amount_minor, "EUR")  # type: ignore[arg-type]


def given_back_elsewhere(amount_minor: int | None = TOTAL) -> tuple[Trouble, Operation]:
    """Have a refund of ours refused because somebody else gave 1,500 back, and theirs fail later."""
    play = Trouble()
    play.ask("R-1", amount_minor)
    call = play.call()
    play.answer(ReturnedElsewhere(1_500, "re_9"))
    return play, call


def test_a_late_copy_of_a_refund_that_others_had_made_needless_is_booked_and_an_operator_is_called() -> None:
    play, call = given_back_elsewhere()
    assert play.states() == {"R-1": "EXCEEDS_KEPT"}
    failed = refund("re_9", 1_500, state="failed")
    assert play.listen(news(failed))
    assert play.order.current.refunded_minor == 0

    both = news(failed, copy_of(call))
    assert play.listen(both)

    assert play.told(e.PaymentRefunded, "refund_id", "amount_minor", "request_id") == [
        ("re_9", 1_500, None),
        ("re_late", TOTAL, None),
    ]
    assert play.order.current.refunded_minor == TOTAL
    assert play.order.status is Status.PAID_AND_CONFIRMED
    assert play.alarms == ["foreign_refund_failed", "refund_made_late"]
    events, alarms = len(play.events), len(play.alarms)
    assert play.listen(both)
    assert (len(play.events), len(play.alarms)) == (events, alarms), "it is booked once"


def test_a_late_copy_that_a_sum_has_already_is_not_booked_twice() -> None:
    play, call = given_back_elsewhere(1_600)
    play.ask("R-2", 1_000)
    play.answer(ReturnedElsewhere(TOTAL, "re_9"), "R-2")
    assert play.order.current.refunded_minor == TOTAL
    assert play.listen(news(refund("re_9", 1_480), copy_of(call)))
    assert play.order.current.refunded_minor == TOTAL
    assert play.alarms == []


def test_a_late_copy_of_a_call_that_was_sent_again_as_the_next_try_is_booked_beside_it() -> None:
    """Somebody else's refund was pending, and came to nothing; the first call was thought refused for it."""
    play = Trouble()
    play.ask("R-1", 1_000)
    first = play.call()
    play.answer(Pending(None, "pi_1", AT_OTHERS))
    play.answer(NotFound())
    second = play.call()
    assert second.operation_id != first.operation_id
    play.approve()

    ours = SeenRefund("re_R-1_2", str(second.operation_id), "succeeded", 1_000, "EUR")
    assert play.listen(news(ours, copy_of(first)))

    assert play.order.current.refunded_minor == 2_000
    assert play.request("R-1").returned_minor == 1_000, "nobody asked for the second"
    assert play.alarms == ["refund_made_late"]


def test_a_late_copy_of_a_refused_call_is_booked_once_the_answer_cannot_be_from_before_the_refusal() -> None:
    play = Trouble()
    play.ask("R-1", 1_000)
    call = play.call()
    play.answer(DISPUTED)
    assert play.order.status is Status.PAID_AND_CONFIRMED
    said = news(copy_of(call))

    assert not play.listen(said, LONG_AFTER - timedelta(seconds=1)), "it may have failed at once: asked again"
    assert play.listen(said, LONG_AFTER)

    assert (play.order.current.refunded_minor, play.alarms) == (1_000, ["refund_made_late"])
    assert play.listen(news(copy_of(call), refund("re_9", 500)), LONG_AFTER), "and it holds up no other refund"
    assert play.order.current.refunded_minor == 1_500


def test_a_late_copy_of_a_call_in_whose_place_a_person_named_another_refund_is_booked_too() -> None:
    play = Trouble()
    play.ask("R-1", 1_000)
    call = play.call()
    play.answer(REFUSED)
    theirs = refund("re_9", 1_000)
    assert play.rule(Word.EXECUTED, "re_9", seen=(news(theirs),)) is None
    assert play.order.current.refunded_minor == 1_000

    assert play.listen(news(theirs, copy_of(call)), LONG_AFTER)

    assert (play.order.current.refunded_minor, play.alarms[-1]) == (2_000, "refund_made_late")


def test_a_late_copy_in_the_review_of_its_own_call_waits_for_the_person_who_may_name_it() -> None:
    play = Trouble()
    play.ask("R-1", 1_000)
    call = play.call()
    play.answer(REFUSED)
    said = news(copy_of(call))

    assert not play.listen(said, LONG_AFTER)
    assert "it would be made twice" in (play.rule(Word.NOT_EXECUTED, seen=(said,), asked_at=LONG_AFTER) or "")
    assert play.rule(Word.EXECUTED, "re_late", seen=(said,), asked_at=LONG_AFTER) is None

    assert play.listen(said, LONG_AFTER)
    assert (play.order.current.refunded_minor, play.order.status) == (1_000, Status.PAID_AND_CONFIRMED)
    assert play.request("R-1").returned_minor == 1_000
    assert play.listen(news(copy_of(call), refund("re_9", 500))), "what is booked by its id is no difference of time"
    assert play.order.current.refunded_minor == 1_500


def test_a_refund_that_was_pending_for_long_and_given_up_is_booked_when_it_succeeds_after_all() -> None:
    play = Trouble()
    play.ask("R-1", 1_000)
    first = play.call()
    play.answer(Pending("re_1", "pi_1"))
    play.at = AT + timedelta(days=60)
    play.answer(Pending("re_1", "pi_1"))
    assert play.order.review_reason == "refund_overdue"
    assert play.rule(Word.NOT_EXECUTED) is None, "nobody could ask the gateway"
    second = play.call()
    play.approve()

    assert play.listen(news(copy_of(first, "re_1"), copy_of(second, "re_R-1_2")))

    assert (play.order.current.refunded_minor, play.alarms[-1]) == (2_000, "refund_made_late")


def test_a_late_copy_that_nobody_has_heard_of_keeps_no_person_from_naming_another_refund() -> None:
    play = Trouble()
    play.ask("R-1", 1_000)
    call = play.call()
    play.answer(DISPUTED)
    play.ask("R-2", 500)
    play.answer(REFUSED, "R-2")
    seen = (news(copy_of(call), refund("re_9", 500)),)
    assert play.rule(Word.EXECUTED, "re_9", seen=seen, asked_at=LONG_AFTER - timedelta(seconds=1)) == SAID_BEFORE
    assert play.rule(Word.EXECUTED, "re_9", seen=seen, asked_at=LONG_AFTER) is None


def test_a_late_copy_that_fails_after_all_is_taken_back_and_nobody_is_owed_anything() -> None:
    play, call = given_back_elsewhere()
    theirs = refund("re_9", 1_500, state="failed")
    play.listen(news(theirs))
    assert play.listen(news(theirs, copy_of(call)))
    gone = news(theirs, copy_of(call, state="failed"))

    known = with_closed(play.order, list(play.history.values()))
    listed = RefundFailure(ORDER_ID, str(call.operation_id), "re_late", call.amount_minor, "lost")
    assert transaction_to_ask(known, listed) == "pi_1", "told by the list alone, the gateway is asked"
    assert play.listen(gone)

    assert (play.order.current.refunded_minor, play.order.status) == (0, Status.PAID_AND_CONFIRMED)
    assert play.alarms[-1] == "foreign_refund_failed"
    assert play.listen(gone)
    assert play.told(e.PaymentRefundFailed, "refund_id") == ["re_9", "re_late"]


def test_more_than_was_captured_is_never_booked_and_waits_until_a_person_hears() -> None:
    """The gateway made it, though the money had gone back past the gateway."""
    play = Trouble()
    play.ask("R-1")
    call = play.call()
    play.answer(REFUSED)
    assert play.rule(Word.EXECUTED, OUTSIDE) is None
    assert not play.listen(news(copy_of(call)), LONG_AFTER)
    assert play.order.current.refunded_minor == TOTAL


def wrongly_ruled() -> Trouble:
    """Have a person book a refused refund by an id that nobody could look up, for the gateway was not asked."""
    play = Trouble()
    play.ask("R-1", 1_000)
    play.answer(REFUSED)
    assert play.rule(Word.EXECUTED, "re_wrong") is None
    assert play.order.status is Status.PAID_AND_CONFIRMED
    return play


def test_a_refund_that_the_gateway_never_had_is_taken_back_and_a_person_is_asked_again() -> None:
    play = wrongly_ruled()
    assert not play.listen(news(refund("re_9", 500)), LONG_AFTER - timedelta(seconds=1)), "a list may lag"
    assert play.order.current.refunded_minor == 1_000

    assert play.listen(news(refund("re_9", 500)), LONG_AFTER)

    assert play.told(e.PaymentRefundFailed, "refund_id", "amount_minor", "reason") == [("re_wrong", 1_000, NOT_THERE)]
    assert (play.order.status, play.order.review_reason) == (Status.MANUAL_REVIEW, "refund_failed")
    assert play.alarms[-1] == "review_refund_failed"
    assert play.order.current.refunded_minor == 500, "what the gateway has is booked beside it"
    assert play.rule(Word.NOT_EXECUTED) is None
    play.approve()
    assert play.order.current.refunded_minor == 1_500


def test_a_wrong_id_keeps_no_other_ruling_from_being_held_against_the_gateway() -> None:
    play = wrongly_ruled()
    play.ask("R-2", 500)
    play.answer(REFUSED, "R-2")
    seen = (news(refund("re_9", 500)),)

    assert play.rule(Word.EXECUTED, "re_9", seen=seen, asked_at=LONG_AFTER - timedelta(seconds=1)) == SAID_BEFORE
    assert play.rule(Word.EXECUTED, "re_9", seen=seen, asked_at=LONG_AFTER) is None


def test_a_refund_that_was_made_under_another_id_than_a_person_named_is_not_missing() -> None:
    play = Trouble()
    play.ask("R-1", 1_000)
    call = play.call()
    play.answer(REFUSED)
    assert play.rule(Word.EXECUTED, "re_wrong") is None
    named = next(o for o in play.history.values() if o.reference == "re_wrong")
    assert named.operation_id != call.operation_id

    assert play.listen(news(copy_of(named, "re_right")), LONG_AFTER)

    assert (play.order.current.refunded_minor, play.order.status) == (1_000, Status.PAID_AND_CONFIRMED)
    assert play.alarms == ["review_refund_failed"], "from the refusal"


@pytest.mark.parametrize("reference", [OUTSIDE, None])
def test_what_has_no_id_of_the_gateway_is_never_missing(reference: str | None) -> None:
    play = Trouble()
    play.ask("R-1", 1_000)
    if reference is None:
        play.approve(reference=None)
    else:
        play.answer(REFUSED)
        assert play.rule(Word.EXECUTED, reference) is None
    play.listen(news(), LONG_AFTER)
    assert (play.order.current.refunded_minor, play.told(e.PaymentRefundFailed, "refund_id")) == (1_000, [])


def test_a_refund_of_somebody_else_that_the_gateway_loses_is_taken_back_as_one_that_failed() -> None:
    play = Trouble()
    assert play.listen(news(refund("re_9", 500)))
    lost: TransactionNews = news()
    assert play.listen(lost, LONG_AFTER - timedelta(seconds=1))
    assert play.order.current.refunded_minor == 500
    assert play.listen(lost, LONG_AFTER)
    assert (play.order.current.refunded_minor, play.alarms) == (0, ["foreign_refund_failed"])


def test_an_answer_from_before_a_failure_does_not_count_the_failed_refund_as_that_of_others() -> None:
    """A call of ours had found 80 of others; then our own 3,000 fail, and the answer still has them."""
    play = Trouble()
    play.ask("R-1")
    play.answer(ReturnedElsewhere(80, "re_9"))
    second = play.call()
    play.approve()
    before = news(refund("re_9", 80), copy_of(second, "re_R-1_2"))

    assert not play.fail_later(second, before), "the gateway is asked again"
    assert play.fail_later(second, news(refund("re_9", 80), copy_of(second, "re_R-1_2", "failed")))

    assert play.order.current.refunded_minor == 80
    assert play.told(e.PaymentRefunded, "refund_id", "amount_minor") == [("re_9", 80), ("re_R-1_2", 3_000)]


def test_a_decline_that_was_not_refused_for_others_leaves_nothing_to_take_back() -> None:
    play = Trouble()
    play.ask("R-1", 1_000)
    call = play.call()
    play.answer(Declined(REFUSED.code))
    assert play.listen(news(copy_of(call, state="failed")), LONG_AFTER)
    assert play.told(e.PaymentRefundFailed, "refund_id") == []
