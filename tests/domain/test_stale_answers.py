"""The gateway is asked without a lock: refunds of ours go on between its answer and the booking of it."""

from datetime import timedelta

import pytest

from domain.news import LAG_MAX, SeenRefund
from domain.outcome import Pending, ReturnedElsewhere
from domain.ruling import Word
from domain.ways_out import SAID_BEFORE
from schemas import events as e
from tests.domain.builders import AT, TOTAL
from tests.domain.told import news
from tests.domain.trouble import DISPUTED, OUTSIDE, REFUSED, Trouble

DAYS_LATER = AT + timedelta(days=10)
"""A bank sends a refund back long after it had succeeded."""


def theirs(amount_minor: int, name: str = "re_9") -> SeenRefund:
    return SeenRefund(name, None, "succeeded", amount_minor, "EUR")


def of_ours(play: Trouble, state: str = "succeeded") -> list[SeenRefund]:
    """Return our approved refunds, as the gateway has them."""
    made = [o for o in play.history.values() if o.kind == "refund" and o.reference is not None]
    return [SeenRefund(o.reference or "", str(o.operation_id), state, o.amount_minor, "EUR") for o in made]  # type: ignore[arg-type]


@pytest.mark.parametrize("state", ["succeeded", "pending"])
@pytest.mark.parametrize("given", [1_500, 1_000, 1])
def test_a_refund_of_somebody_else_is_booked_whole_though_ours_succeeded_after_the_gateway_was_asked(
    given: int, state: str
) -> None:
    """1,000: the books had as much more as the gateway, and it was taken for one that they have already."""
    play = Trouble()
    asked_before = news(theirs(given))
    play.ask("R-1", 1_000)
    play.approve()

    assert not play.hear(theirs(given), asked_before), "the gateway is asked again"
    assert play.hear(theirs(given), news(theirs(given), *of_ours(play, state)))

    assert play.told(e.PaymentRefunded, "refund_id", "amount_minor")[-1] == ("re_9", given)
    assert play.order.current.refunded_minor == 1_000 + given


def test_a_failed_refund_of_somebody_else_takes_nothing_off_because_ours_succeeded_meanwhile() -> None:
    play = Trouble()
    failed = SeenRefund("re_9", None, "failed", 500, "EUR")
    play.ask("R-1", 1_000)
    play.approve()

    assert not play.hear(failed, news(failed))
    assert play.hear(failed, news(failed, *of_ours(play)))

    assert (play.told(e.PaymentRefundFailed, "refund_id"), play.order.current.refunded_minor) == ([], 1_000)


def test_an_answer_from_before_ours_failed_is_asked_for_again() -> None:
    """Else what others gave back, found by a call of ours and without a row of its own, would be booked twice."""
    play = Trouble()
    play.ask("R-1", 1_000)
    first = play.call()
    play.approve()
    play.ask("R-2", TOTAL - 1_000)
    play.answer(ReturnedElsewhere(1_300, "re_8"))
    before = news(*of_ours(play)[:1], theirs(100, "re_7"), theirs(200, "re_8"))
    failed = SeenRefund("re_R-1_1", str(first.operation_id), "failed", 1_000, "EUR")
    after = news(failed, theirs(100, "re_7"), theirs(200, "re_8"))
    assert play.fail_later(first, after)
    assert play.order.current.refunded_minor == 300

    assert not play.hear(theirs(100, "re_7"), before)
    assert play.hear(theirs(100, "re_7"), after)
    assert play.order.current.refunded_minor == 300


def test_an_answer_from_before_ours_failed_at_once_is_asked_for_again() -> None:
    """It succeeded there for a moment, and its call heard of the failure: it has no id of a refund."""
    play = Trouble()
    play.ask("R-1", 1_000)
    call = play.call()
    made = SeenRefund("re_1", str(call.operation_id), "succeeded", 1_000, "EUR")
    play.answer(REFUSED)

    assert not play.hear(theirs(300), news(made, theirs(300)))
    failed = SeenRefund("re_1", str(call.operation_id), "failed", 1_000, "EUR")
    assert play.hear(theirs(300), news(failed, theirs(300)))
    assert play.order.current.refunded_minor == 300


def test_what_a_call_finds_at_the_gateway_comes_on_top_of_what_went_back_past_it() -> None:
    play = Trouble()
    play.ask("R-1", 1_000)
    play.answer(REFUSED)
    assert play.rule(Word.EXECUTED, OUTSIDE) is None
    play.ask("R-2")
    assert play.call("R-2").amount_minor == TOTAL - 1_000

    play.answer(ReturnedElsewhere(1_002, "re_9"))

    assert play.told(e.PaymentRefunded, "refund_id", "amount_minor") == [(OUTSIDE, 1_000), ("re_9", 1_002)]
    assert play.call("R-2").amount_minor == TOTAL - 2_002
    play.approve("R-2")
    assert play.order.current.kept_minor == 0


@pytest.mark.parametrize("reference", [OUTSIDE, "re_9"])
def test_a_ruling_is_not_held_against_an_answer_from_before_another_refund_was_booked(reference: str) -> None:
    """Two refunds on request, one refused: while the operator looks, the other one succeeds."""
    play = Trouble()
    play.ask("R-1", 1_000)
    play.answer(Pending("re_1", "pi_1"), "R-1")
    play.ask("R-2", 500)
    play.answer(REFUSED, "R-2")
    others = theirs(500 if reference == "re_9" else 700)
    ours = SeenRefund("re_1", str(play.call("R-1").operation_id), "pending", 1_000, "EUR")
    before = news(ours, others)
    play.approve("R-1", reference="re_0")

    assert play.rule(Word.EXECUTED, reference, seen=(before,)) == SAID_BEFORE

    now = SeenRefund("re_0", ours.operation_id, "succeeded", 1_000, "EUR")
    assert play.rule(Word.EXECUTED, reference, seen=(news(now, others),)) is None
    assert play.order.current.refunded_minor == 1_500


def assert_waits_until_it_cannot_lag(play: Trouble, before: SeenRefund) -> None:
    """Hold that an answer from before the refund failed books nothing, as long as an answer may be that old."""
    back, alarms = play.order.current.refunded_minor, list(play.alarms)
    assert not play.listen(news(before), DAYS_LATER)
    assert not play.listen(news(before), DAYS_LATER + LAG_MAX - timedelta(seconds=1))
    assert (play.order.current.refunded_minor, play.alarms) == (back, alarms)
    assert play.listen(news(before), DAYS_LATER + LAG_MAX), "the doubt ends"
    assert play.order.current.refunded_minor == back + before.amount_minor


def test_a_refund_of_somebody_else_that_failed_days_later_is_not_booked_again_by_an_answer_from_before() -> None:
    play = Trouble()
    assert play.listen(news(theirs(500)), AT)
    play.at = DAYS_LATER
    assert play.listen(news(SeenRefund("re_9", None, "failed", 500, "EUR")), DAYS_LATER)
    assert play.order.current.refunded_minor == 0
    assert_waits_until_it_cannot_lag(play, theirs(500))


def test_a_refund_that_a_call_had_found_and_that_failed_later_is_not_booked_again_by_an_answer_from_before() -> None:
    play = Trouble()
    play.ask("R-1")
    play.answer(ReturnedElsewhere(1_500, "re_9"))
    play.answer(DISPUTED)
    play.at = DAYS_LATER
    assert play.listen(news(SeenRefund("re_9", None, "failed", 1_500, "EUR")), DAYS_LATER)
    assert play.order.current.refunded_minor == 0
    assert_waits_until_it_cannot_lag(play, theirs(1_500))


def test_a_refund_of_ours_that_failed_days_later_is_not_booked_as_a_late_copy_by_an_answer_from_before() -> None:
    play = Trouble()
    play.ask("R-1", 1_000)
    play.approve()
    (before,) = of_ours(play)
    (failed,) = of_ours(play, "failed")
    play.at = DAYS_LATER
    assert play.listen(news(failed), DAYS_LATER)
    assert play.rule(Word.NOT_EXECUTED) is None
    play.answer(DISPUTED)
    assert (play.order.current.refunded_minor, play.states()) == (0, {"R-1": "DISPUTED"})
    assert_waits_until_it_cannot_lag(play, before)
