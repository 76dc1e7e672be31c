"""A payment that its customer must confirm: nobody pays twice, and no money is left."""

from typing import Any, Final

import pytest

from consumers.reactions import BY_NAME
from domain.answers import NO_REFERENCE, admit
from domain.customer_action import CONFIRM
from domain.decision import NOTHING, Decision
from domain.failure_codes import FailureCode
from domain.opening import FIRST_WAITS
from domain.order import Attempt
from domain.outcome import (
    AlreadyCaptured,
    Approved,
    CustomerMustAct,
    Declined,
    Lapsed,
    NotExecuted,
    NotFound,
    OtherAmount,
    Outcome,
    Undecided,
    Unknown,
)
from domain.pending import AT_CUSTOMER
from domain.retries import retry_refusal
from domain.settling import notify_delay
from schemas.fields import URL_LENGTH_MAX
from tests.domain.asking import (
    LAST,
    MUST_ACT,
    PROCESSING,
    URL,
    K,
    O,
    S,
    answer,
    asked,
    become,
    begun,
    failed,
    going_on,
    voiding,
)
from tests.domain.builders import AT, RULES, TOTAL, attempt, context, later, operation, order
from tests.domain.facts import AUTHORIZED, FAILED, NOTICE, REFUNDED, after, facts, work
from tests.schemas import builders as events

# The customer is asked


@pytest.mark.parametrize("reaction", ["authorize_payment", "retry_payment"])
@pytest.mark.parametrize(("url", "kind"), [(URL, "REDIRECT"), (None, "CONFIRM")])
def test_a_payment_that_its_customer_must_confirm_is_told_with_the_way_and_the_time(
    reaction: str, url: str | None, kind: str
) -> None:
    decision = answer(begun(reaction), CustomerMustAct("pi_1", url))

    money = {"customer_id": "customer-1", "attempt": 1, "amount_minor": TOTAL, "currency": "EUR"}
    told = {"transaction_id": "pi_1", "kind": kind, "url": url, "expires_at": later(LAST)}
    notice = {"failure_code": None, "reason": CONFIRM, "money": "NONE", "retryable": False, "retry_until": None}
    assert facts(decision) == [
        money | told | {"type": "CustomerActionRequired"},
        money | notice | {"type": "CustomerNotificationRequested", "kind": "ACTION_REQUIRED", "missing": ()},
    ]
    expected = attempt(transaction_id="pi_1", action_expires_at=later(LAST), token=None)
    assert after(decision) == (S.ACTION_REQUIRED, expected)
    call = going_on(become(decision))
    assert (call.kind, call.state, call.transaction_id, call.detail) == (K.AUTHORIZE, O.PENDING, "pi_1", AT_CUSTOMER)
    assert (call.unknown_since, call.due_at) == (AT, later(RULES.unknown_retry_s))


def test_a_customer_is_asked_once_however_often_the_gateway_says_so() -> None:
    known = asked()

    again = answer(known, MUST_ACT, LAST - 1)

    assert again.events == ()
    assert after(again) == after(Decision(known))
    assert going_on(become(again)).due_at == later(LAST)


@pytest.mark.parametrize("outcome", [MUST_ACT, Unknown("time-out"), NotFound(), NotExecuted("HTTP 429")])
def test_it_is_asked_for_again_at_the_end_of_the_customers_time_at_the_latest(outcome: Outcome) -> None:
    decision = answer(asked(), outcome, 1_000)

    call = going_on(become(decision))
    assert (decision.events, call.state, call.due_at) == ((), O.PENDING, later(LAST))


def test_a_shorter_time_than_the_first_pause_is_kept() -> None:
    known, call = begun(), going_on(begun())
    decision = BY_NAME[call.reaction].settle(known, call, MUST_ACT, context(action_timeout_s=2))
    assert going_on(become(decision)).due_at == later(2)


def test_a_customer_who_has_time_is_not_told_that_it_takes_long_and_one_without_is() -> None:
    known = asked()

    assert notify_delay(known, context(later(LAST))) is NOTHING
    told = notify_delay(known, context(later(LAST + RULES.delayed_notice_s)))
    assert [fact["kind"] for fact in facts(told)] == ["PAYMENT_DELAYED"]


def test_another_method_is_refused_while_the_first_can_still_be_confirmed() -> None:
    click = events.payment_retry_requested()
    for known in (asked(), voiding()):
        assert retry_refusal(known, click, context()) == "in_progress"
        decision = BY_NAME["retry_payment"].plan(known, click, context())
        said = [(f["kind"], f["failure_code"], f["reason"]) for f in facts(decision)]
        assert said == [("RETRY_REFUSED", "in_progress", FIRST_WAITS)]


# The customer has acted


@pytest.mark.parametrize("captured", [False, True])
def test_what_the_customer_confirmed_is_authorized(captured: bool) -> None:  # noqa: FBT001
    decision = answer(asked(), Approved("pi_1", None, TOTAL, captured=captured), 60)

    assert facts(decision) == [AUTHORIZED | {"captured": captured}]
    assert after(decision)[0] is S.PAYMENT_AUTHORIZED


DECLINES: Final = [
    (Declined(FailureCode.INSUFFICIENT_FUNDS, "insufficient_funds", "pi_1"), FailureCode.INSUFFICIENT_FUNDS),
    (Undecided("pi_1", "requires_payment_method", asks_customer=True), FailureCode.AUTHENTICATION_FAILED),
    (Undecided("pi_1", "requires_confirmation"), FailureCode.ISSUER_UNAVAILABLE),
]


@pytest.mark.parametrize(("outcome", "code"), DECLINES)
@pytest.mark.parametrize("freed", [Approved("pi_1", None, TOTAL), Lapsed()])
def test_what_was_declined_after_the_customer_was_asked_is_cancelled_first(
    outcome: Outcome, code: FailureCode, freed: Outcome
) -> None:
    cancelling = answer(asked(), outcome, 600)

    assert (cancelling.events, work(cancelling)) == ((), [("void", 1, 0)])
    assert after(cancelling)[0] is S.ACTION_REQUIRED
    decision = answer(become(cancelling), freed, 601)
    until = {"retry_until": later(601 + RULES.retry_window_s)}
    assert facts(decision) == failed(code, **until)
    status, money = after(decision)
    assert (status, money.voided, money.token, work(decision)) == (S.PAYMENT_FAILED, True, None, [])


@pytest.mark.parametrize(
    ("at_s", "code"), [(LAST - 1, FailureCode.CANCELLED_BY_OPERATOR), (LAST, FailureCode.ACTION_EXPIRED)]
)
def test_what_somebody_cancelled_at_the_gateway_fails_at_once(at_s: float, code: FailureCode) -> None:
    decision = answer(asked(), Lapsed(), at_s)
    assert facts(decision) == failed(code, retry_until=later(at_s + RULES.retry_window_s))
    assert work(decision) == []


def test_an_approval_of_another_amount_is_given_back_and_one_of_another_currency_needs_a_person() -> None:
    decision = answer(asked(), OtherAmount("pi_1", 100, captured=True), 60)
    assert (decision.alarm, work(decision)) == ("amount_differs", [("refund", 1, 100)])
    back = answer(become(decision), Approved("pi_1", "re_1", 100), 61)
    assert [fact["type"] for fact in facts(back)] == ["PaymentRefunded", *(fact["type"] for fact in (FAILED, NOTICE))]
    assert after(back)[1].failure_code is FailureCode.AMOUNT_DIFFERS

    other = answer(asked(), OtherAmount("pi_1", None), 60)
    assert (other.alarm, after(other)[0]) == ("review_currency_differs", S.MANUAL_REVIEW)


# The time is up


def test_what_is_not_confirmed_in_time_is_cancelled_and_its_authorization_closed_with_that() -> None:
    decision = answer(asked(), MUST_ACT, LAST)

    authorize, void = become(decision).operations
    assert (authorize.kind, authorize.state, authorize.due_at) == (K.AUTHORIZE, O.NOT_EXECUTED, None)
    assert (authorize.settled_at, authorize.detail) == (later(LAST), "not confirmed in time: cancelled")
    assert (void.kind, void.amount_minor, void.transaction_id, void.unfinished) == (K.VOID, 0, "pi_1", True)
    assert (decision.events, after(decision)[0]) == ((), S.ACTION_REQUIRED)


@pytest.mark.parametrize("freed", [Approved("pi_1", None, TOTAL), Lapsed()])
def test_a_payment_that_is_surely_cancelled_fails_and_may_be_retried(freed: Outcome) -> None:
    decision = answer(voiding(), freed, LAST)

    assert facts(decision) == failed(FailureCode.ACTION_EXPIRED, retry_until=later(LAST + RULES.retry_window_s))
    click = events.payment_retry_requested(occurred_at=later(LAST))
    assert retry_refusal(become(decision), click, context(later(LAST))) is None


def test_what_was_captured_at_the_last_moment_is_paid() -> None:
    decision = answer(voiding(), AlreadyCaptured("pi_1", TOTAL), LAST)

    assert facts(decision) == [AUTHORIZED | {"captured": True}]
    status, money = after(decision)
    assert (status, money.failure_code, work(decision)) == (S.PAYMENT_AUTHORIZED, None, [])


@pytest.mark.parametrize("livemode", [False, True])
def test_what_was_captured_at_the_last_moment_is_as_real_as_our_key(livemode: bool) -> None:  # noqa: FBT001
    known = voiding()
    call = going_on(known)

    decision = BY_NAME[call.reaction].settle(known, call, AlreadyCaptured("pi_1", TOTAL), context(livemode=livemode))

    assert facts(decision) == [AUTHORIZED | {"captured": True, "livemode": livemode}]
    assert after(decision)[1].livemode is livemode, "PaidAndConfirmed says the same"


def test_another_amount_that_was_captured_at_the_last_moment_is_refunded() -> None:
    decision = answer(voiding(), AlreadyCaptured("pi_1", 100), LAST)

    assert (decision.events, work(decision)) == ((), [("refund", 1, 100)])
    back = answer(become(decision), Approved("pi_1", "re_1", 100), LAST)
    assert facts(back)[0] == REFUNDED | {"amount_minor": 100}
    assert (after(back)[0], after(back)[1].failure_code) == (S.PAYMENT_FAILED, FailureCode.ACTION_EXPIRED)


def test_a_void_that_finds_the_payment_processed_waits_and_is_sent_again_if_that_fails() -> None:
    waiting = answer(voiding(), PROCESSING, LAST)

    assert (waiting.events, going_on(become(waiting)).state, after(waiting)[0]) == ((), O.PENDING, S.ACTION_REQUIRED)
    refused = Declined(FailureCode.GATEWAY_REFUSED, "payment_intent_unexpected_state")
    again = answer(become(waiting), refused, LAST + 60)
    assert (going_on(become(again)).kind, going_on(become(again)).try_number) == (K.VOID, 2)


def test_a_void_that_finds_the_payment_untouched_after_its_key_is_forgotten_is_sent_as_the_next_try() -> None:
    waiting = become(answer(voiding(), PROCESSING, LAST))
    assert going_on(become(answer(waiting, NotFound(), LAST + 60))).try_number == 1, "the runtime sends it again"

    again = answer(waiting, NotFound(), LAST + RULES.key_life_s)

    first, second = [o for o in become(again).operations if o.kind is K.VOID]
    assert (first.state, first.due_at, first.settled_at) == (O.NOT_EXECUTED, None, later(LAST + RULES.key_life_s))
    assert (second.state, second.try_number, second.amount_minor) == (O.OPEN, 2, 0)


# The door


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.stripe.com/redirect/authenticate/src_1?client_secret=src_client_secret_1",
        "https://hooks.stripe.com/redirect?Client%5FSecret=1",
        "https://bank.example/pi_1_secret_abc",
        "javascript:alert(1)",
        "https://bank.example/a b",
        "https://bank.example/\n",
        "https://" + "u" * URL_LENGTH_MAX,
        "",
        7,
    ],
)
def test_an_address_that_no_event_can_carry_or_that_carries_a_secret_is_left_out(url: Any) -> None:
    assert admit(operation(K.AUTHORIZE), CustomerMustAct("pi_1", url)) == CustomerMustAct("pi_1", None)


def test_an_answer_without_a_usable_id_takes_the_one_that_is_known_or_is_unknown() -> None:
    known: Any = {"transaction_id": "pi_1"}
    assert admit(operation(K.AUTHORIZE, **known), CustomerMustAct("", URL)) == MUST_ACT
    assert admit(operation(K.AUTHORIZE), CustomerMustAct("", URL)) == NO_REFERENCE


def test_an_old_attempt_is_never_asked_about() -> None:
    call = operation(K.AUTHORIZE)
    known = order(S.CONFIRMED, attempt(), attempt(2), operations=(call,))
    decision = BY_NAME["authorize_payment"].settle(known, call, MUST_ACT, context())
    assert (decision.events, work(decision)) == ((), [("void", 1, 0)])


def test_an_attempt_that_ended_is_not_asked_for_by_its_customers_time() -> None:
    money: Attempt = attempt(
        transaction_id="pi_1", action_expires_at=later(LAST), failure_code=FailureCode.ACTION_EXPIRED
    )
    call = operation(K.VOID, amount_minor=0, opened_at=AT)
    known = order(S.ACTION_REQUIRED, money, operations=(call,))
    assert [f["kind"] for f in facts(notify_delay(known, context(later(RULES.delayed_notice_s))))] == [
        "PAYMENT_DELAYED"
    ]
