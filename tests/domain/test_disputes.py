"""Disputes: each turn is told once, in any order of notices, and neither the order's status nor its money changes."""

from itertools import pairwise
from typing import get_args

import pytest
import stripe

from consumers.payment_retry_requested import retry_payment
from domain.case import Case
from domain.conditions import is_disputed
from domain.decision import NOTHING, Decision
from domain.disputing import OPEN, OUTCOMES, STATUSES, KnownDispute
from domain.failure_codes import FailureCode
from domain.hearing import FraudWarning
from domain.news import Dispute
from domain.operation import OperationKind
from domain.order import Order, Status
from domain.outcome import Declined
from domain.values import replace
from tests.domain.builders import AT, TOTAL, captured, context, later, operation, order
from tests.domain.facts import facts
from tests.domain.told import dispute, told
from tests.schemas import builders

K = OperationKind

PAID = order(Status.PAID_AND_CONFIRMED, captured())
OPENED, CLOSED = "PaymentDisputed", "PaymentDisputeClosed"


def decided(decision: Decision | None) -> Decision:
    assert decision is not None
    return decision


def story(*turns: Dispute, known: Order = PAID) -> tuple[list[list[str]], list[str | None], KnownDispute]:
    """Hear these, one after the other; return the events of each turn, the alarms, and the row at the end."""
    rows: tuple[KnownDispute, ...] = ()
    said, alarms = [], []
    for number, turn in enumerate(turns):
        decision = decided(told(known, turn, *rows, asked_s=number))
        said.append([event.TYPE for event in decision.events])
        alarms.append(decision.alarm)
        assert decision.dispute is not None
        rows = (decision.dispute,)
        assert decision.order is not None
        disputed = not decision.dispute.refundable
        assert decision.order == replace(known, version=decision.order.version, disputed=disputed)
        known = decision.order
    return said, alarms, rows[0]


def test_the_statuses_are_those_of_the_sdk() -> None:
    (literal,) = [part for part in get_args(stripe.Dispute.__annotations__["status"]) if part is not str]
    assert set(get_args(literal)) == STATUSES
    assert not OPEN & OUTCOMES.keys()


def test_a_dispute_is_told_with_all_that_others_need() -> None:
    decision = decided(told(PAID, dispute()))
    (event,) = facts(decision)
    assert event == {
        "type": OPENED,
        "customer_id": "customer-1",
        "attempt": 1,
        "transaction_id": "pi_1",
        "dispute_id": "dp_1",
        "amount_minor": TOTAL,
        "currency": "EUR",
        "reason": "fraudulent",
        "funds_withdrawn": True,
    }
    assert decision.alarm == "payment_disputed"
    assert decision.dispute == KnownDispute(
        "dp_1", 1, AT, "needs_response", TOTAL, "EUR", "fraudulent", True, False, None, AT, "WITHDRAWN"
    )


def test_what_is_said_again_is_told_once_and_rings_once() -> None:
    said, alarms, _ = story(*[dispute()] * 3, *[dispute("under_review")] * 2)
    assert said == [[OPENED], [], [], [], []]
    assert alarms == ["payment_disputed", None, None, None, None]


@pytest.mark.parametrize(("status", "outcome"), OUTCOMES.items())
def test_every_end_is_told_with_its_outcome(status: str, outcome: str) -> None:
    said, _, row = story(dispute(), dispute(status, funds_withdrawn=status == "lost"), dispute(status))
    assert said == [[OPENED], [CLOSED], []]
    assert (row.told, row.closed_at) == (outcome, later(1))


def test_an_inquiry_that_escalates_is_told_again_and_one_that_ends_moves_no_money() -> None:
    said, alarms, _ = story(dispute("warning_needs_response"), dispute("warning_under_review"), dispute())
    assert (said, alarms) == ([[OPENED], [], [OPENED]], ["payment_disputed", None, None])
    said, _, row = story(dispute("warning_needs_response"), dispute("warning_closed"))
    assert (said, row.funds_withdrawn) == ([[OPENED], [CLOSED]], False)


def test_a_dispute_that_is_opened_again_is_told_again_and_so_is_its_new_end() -> None:
    said, _, row = story(
        dispute("prevented", funds_withdrawn=False),
        dispute("needs_response"),
        dispute("won", funds_withdrawn=False),
        dispute("appeal_needs_response"),
        dispute("appeal_under_review"),
        dispute("lost"),
    )
    assert said == [[OPENED, CLOSED], [OPENED], [CLOSED], [OPENED], [], [CLOSED]]
    assert (row.told, row.funds_withdrawn) == ("LOST", True)


def test_of_notices_that_were_lost_nothing_is_missing_in_the_end() -> None:
    said, _, _ = story(dispute("lost"))
    assert said == [[OPENED, CLOSED]]
    said, _, _ = story(dispute("warning_needs_response"), dispute("lost"))
    assert said == [[OPENED], [OPENED, CLOSED]], "the withdrawal is told, too"


def test_money_that_comes_back_while_it_is_open_is_kept_and_told_at_the_end() -> None:
    back = dispute("under_review", funds_withdrawn=False)
    said, _, row = story(dispute(), back, back)
    assert (said, row.funds_withdrawn, row.told) == ([[OPENED], [], []], False, "OPEN")
    said, _, _ = story(dispute(), back, dispute())
    assert said == [[OPENED], [], [OPENED]]


def test_an_answer_to_an_older_question_is_not_taken() -> None:
    row = decided(told(PAID, dispute("won", funds_withdrawn=False), asked_s=5)).dispute
    assert row is not None
    assert told(PAID, dispute(), row, asked_s=4) == NOTHING


def test_a_status_of_a_newer_api_is_kept_with_one_alarm_and_told_when_it_is_known() -> None:
    said, alarms, row = story(dispute("escalated"), dispute("escalated"), dispute("needs_response"))
    assert (said, alarms) == ([[], [], [OPENED]], ["dispute_unknown", None, "payment_disputed"])
    assert row.told == "WITHDRAWN"
    said, _, row = story(dispute("lost"), dispute("escalated"))
    assert (said, row.told, row.status) == ([[OPENED, CLOSED], []], "LOST", "escalated")


def test_several_disputes_of_one_payment_do_not_mix() -> None:
    first = decided(told(PAID, dispute())).dispute
    assert first is not None
    other = decided(told(PAID, dispute(dispute_id="dp_2"), first))
    assert ([event.TYPE for event in other.events], other.alarm) == ([OPENED], "payment_disputed")


@pytest.mark.parametrize("status", Status)
def test_a_dispute_waits_for_nothing(status: Status) -> None:
    known = order(status, captured(), reviewed=Status.PAYMENT_FAILED if status is Status.MANUAL_REVIEW else None)
    decision = decided(told(known, dispute()))
    assert decision.order is not None
    assert (decision.order.status, len(decision.events)) == (status, 1)


def test_a_dispute_of_a_payment_that_no_attempt_has_waits() -> None:
    assert told(PAID, dispute(transaction_id="pi_strange")) is None


def paid_again() -> Order:
    """Build an order whose first attempt was refunded, and whose second one has paid."""
    return order(Status.PAID_AND_CONFIRMED, captured(refunded_minor=TOTAL), captured(2))


def test_a_dispute_of_an_older_attempt_keeps_nobody_from_refunding_the_one_that_paid() -> None:
    decision = decided(told(paid_again(), dispute()))
    assert decision.order is not None
    assert ([event.TYPE for event in decision.events], decision.order.disputed) == ([OPENED], False)
    assert decision.dispute is not None
    assert (decision.dispute.attempt, decision.dispute.refundable) == (1, False)

    both = decided(told(decision.order, dispute(dispute_id="dp_2", transaction_id="pi_2"), decision.dispute))
    assert both.order is not None
    assert both.order.disputed
    assert both.dispute is not None
    won = dispute("won", dispute_id="dp_2", transaction_id="pi_2")
    after = decided(told(both.order, won, decision.dispute, both.dispute, asked_s=1))
    assert after.order is not None
    assert not after.order.disputed


def test_a_refusal_of_an_older_attempts_refund_is_no_dispute_because_the_new_one_is_disputed() -> None:
    known = replace(paid_again(), disputed=True)
    other = Declined(FailureCode.GATEWAY_REFUSED, "generic_decline")
    verdicts = [is_disputed(Case(known, context(), "", None, operation(K.REFUND, n), other)) for n in (1, 2)]
    assert verdicts == [False, True]


def test_another_attempt_begins_without_the_dispute_of_the_one_before() -> None:
    failed = order(
        Status.PAYMENT_FAILED,
        captured(refunded_minor=TOTAL),
        disputed=True,
        retryable=True,
        retry_until=later(900),
    )
    again = retry_payment.plan(failed, builders.payment_retry_requested(), context()).order
    assert again is not None
    assert (again.attempt, again.disputed) == (2, False)


def test_a_warning_of_fraud_is_an_alarm_and_moves_nothing() -> None:
    decision = decided(told(PAID, FraudWarning()))
    assert (decision.order, decision.events, decision.alarm) == (PAID, (), "fraud_warning")


def test_every_path_through_the_statuses_tells_openings_and_ends_in_turn() -> None:
    """Between two ends of a dispute there is an opening, whatever statuses follow each other."""
    every = sorted(STATUSES)
    for one, two in [(a, b) for a in every for b in every]:
        for three in every:
            said, _, row = story(dispute(one), dispute(two), dispute(three))
            flat = [name for turn in said for name in turn]
            assert flat[0] == OPENED
            assert all(before == OPENED for before, after in pairwise(flat) if after == CLOSED) or two in OUTCOMES
            assert (row.told in OUTCOMES.values()) == (three in OUTCOMES)
