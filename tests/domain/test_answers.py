"""The door for answers: what of a gateway's word can be kept is kept, and what cannot never becomes an approval."""

from datetime import UTC, datetime
from typing import Any

import pytest

from consumers.reactions import BY_NAME
from domain.answers import (
    ANSWERS,
    DETAIL_LENGTH_MAX,
    NO_ANSWER_OF_ITS_KIND,
    NO_REFERENCE,
    OTHER_AMOUNT,
    RETRY_AFTER_MAX_S,
    admit,
)
from domain.failure_codes import FailureCode
from domain.operation import OperationKind, OperationState
from domain.order import Status
from domain.outcome import (
    AlreadyCaptured,
    Approved,
    Declined,
    Lapsed,
    Missing,
    NotExecuted,
    NotFound,
    OtherAmount,
    Outcome,
    Pending,
    Reserved,
    ReturnedElsewhere,
    Short,
    Undecided,
    Unknown,
)
from domain.values import replace
from schemas.fields import LONG_MAX
from tests.domain import product
from tests.domain.builders import AT, TOTAL, attempt, context, later, operation, order

K = OperationKind
BAD_IDS: list[Any] = ["", "p" * 256, "pi\0", "pi\n1", "\ud800", 7, [], {}, True]
BAD_AMOUNTS: list[Any] = [-1, LONG_MAX + 1, 1.0, "3080", None, True]


@pytest.mark.parametrize(
    "outcome",
    [
        Approved("pi_1", "re_1", TOTAL, captured=True, expires_at=AT, livemode=True),
        Approved("p" * 255, None, 0),
        AlreadyCaptured("pi_1", TOTAL),
        Declined(FailureCode.CARD_DECLINED, "generic_decline", "pi_1"),
        Declined(FailureCode.CARD_DECLINED),
        Lapsed(),
        Pending("re_1", "pi_1"),
        Pending(),
        Unknown("HTTP 500", replayed=True),
        NotExecuted("HTTP 429", 3.0),
        NotExecuted("HTTP 429"),
        NotFound(),
        Reserved(later(900)),
        Short((Missing("SKU-1", 2, 1), Missing("SKU-2", 2, None))),
        Short(()),
    ],
)
@pytest.mark.parametrize("kind", OperationKind)
def test_an_answer_that_can_be_kept_stays_as_it_is_where_such_a_call_can_have_it(
    kind: OperationKind, outcome: Outcome
) -> None:
    can_have_it = isinstance(outcome, product.ANSWERS[kind])
    assert admit(operation(kind, transaction_id=None), outcome) == (outcome if can_have_it else NO_ANSWER_OF_ITS_KIND)


def test_what_a_call_can_come_to_is_what_its_port_can_answer() -> None:
    assert {kind: frozenset(types) for kind, types in product.ANSWERS.items()} == ANSWERS
    assert NO_ANSWER_OF_ITS_KIND.replayed


@pytest.mark.parametrize("transaction_id", [None, *BAD_IDS])
def test_an_approval_without_a_usable_id_is_unknown_and_never_sent_again(transaction_id: Any) -> None:
    assert admit(operation(K.AUTHORIZE), Approved(transaction_id, None, TOTAL)) == NO_REFERENCE
    assert NO_REFERENCE.replayed


def test_an_id_from_an_earlier_answer_is_as_good() -> None:
    known = operation(K.AUTHORIZE, transaction_id="pi_7")

    assert admit(known, Approved(None, None, TOTAL)) == Approved("pi_7", None, TOTAL)


@pytest.mark.parametrize("amount", BAD_AMOUNTS)
@pytest.mark.parametrize("kind", [K.AUTHORIZE, K.CAPTURE, K.REFUND])
def test_an_amount_that_makes_no_sense_is_no_approval(kind: OperationKind, amount: Any) -> None:
    assert admit(operation(kind), Approved("pi_1", "re_1", amount)) == OTHER_AMOUNT
    assert OTHER_AMOUNT.replayed


@pytest.mark.parametrize("amount", [TOTAL - 1, TOTAL + 1])
@pytest.mark.parametrize("kind", [K.AUTHORIZE, K.CAPTURE])
def test_another_amount_is_no_approval_of_what_was_asked(kind: OperationKind, amount: int) -> None:
    said = Approved("pi_1", None, amount, captured=True)
    assert admit(operation(kind), said) == OtherAmount("pi_1", amount, captured=True)


def test_a_refund_of_less_is_what_it_is_and_of_more_is_unknown() -> None:
    less = Approved("pi_1", "re_1", TOTAL - 1)
    assert admit(operation(K.REFUND), less) == less
    assert admit(operation(K.REFUND), Approved("pi_1", "re_1", TOTAL + 1)) == OTHER_AMOUNT


@pytest.mark.parametrize("amount", [0, *(amount for amount in BAD_AMOUNTS if amount is not None)])
def test_what_was_executed_otherwise_needs_a_sensible_amount_and_an_id(amount: Any) -> None:
    assert admit(operation(K.AUTHORIZE), OtherAmount("pi_1", amount)) == OTHER_AMOUNT
    assert admit(operation(K.REFUND), ReturnedElsewhere(amount, "re_1")) == OTHER_AMOUNT
    assert admit(operation(K.AUTHORIZE), OtherAmount("pi_1", None)) == OtherAmount("pi_1", None)


@pytest.mark.parametrize("bad", BAD_IDS)
def test_what_must_be_named_later_needs_a_usable_id(bad: Any) -> None:
    assert admit(operation(K.AUTHORIZE), OtherAmount(bad, 7)) == NO_REFERENCE
    assert admit(operation(K.AUTHORIZE), Undecided(bad, "processing")) == NO_REFERENCE
    assert admit(operation(K.REFUND), ReturnedElsewhere(7, bad)) == OTHER_AMOUNT


@pytest.mark.parametrize("amount", [0, *BAD_AMOUNTS])
def test_a_capture_of_no_amount_is_unknown(amount: Any) -> None:
    assert admit(operation(K.VOID), AlreadyCaptured("pi_1", amount)) == OTHER_AMOUNT


@pytest.mark.parametrize("bad", BAD_IDS)
def test_a_note_that_cannot_be_kept_is_left_out_and_the_answer_stands(bad: Any) -> None:
    assert admit(operation(K.REFUND), Approved("pi_1", bad, TOTAL)) == Approved("pi_1", None, TOTAL)
    assert admit(operation(K.VOID), AlreadyCaptured(bad, TOTAL)) == AlreadyCaptured("pi_1", TOTAL)
    assert admit(operation(K.REFUND), Pending(bad, bad)) == Pending()
    declined = admit(operation(K.CAPTURE), Declined(FailureCode.CAPTURE_REFUSED, "no", bad))
    assert declined == Declined(FailureCode.CAPTURE_REFUSED, "no")


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("two\nlines", "two\ufffdlines"),
        ("a\0b\ud800", "a\ufffdb\ufffd"),
        ("x" * 1_000_000, "x" * DETAIL_LENGTH_MAX),
        (7, "(int)"),
        (["a"], "(list)"),
    ],
)
def test_words_for_an_operator_are_one_line_that_a_database_stores(said: Any, kept: str) -> None:
    assert admit(operation(K.CAPTURE), Unknown(said)) == Unknown(kept)
    assert admit(operation(K.CAPTURE), NotExecuted(said)) == NotExecuted(kept)
    assert admit(operation(K.CAPTURE), Pending(None, None, said)) == Pending(None, None, kept)
    declined = admit(operation(K.CAPTURE), Declined(FailureCode.CAPTURE_REFUSED, said))
    assert declined == Declined(FailureCode.CAPTURE_REFUSED, kept)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        *((value, RETRY_AFTER_MAX_S) for value in (RETRY_AFTER_MAX_S, 1e15, float("inf"), 10**400)),
        *((value, None) for value in (-1.0, float("nan"), None)),
        (0.0, 0.0),
    ],
)
def test_no_gateway_puts_an_operation_off_for_ever(said: Any, kept: float | None) -> None:
    assert admit(operation(K.CAPTURE), NotExecuted("HTTP 429", said)) == NotExecuted("HTTP 429", kept)
    unknown = Unknown("HTTP 503", retry_after_s=said)
    assert admit(operation(K.CAPTURE), unknown) == Unknown("HTTP 503", retry_after_s=kept)


def test_flags_and_times_are_what_they_should_be_or_left_out() -> None:
    odd: Any = "yes"
    naive = datetime(2027, 1, 1)  # noqa: DTZ001 - a gateway's word without a zone
    said = Approved("pi_1", None, TOTAL, captured=odd, expires_at=naive, livemode=odd)

    assert admit(operation(K.AUTHORIZE), said) == Approved("pi_1", None, TOTAL)
    whole = replace(said, expires_at=later(86_400), captured=True, livemode=True)
    assert admit(operation(K.AUTHORIZE), whole) == whole
    for absurd in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)):
        told = admit(operation(K.AUTHORIZE), replace(whole, expires_at=absurd))
        assert told == replace(whole, expires_at=None)


def test_what_an_inventory_has_is_told_within_the_bounds_of_a_count() -> None:
    said = Short((Missing("a", 2, -5), Missing("b", 2, LONG_MAX + 1), Missing("c", 2, None), Missing("d", 2, 1)))
    kept = Short((Missing("a", 2, 0), Missing("b", 2, LONG_MAX), Missing("c", 2, None), Missing("d", 2, 1)))

    assert admit(operation(K.RESERVE), said) == kept


@pytest.mark.parametrize("said", [Approved(None, None, TOTAL), Approved("pi_1", None, -1)])
def test_an_order_with_an_answer_that_cannot_be_kept_waits_for_a_look_up(said: Outcome) -> None:
    asked = operation(K.AUTHORIZE)
    waiting = order(Status.CONFIRMED, attempt(), operations=(asked,))

    decision = BY_NAME["authorize_payment"].settle(waiting, asked, said, context())

    assert decision.order is not None
    assert (decision.order.status, decision.events) == (Status.CONFIRMED, ())
    (operation_now,) = decision.order.operations
    assert (operation_now.state, operation_now.replayed) == (OperationState.UNKNOWN, True)
    assert decision.order.current.authorized_minor == 0


def test_an_absurd_pause_does_not_end_the_process() -> None:
    asked = operation(K.AUTHORIZE)
    waiting = order(Status.CONFIRMED, attempt(), operations=(asked,))

    decision = BY_NAME["authorize_payment"].settle(waiting, asked, NotExecuted("HTTP 429", 1e300), context())

    assert decision.order is not None
    assert decision.order.operations[0].due_at == later(RETRY_AFTER_MAX_S)
