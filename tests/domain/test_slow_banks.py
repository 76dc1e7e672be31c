"""A payment that a bank processes for days: the order does not wait for ever, and money that comes late goes back."""

import pytest

from consumers.reactions import BY_NAME
from domain.decision import Decision
from domain.failure_codes import FailureCode
from domain.order import Order
from domain.outcome import (
    AlreadyCaptured,
    Approved,
    Declined,
    Lapsed,
    OtherAmount,
    Outcome,
    ReturnedElsewhere,
    TransactionMissing,
    Undecided,
    Unknown,
)
from domain.retries import retry_refusal
from domain.ruling import Word
from domain.values import replace
from tests.domain.asking import (
    LAST,
    MUST_ACT,
    OVERDUE,
    PROCESSING,
    O,
    S,
    answer,
    asked,
    become,
    begun,
    going_on,
    processed,
    voiding,
)
from tests.domain.builders import RULES, TOTAL, context, later
from tests.domain.facts import AUTHORIZED, FAILED, NOTICE, REFUNDED, VOIDED, after, facts, work
from tests.domain.test_belief import ruled
from tests.schemas import builders as events


def test_the_time_of_the_customer_does_not_count_while_their_bank_processes_the_payment() -> None:
    decision = answer(asked(), PROCESSING, 600)

    call = going_on(become(decision))
    assert (after(decision)[0], call.detail, call.unknown_since) == (S.ACTION_REQUIRED, "processing", later(600))
    late = answer(become(decision), PROCESSING, 600 + RULES.pending_hold_s)
    assert ([f["kind"] for f in facts(late)], after(late)[0]) == (["PAYMENT_DELAYED"], S.ACTION_REQUIRED)
    overdue = answer(become(decision), PROCESSING, 601 + RULES.pending_hold_s)
    assert after(overdue)[0] is S.PAYMENT_FAILED
    paid = answer(become(late), Approved("pi_1", None, TOTAL, captured=True), 600 + RULES.pending_hold_s)
    assert facts(paid) == [AUTHORIZED | {"captured": True}]


@pytest.mark.parametrize("word", Word)
def test_a_payment_of_which_the_gateway_says_nothing_clear_is_a_persons_matter_a_day_after_the_customers_time(
    word: Word,
) -> None:
    known, doubt = replace(asked(), delay_notified=True), Unknown("a status that this release does not know")
    end = LAST + RULES.unknown_give_up_s
    assert answer(known, doubt, end).alarm is None
    call = going_on(known)
    other_rules = context(later(LAST), action_timeout_s=1, unknown_give_up_s=LAST - 2)
    assert BY_NAME[call.reaction].settle(known, call, doubt, other_rules).alarm is None, "they were told this time"

    review = answer(known, doubt, end + 1)

    assert [(f["reason"], f["operation"], f["money"]) for f in facts(review)] == [
        ("authorize_unknown", "AUTHORIZE", "UNKNOWN")
    ]
    ruling = ruled(become(review), word)
    assert isinstance(ruling, Decision)
    assert work(ruling) == [("void", 1, TOTAL if word is Word.EXECUTED else 0)]


def test_a_customer_whose_bank_takes_long_is_told_once() -> None:
    told = answer(processed(), PROCESSING, RULES.delayed_notice_s)
    assert [fact["kind"] for fact in facts(told)] == ["PAYMENT_DELAYED"]
    assert answer(become(told), PROCESSING, RULES.delayed_notice_s * 2).events == ()
    assert going_on(become(told)).tries == 0


def overdue() -> Order:
    """Return an order that failed because its bank takes too long."""
    return become(answer(replace(processed(), delay_notified=True), PROCESSING, RULES.pending_hold_s + 1))


def test_a_payment_that_a_bank_processes_for_too_long_fails_for_good_and_is_still_asked_for() -> None:
    known = replace(processed(), delay_notified=True)
    assert answer(known, PROCESSING, RULES.pending_hold_s).events == ()

    decision = answer(known, PROCESSING, RULES.pending_hold_s + 1)

    assert facts(decision) == [FAILED | OVERDUE, NOTICE | OVERDUE]
    status, money = after(decision)
    assert (status, money.token, work(decision)) == (S.PAYMENT_FAILED, None, [("authorize", 1, TOTAL)])
    call = going_on(become(decision))
    assert call.state is O.PENDING
    assert call.due_at is not None
    click = events.payment_retry_requested(occurred_at=later(RULES.pending_hold_s))
    assert retry_refusal(become(decision), click, context(later(RULES.pending_hold_s + 1))) is not None


def test_money_that_comes_after_all_is_given_back_and_the_customer_is_told() -> None:
    refunding = answer(overdue(), Approved("pi_1", None, TOTAL, captured=True), RULES.pending_hold_s + 60)
    assert (refunding.events, work(refunding)) == ((), [("refund", 1, TOTAL)])
    back = answer(become(refunding), Approved("pi_1", "re_1", TOTAL), RULES.pending_hold_s + 61)
    assert facts(back)[0] == REFUNDED
    assert (facts(back)[1]["kind"], facts(back)[1]["money"]) == ("REFUNDED", "RETURNED")
    assert after(back)[1].failure_code is FailureCode.PAYMENT_OVERDUE

    voided = answer(overdue(), Approved("pi_1", None, TOTAL), RULES.pending_hold_s + 60)
    assert work(voided) == [("void", 1, TOTAL)]
    assert facts(answer(become(voided), Approved("pi_1"), RULES.pending_hold_s + 61)) == [VOIDED]


@pytest.mark.parametrize(
    "outcome", [Declined(FailureCode.CARD_DECLINED, "generic_decline", "pi_1"), Lapsed(), PROCESSING, Unknown("reset")]
)
def test_a_failed_order_hears_nothing_of_a_decline_that_comes_later(outcome: Outcome) -> None:
    decision = answer(overdue(), outcome, RULES.pending_hold_s + 60)
    assert (decision.events, after(decision)[0]) == ((), S.PAYMENT_FAILED)
    assert become(decision).current.failure_code is FailureCode.PAYMENT_OVERDUE


@pytest.mark.parametrize("outcome", [MUST_ACT, Undecided("pi_1", "requires_action", asks_customer=True)])
def test_a_failed_order_whose_customer_is_asked_is_cancelled_in_silence(outcome: Outcome) -> None:
    cancelling = answer(overdue(), outcome, RULES.pending_hold_s + 60)
    assert (cancelling.events, work(cancelling)) == ((), [("void", 1, 0)])
    done = answer(become(cancelling), Approved("pi_1", None, TOTAL), RULES.pending_hold_s + 61)
    assert (done.events, after(done)[0], become(done).version) == ((), S.PAYMENT_FAILED, overdue().version)
    assert after(done)[1].failure_code is FailureCode.PAYMENT_OVERDUE


def test_money_that_came_and_that_somebody_gave_back_is_told_and_the_order_keeps_its_reason() -> None:
    decision = answer(overdue(), ReturnedElsewhere(TOTAL, "re_9", "pi_1"), RULES.pending_hold_s + 60)
    assert facts(decision)[0] == REFUNDED | {"refund_id": "re_9"}
    status, money = after(decision)
    assert (status, money.failure_code, work(decision)) == (S.PAYMENT_FAILED, FailureCode.PAYMENT_OVERDUE, [])


def test_other_money_that_comes_after_all_is_given_back_with_an_alarm() -> None:
    decision = answer(overdue(), OtherAmount("pi_1", 100, captured=True), RULES.pending_hold_s + 60)
    assert (decision.alarm, work(decision)) == ("amount_differs", [("refund", 1, 100)])
    strange = answer(overdue(), OtherAmount("pi_1", None), RULES.pending_hold_s + 60)
    assert (strange.alarm, after(strange)[0]) == ("review_currency_differs", S.MANUAL_REVIEW)


def test_a_cancelling_that_a_bank_holds_up_for_too_long_fails_the_order_and_late_money_goes_back() -> None:
    waiting = replace(become(answer(voiding(), PROCESSING, LAST)), delay_notified=True)

    decision = answer(waiting, PROCESSING, LAST + RULES.pending_hold_s + 1)

    assert facts(decision) == [FAILED | OVERDUE, NOTICE | OVERDUE]
    assert work(decision) == [("void", 1, 0)]
    late = answer(become(decision), AlreadyCaptured("pi_1", TOTAL), LAST + RULES.pending_hold_s + 60)
    assert (late.events, work(late)) == ((), [("refund", 1, TOTAL)])


def test_a_bank_that_never_answers_is_a_persons_matter_in_the_end() -> None:
    decision = answer(overdue(), PROCESSING, RULES.pending_give_up_s + 1)
    assert [(f["reason"], f["operation"], f["money"]) for f in facts(decision)] == [
        ("authorize_overdue", "AUTHORIZE", "UNKNOWN")
    ]
    assert become(decision).reviewed is S.PAYMENT_FAILED


def test_what_was_refused_and_could_still_be_confirmed_is_cancelled_before_another_method_may_pay() -> None:
    refused = Declined(FailureCode.GATEWAY_REFUSED, "mandate", "pi_1", left_open=True)

    cancelling = answer(begun(), refused)

    assert (cancelling.events, work(cancelling)) == ((), [("void", 1, 0)])
    assert retry_refusal(become(cancelling), events.payment_retry_requested(), context()) == "in_progress"
    done = answer(become(cancelling), Approved("pi_1", None, TOTAL), 1)
    assert [fact["failure_code"] for fact in facts(done)] == [FailureCode.GATEWAY_REFUSED] * 2
    assert (after(done)[0], work(done)) == (S.PAYMENT_FAILED, [])


def test_what_was_confirmed_late_and_given_back_by_somebody_pays_no_order() -> None:
    refunding = answer(voiding(), AlreadyCaptured("pi_1", TOTAL, returned=True), LAST)
    assert (refunding.events, work(refunding)) == ((), [("refund", 1, TOTAL)])

    back = answer(become(refunding), ReturnedElsewhere(TOTAL, "re_9"), LAST)

    assert facts(back)[0] == REFUNDED | {"refund_id": "re_9"}
    assert (after(back)[0], work(back)) == (S.PAYMENT_FAILED, [])


def test_what_an_operator_cancelled_is_refunded_if_its_customer_has_paid_meanwhile() -> None:
    review = answer(asked(), TransactionMissing(), 60)
    cancelling = ruled(become(review), Word.NOT_EXECUTED)
    assert isinstance(cancelling, Decision)
    assert work(cancelling) == [("void", 1, 0)]

    refunding = answer(become(cancelling), AlreadyCaptured("pi_1", TOTAL), 61)

    assert (refunding.events, work(refunding)) == ((), [("refund", 1, TOTAL)])
    back = answer(become(refunding), Approved("pi_1", "re_1", TOTAL), 62)
    assert facts(back)[0] == REFUNDED
    assert (after(back)[0], after(back)[1].failure_code) == (S.PAYMENT_FAILED, FailureCode.CANCELLED_BY_OPERATOR)


@pytest.mark.parametrize("word", Word)
def test_a_cancelling_that_never_ends_is_ruled_on_and_the_failed_order_is_told_once_more(word: Word) -> None:
    waiting = become(answer(voiding(), PROCESSING, LAST))
    failed_order = become(answer(waiting, PROCESSING, LAST + RULES.pending_hold_s + 1))
    review = answer(failed_order, PROCESSING, LAST + RULES.pending_give_up_s + 1)
    assert (review.alarm, become(review).reviewed) == ("review_void_overdue", S.PAYMENT_FAILED)

    ruling = ruled(become(review), word)

    assert isinstance(ruling, Decision)
    if word is Word.NOT_EXECUTED:
        assert (work(ruling), after(ruling)[0]) == ([("void", 1, 0)], S.MANUAL_REVIEW)
        ruling = answer(become(ruling), Approved("pi_1", None, TOTAL))
    assert facts(ruling) == [FAILED | OVERDUE]
    assert (after(ruling)[0], become(ruling).review_reason, work(ruling)) == (S.PAYMENT_FAILED, None, [])
