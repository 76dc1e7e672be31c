"""What the gateway says is held against what we asked for: no decline without proof, no approval of another amount."""

from typing import Any, Final

import pytest

from consumers.adapters.gateway.references import could_name
from consumers.reactions import BY_NAME
from domain.decision import Decision
from domain.failure_codes import FailureCode
from domain.operation import Operation, OperationKind, OperationState
from domain.order import Attempt, Order, Status
from domain.outcome import (
    AlreadyCaptured,
    Approved,
    Declined,
    Lapsed,
    NotFound,
    OtherAmount,
    Outcome,
    Pending,
    ReturnedElsewhere,
    TransactionMissing,
    Undecided,
)
from domain.pending import AT_OTHERS
from domain.resolving import resolve
from domain.retries import retry_refusal
from domain.ruling import No, Ruling, Word
from domain.values import replace
from tests.domain.builders import AT, RULES, TOTAL, attempt, authorized, captured, context, later, operation, order
from tests.domain.facts import FAILED, NOTICE, REFUNDED, after, facts, failure, pinned, settle, work
from tests.schemas import builders as events

K = OperationKind
S = Status
SLOW: Final = Undecided("pi_1", "requires_confirmation")
ASKS: Final = Undecided("pi_1", "requires_action", asks_customer=True)
LATE: Final = later(RULES.decision_max_s)


def answer(known: Order, call: Operation, outcome: Outcome, **at: Any) -> Decision:
    return BY_NAME[call.reaction].settle(known, call, outcome, context(**at))


def undecided(outcome: Outcome, **at: Any) -> Decision:
    """Settle an authorize of a new order as not decided."""
    asked = operation(K.AUTHORIZE)
    return answer(order(S.CONFIRMED, attempt(), operations=(asked,)), asked, outcome, **at)


def going_on(decision: Decision) -> tuple[Order, Operation]:
    """Return the order and its unfinished operation."""
    assert decision.order is not None
    (waiting,) = [o for o in decision.order.operations if o.unfinished]
    return decision.order, waiting


# No decision


def test_a_slow_issuer_has_its_time_and_the_customer_cannot_pay_twice_meanwhile() -> None:
    known, waiting = going_on(undecided(SLOW, at=later(RULES.decision_max_s - 1)))

    assert (waiting.kind, waiting.state, waiting.replayed) == (K.AUTHORIZE, OperationState.UNKNOWN, False)
    assert retry_refusal(known, events.payment_retry_requested(), context()) == "in_progress"
    approved = answer(known, waiting, Approved("pi_1", None, TOTAL))
    assert after(approved)[0] is S.PAYMENT_AUTHORIZED


@pytest.mark.parametrize(
    ("outcome", "at", "code"),
    [(SLOW, LATE, FailureCode.ISSUER_UNAVAILABLE), (ASKS, AT, FailureCode.AUTHENTICATION_REQUIRED)],
)
@pytest.mark.parametrize("freed", [Approved("pi_1", None, TOTAL), Lapsed()])
def test_what_nobody_decides_is_cancelled_before_another_method_may_pay(
    outcome: Outcome, at: Any, code: FailureCode, freed: Outcome
) -> None:
    cancelling = undecided(outcome, at=at)

    known, void = going_on(cancelling)
    assert (void.kind, void.amount_minor, void.transaction_id) == (K.VOID, 0, "pi_1")
    ended = next(o for o in known.operations if not o.unfinished)
    assert (ended.kind, ended.state) == (K.AUTHORIZE, OperationState.NOT_EXECUTED)
    assert (facts(cancelling), known.status) == ([], S.CONFIRMED)
    assert retry_refusal(known, events.payment_retry_requested(), context()) == "in_progress"

    failed = answer(known, void, freed)
    assert facts(failed) == [FAILED | failure(code), NOTICE | failure(code)]
    assert failed.order is not None
    assert retry_refusal(failed.order, events.payment_retry_requested(), context()) is None


def test_what_was_captured_before_the_cancel_pays_the_order() -> None:
    known, void = going_on(undecided(ASKS))

    decision = answer(known, void, AlreadyCaptured("pi_1", TOTAL))

    status, money = after(decision)
    assert (status, money.captured_minor, money.authorized_minor) == (S.PAYMENT_AUTHORIZED, TOTAL, TOTAL)
    assert (money.failure_code, work(decision)) == (None, [])
    assert [event["captured"] for event in facts(decision)] == [True]


def test_what_was_captured_in_part_before_the_cancel_is_refunded() -> None:
    known, void = going_on(undecided(ASKS))

    decision = answer(known, void, AlreadyCaptured("pi_1", TOTAL - 1))

    assert (work(decision), after(decision)[0]) == ([("refund", 1, TOTAL - 1)], S.CONFIRMED)


# Another amount


def test_a_short_approval_is_given_back_to_the_unit_and_may_be_paid_by_another_method() -> None:
    decision = undecided(Approved("pi_1", None, 100))

    assert (decision.alarm, work(decision), facts(decision)) == ("amount_differs", [("void", 1, 100)], [])
    failed = answer(*going_on(decision), Approved("pi_1"))
    said = failure(FailureCode.AMOUNT_DIFFERS)
    voided = {"type": "PaymentVoided", "attempt": 1, "transaction_id": "pi_1", "amount_minor": 100, "currency": "EUR"}
    assert facts(failed) == [voided, FAILED | said, NOTICE | said]


def test_another_amount_that_was_captured_at_once_is_refunded() -> None:
    decision = undecided(Approved("pi_1", None, TOTAL + 1, captured=True))

    assert work(decision) == [("refund", 1, TOTAL + 1)]
    failed = answer(*going_on(decision), Approved("pi_1", "re_1", TOTAL + 1))
    assert facts(failed)[0] == REFUNDED | {"amount_minor": TOTAL + 1}
    assert after(failed)[0] is S.PAYMENT_FAILED


def test_another_currency_needs_an_operator_who_can_only_fail_the_order() -> None:
    decision = undecided(OtherAmount("pi_1", None))

    assert (decision.alarm, work(decision)) == ("review_currency_differs", [])
    assert facts(decision)[0] | {"reason": "currency_differs", "money": "UNKNOWN"} == facts(decision)[0]
    assert decision.order is not None
    assert isinstance(ruled(decision.order, Word.EXECUTED), No)
    failed = ruled(decision.order, Word.NOT_EXECUTED)
    assert isinstance(failed, Decision)
    assert after(failed)[0] is S.PAYMENT_FAILED


def test_a_capture_of_a_part_needs_an_operator_and_the_part_is_refunded() -> None:
    decision = settle(S.ITEMS_RESERVED, K.CAPTURE, authorized(), Approved("pi_1", None, 100), **pinned())

    assert (decision.alarm, work(decision)) == ("review_captured_in_part", [])
    assert facts(decision)[0] | {"money": "CAPTURED", "operation": "CAPTURE"} == facts(decision)[0]
    assert decision.order is not None
    refused = ruled(decision.order, Word.EXECUTED)
    assert isinstance(refused, No)
    assert "--as not-executed" in refused.why
    giving_back = ruled(decision.order, Word.NOT_EXECUTED)
    assert isinstance(giving_back, Decision)
    assert work(giving_back) == [("refund", 1, 100)]
    failed = answer(*going_on(giving_back), Approved("pi_1", "re_1", 100))
    assert facts(failed)[0] == REFUNDED | {"amount_minor": 100}
    assert after(failed)[0] is S.PAYMENT_FAILED


def ruled(known: Order, word: Word) -> Decision | No:
    ruling = Ruling(word, "looked at the dashboard", "alice")
    settles = {name: reaction.settle for name, reaction in BY_NAME.items()}
    return resolve(known, known.operations, ruling, settles, could_name, context())


# Money that went back elsewhere, or in part


def test_what_somebody_else_refunded_is_booked_and_ends_the_order() -> None:
    decision = settle(S.RESERVATION_FAILED, K.REFUND, captured(), ReturnedElsewhere(TOTAL, "re_9"))

    assert facts(decision)[0] == REFUNDED | {"refund_id": "re_9"}
    status, money = after(decision)
    assert (status, money.kept_minor, work(decision)) == (S.PAYMENT_FAILED, 0, [])


@pytest.mark.parametrize(
    ("status", "partly"),
    [
        (status, outcome)
        for status in (S.CONFIRMED, S.ITEMS_RESERVED, S.RESERVATION_FAILED, S.PAYMENT_FAILED)
        for outcome in (ReturnedElsewhere(80, "re_9"), Approved("pi_1", "re_9", 80))
    ],
)
def test_the_rest_of_a_refund_is_sent_under_a_new_key(status: Status, partly: Outcome) -> None:
    decision = settle(status, K.REFUND, captured(), partly)

    assert facts(decision) == [REFUNDED | {"refund_id": "re_9", "amount_minor": 80}]
    known, rest = going_on(decision)
    assert (rest.kind, rest.amount_minor, rest.try_number) == (K.REFUND, TOTAL - 80, 2)
    last = answer(known, rest, Approved("pi_1", "re_2", TOTAL - 80))
    assert facts(last)[0] == REFUNDED | {"refund_id": "re_2", "amount_minor": TOTAL - 80}
    assert after(last) == (S.PAYMENT_FAILED, money_back(after(last)[1]))


def money_back(found: Attempt) -> Attempt:
    assert (found.refunded_minor, found.kept_minor) == (TOTAL, 0)
    return found


def test_a_refund_that_brought_nothing_back_needs_an_operator() -> None:
    before = captured(refunded_minor=80)
    waiting = {"amount_minor": TOTAL - 80}
    decision = settle(S.RESERVATION_FAILED, K.REFUND, before, ReturnedElsewhere(80, "re_9"), waiting=waiting)

    assert (decision.alarm, after(decision)[1].refunded_minor) == ("review_refund_failed", 80)


# Money that was taken and given back before we saw it taken


TAKEN_AND_BACK: Final = [
    (S.CONFIRMED, K.AUTHORIZE, attempt(), "AUTHORIZE"),
    (S.ITEMS_RESERVED, K.CAPTURE, authorized(), "CAPTURE"),
]


@pytest.mark.parametrize(("status", "kind", "money", "stage"), TAKEN_AND_BACK)
def test_what_somebody_gave_back_before_the_order_was_paid_fails_it(
    status: Status, kind: OperationKind, money: Attempt, stage: str
) -> None:
    decision = settle(status, kind, money, ReturnedElsewhere(TOTAL, "re_9", "pi_1"), **pinned())

    said = failure(FailureCode.CANCELLED_BY_OPERATOR, money="RETURNED")
    assert facts(decision) == [REFUNDED | {"refund_id": "re_9"}, FAILED | said | {"stage": stage}, NOTICE | said]
    assert work(decision) == []
    assert after(decision) == (
        S.PAYMENT_FAILED,
        captured(token=None, refunded_minor=TOTAL, refund_id="re_9", failure_code=FailureCode.CANCELLED_BY_OPERATOR),
    )


@pytest.mark.parametrize(("status", "kind", "money", "stage"), TAKEN_AND_BACK)
def test_what_somebody_gave_back_in_part_is_given_back_whole_and_fails_the_order(
    status: Status, kind: OperationKind, money: Attempt, stage: str
) -> None:
    decision = settle(status, kind, money, ReturnedElsewhere(80, "re_9", "pi_1"), **pinned())

    assert facts(decision) == [REFUNDED | {"refund_id": "re_9", "amount_minor": 80}]
    known, rest = going_on(decision)
    assert (rest.kind, rest.amount_minor, rest.try_number) == (K.REFUND, TOTAL - 80, 1)
    last = answer(known, rest, Approved("pi_1", "re_2", TOTAL - 80))
    assert [fact["type"] for fact in facts(last)] == ["PaymentRefunded", "PaymentFailed", NOTICE["type"]]
    assert (facts(last)[0]["amount_minor"], facts(last)[1]["stage"]) == (TOTAL - 80, stage)
    assert facts(last)[1]["failure_code"] == FailureCode.CANCELLED_BY_OPERATOR
    assert (after(last)[0], after(last)[1].kept_minor) == (S.PAYMENT_FAILED, 0)


@pytest.mark.parametrize(("status", "kind", "money", "stage"), TAKEN_AND_BACK)
def test_a_refund_of_more_than_was_taken_is_looked_up_again(
    status: Status, kind: OperationKind, money: Attempt, stage: str
) -> None:
    decision = settle(status, kind, money, ReturnedElsewhere(TOTAL + 1, "re_9", "pi_1"), **pinned())

    # A stored answer that makes no sense comes again under its key: it is only looked up, so its token is erased.
    assert (facts(decision), after(decision)) == ([], (status, replace(money, token=None))), stage


# Transactions that are not there


@pytest.mark.parametrize(
    ("status", "kind", "money"),
    [
        (S.ITEMS_RESERVED, K.CAPTURE, authorized()),
        (S.RESERVATION_FAILED, K.VOID, authorized()),
        (S.RESERVATION_FAILED, K.REFUND, captured()),
    ],
)
def test_a_transaction_that_is_missing_is_no_refusal(status: Status, kind: OperationKind, money: Attempt) -> None:
    decision = settle(status, kind, money, TransactionMissing(), **pinned())

    assert (decision.alarm, after(decision)[0]) == ("review_transaction_missing", S.MANUAL_REVIEW)
    known, waiting = going_on(decision)
    assert (waiting.kind, waiting.due_at, waiting.state) == (kind, None, OperationState.UNKNOWN)
    assert facts(decision)[0] | {"money": "UNKNOWN", "operation": kind.name} == facts(decision)[0]
    found = ruled(known, Word.NOT_EXECUTED)
    assert isinstance(found, Decision)
    assert going_on(found)[1].due_at is not None


def test_a_decline_is_still_a_decline() -> None:
    decision = undecided(Declined(FailureCode.INSUFFICIENT_FUNDS, "insufficient_funds", "pi_1"))

    assert after(decision)[0] is S.PAYMENT_FAILED


# What a breaker found


def test_a_void_that_was_processing_is_sent_again_under_a_new_key() -> None:
    pending = {"state": OperationState.PENDING, "unknown_since": AT, "amount_minor": 0}
    refused = Declined(FailureCode.GATEWAY_REFUSED, "payment_intent_unexpected_state")

    decision = settle(S.CONFIRMED, K.VOID, attempt(transaction_id="pi_1"), refused, waiting=pending)

    _, void = going_on(decision)
    assert (void.kind, void.amount_minor, void.try_number) == (K.VOID, 0, 2)


@pytest.mark.parametrize("word", list(Word))
def test_a_refused_void_of_what_nobody_decided_on_is_settled_before_the_order_may_be_paid(word: Word) -> None:
    refused = Declined(FailureCode.GATEWAY_REFUSED, "payment_intent_unexpected_state")
    money = attempt(transaction_id="pi_1", failure_code=FailureCode.ISSUER_UNAVAILABLE)
    review = settle(S.CONFIRMED, K.VOID, money, refused, waiting={"amount_minor": 0})
    assert facts(review)[0] | {"reason": "void_refused", "money": "UNKNOWN"} == facts(review)[0]
    assert review.order is not None

    ruling = ruled(review.order, word)

    assert isinstance(ruling, Decision)
    if word is Word.NOT_EXECUTED:
        _, void = going_on(ruling)
        assert (void.kind, void.try_number) == (K.VOID, 2)
    else:
        assert after(ruling)[0] is S.PAYMENT_FAILED


@pytest.mark.parametrize("code", [FailureCode.METHOD_INVALID, FailureCode.CURRENCY_NOT_OFFERED])
def test_a_refused_request_says_nothing_of_an_earlier_copy_of_it(code: FailureCode) -> None:
    asked = operation(K.AUTHORIZE, state=OperationState.UNKNOWN, unknown_since=AT)
    known = order(S.CONFIRMED, attempt(), operations=(asked,))

    decision = answer(known, asked, Declined(code, "resource_missing"))

    assert (after(decision)[0], going_on(decision)[1].replayed) == (S.CONFIRMED, True)
    declined = answer(known, asked, Declined(FailureCode.CARD_DECLINED, "generic_decline", "pi_1"))
    assert after(declined)[0] is S.PAYMENT_FAILED


def test_a_capture_that_finds_a_part_captured_is_a_part() -> None:
    decision = settle(S.ITEMS_RESERVED, K.CAPTURE, authorized(), AlreadyCaptured("pi_1", 100), **pinned())
    assert decision.alarm == "review_captured_in_part"


def test_a_customer_hears_of_the_amount_that_goes_back() -> None:
    decision = settle(
        S.PAYMENT_FAILED,
        K.REFUND,
        captured(refunded_minor=TOTAL - 100),
        Approved("pi_1", "re_2", 100),
        waiting={"amount_minor": 100},
    )
    assert [event["amount_minor"] for event in facts(decision)] == [100, 100]


def test_a_refund_that_was_refused_for_anothers_pending_one_is_made_when_that_comes_to_nothing() -> None:
    """Else a failed order's money would stay with us for a month: the refused key is not sent again."""
    call = operation(K.REFUND)
    known = order(S.PAYMENT_FAILED, captured(), operations=(call,))
    waiting, call = going_on(answer(known, call, Pending(transaction_id="pi_1", detail=AT_OTHERS)))
    assert call.state is OperationState.PENDING

    decision = answer(waiting, call, NotFound())

    after_it, again = going_on(decision)
    first = next(o for o in after_it.operations if o.operation_id == call.operation_id)
    assert (first.state, first.due_at) == (OperationState.NOT_EXECUTED, None)
    assert (again.kind, again.try_number, again.amount_minor) == (K.REFUND, call.try_number + 1, TOTAL)
    assert decision.events == ()


def test_a_pending_refund_of_ours_that_the_gateway_does_not_find_is_waited_for() -> None:
    call = operation(K.REFUND)
    known = order(S.PAYMENT_FAILED, captured(), operations=(call,))
    waiting, call = going_on(answer(known, call, Pending("re_1", "pi_1", "refund_pending")))
    _, still = going_on(answer(waiting, call, NotFound()))
    assert (still.state, still.try_number) == (OperationState.PENDING, 1)
