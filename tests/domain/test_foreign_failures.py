"""Refunds of somebody else that fail, or are named for ours, beside others: the books end as the gateway's."""

import pytest

from domain.closing import IN_BOOKS
from domain.news import SeenRefund
from domain.operation import OperationKind, OperationState
from domain.order import Status
from domain.outcome import ReturnedElsewhere
from domain.ruling import Word
from domain.values import replace
from schemas import events as e
from tests.domain.builders import TOTAL, authorized, captured, hold, operation, order
from tests.domain.told import news, of, refund
from tests.domain.trouble import REFUSED, Trouble

A = refund("re_a", 1_000)
B = refund("re_b", 2_500)


def failed(one: SeenRefund) -> SeenRefund:
    return replace(one, state="failed")


def pending(one: SeenRefund) -> SeenRefund:
    return replace(one, state="pending")


def net_of_events(play: Trouble) -> int:
    back: int = sum(play.told(e.PaymentRefunded, "amount_minor"))
    lost: int = sum(play.told(e.PaymentRefundFailed, "amount_minor"))
    return back - lost


def test_a_failure_is_not_taken_off_a_sum_that_had_no_more_of_it() -> None:
    """A is booked and fails; before that is heard, a call of ours finds B alone, and books what the two differ by."""
    play = Trouble()
    assert play.hear(A, news(A))
    play.ask("R-1", 2_000)
    play.answer(ReturnedElsewhere(B.amount_minor, B.refund_id))
    assert play.order.current.refunded_minor == B.amount_minor

    now = news(failed(A), B)
    for _ in range(2):
        assert play.hear(failed(A), now)
        assert play.hear(B, now)

    assert play.order.current.refunded_minor == net_of_events(play) == B.amount_minor
    assert play.told(e.PaymentRefundFailed, "refund_id") == ["re_a"]


@pytest.mark.parametrize("amount", [1_000, 2_500])
def test_one_is_booked_whole_though_another_failed_at_the_same_time(amount: int) -> None:
    """The older one was pending, and succeeds when the newer one, which is booked, fails. What waits is heard again."""
    play = Trouble()
    older = refund("re_b", amount)
    assert play.hear(A, news(pending(older), A))

    now = news(older, failed(A))
    waiting = [one for one in now.refunds if not play.hear(one, now)]
    assert all(play.hear(one, now) for one in waiting)

    assert play.told(e.PaymentRefunded, "refund_id", "amount_minor")[-1] == ("re_b", amount)
    assert play.order.current.refunded_minor == net_of_events(play) == amount


def test_an_answer_from_before_a_call_found_more_takes_nothing_off() -> None:
    """When the gateway was asked, B was pending. Since then it has succeeded, and a call of ours has found it."""
    play = Trouble()
    before = news(failed(A), pending(B))
    play.ask("R-1", 2_000)
    play.answer(ReturnedElsewhere(B.amount_minor, B.refund_id))

    assert not play.hear(failed(A), before), "the gateway is asked again"
    assert play.hear(failed(A), news(failed(A), B))

    assert play.told(e.PaymentRefundFailed, "refund_id") == []
    assert play.order.current.refunded_minor == net_of_events(play) == B.amount_minor


def test_an_answer_from_before_somebody_elses_refund_failed_books_no_other_twice() -> None:
    """C is booked by its row; a call of ours found the sum of C, A and B, and has the id of B alone. Then C fails."""
    play = Trouble()
    a, b, c = refund("re_a", 100), refund("re_b", 200), refund("re_c", 300)
    assert play.hear(c, news(c))
    play.ask("R-1", TOTAL - 500)
    play.answer(ReturnedElsewhere(600, "re_b"))
    before, after = news(c, a, b), news(failed(c), a, b)
    assert play.hear(failed(c), after)
    assert play.order.current.refunded_minor == 300

    assert not play.hear(a, before), "the gateway is asked again"
    assert play.hear(a, after)

    assert play.order.current.refunded_minor == net_of_events(play) == 300


@pytest.mark.parametrize("state", ["succeeded", "pending"])
def test_a_refund_of_an_earlier_try_that_a_person_named_and_that_fails_later_comes_to_a_person(state: str) -> None:
    play = Trouble()
    play.ask("R-1", 500)
    first = play.call()
    play.answer(REFUSED, "R-1")
    made = SeenRefund("re_1", str(first.operation_id), state, 500, "EUR")  # type: ignore[arg-type]
    assert play.rule(Word.EXECUTED, "re_1", seen=(news(made),)) is None
    assert play.states() == {"R-1": "done"}

    assert play.fail_later(replace(first, reference="re_1"), news(failed(made)))

    assert (play.order.status, play.order.review_reason) == (Status.MANUAL_REVIEW, "refund_failed")
    assert play.order.current.refunded_minor == net_of_events(play) == 0
    assert play.rule(Word.NOT_EXECUTED) is None
    assert (play.call().kind, play.call().amount_minor) == (OperationKind.REFUND, 500)


@pytest.mark.parametrize("given", [TOTAL, 1_000])
def test_one_of_money_whose_capture_has_no_answer_yet_is_not_taken_for_known(given: int) -> None:
    """The answer of the capture may be from before it: then the order would be paid, and nobody hear of it again."""
    capture = operation(OperationKind.CAPTURE, reaction="capture_payment")
    known = order(Status.ITEMS_RESERVED, authorized(), holds=(hold(pinned=True),), operations=(capture,))

    assert of(known, refund("re_9", given)) is None, "it waits"

    settled = order(Status.PAID_AND_CONFIRMED, captured())
    decision = of(settled, refund("re_9", given))
    assert decision is not None
    assert decision.order is not None
    assert decision.order.current.refunded_minor == given


@pytest.mark.parametrize("is_asked", [False, True], ids=["at once", "by a word"])
def test_a_cancelled_order_of_which_all_is_back_is_never_failed_by_a_review(*, is_asked: bool) -> None:
    """Its own refund fails, but somebody else has given back as much, and a call of ours had met that sum."""
    play = Trouble()
    play.cancel()
    play.approve_cancel()
    if is_asked:
        play.order = replace(
            play.order, status=Status.MANUAL_REVIEW, reviewed=Status.CANCELLED, review_reason="refund_failed"
        )
        assert play.rule(Word.NOT_EXECUTED) is None
    else:
        refunds = [o for o in play.history.values() if o.kind is OperationKind.REFUND]
        (done,) = refunds
        met = replace(
            operation(OperationKind.REFUND, try_number=2, reaction="cancel_order"),
            state=OperationState.DECLINED,
            detail=IN_BOOKS,
            reference="re_9",
        )
        play.history[met.operation_id.int] = met
        gone = SeenRefund(done.reference or "", str(done.operation_id), "failed", TOTAL, "EUR")
        assert play.fail_later(done, news(gone, refund("re_9", TOTAL)))

    assert (play.order.status, play.order.current.kept_minor) == (Status.CANCELLED, 0)
    assert play.told(e.PaymentFailed, "attempt") == []
