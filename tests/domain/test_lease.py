"""Whose lease it is when an answer comes, what of it counts as a try, and what is left to whoever has the lease."""

from typing import Any, Final

import pytest

from consumers.reactions import BY_NAME
from domain.decision import NOTHING, Decision
from domain.lease import settle_answer
from domain.operating import backoff_s, count_answer, open_operation
from domain.operation import Operation, OperationKind, OperationState
from domain.order import Status
from domain.outcome import Approved, NotExecuted, NotFound, Outcome, Pending, Unknown
from tests.domain.builders import AT, RULES, TOTAL, attempt, context, later, operation, order

K = OperationKind
O = OperationState  # noqa: E741 - beside K, for tables of states
MINE: Final = later(60)
THEIRS: Final = later(75)
WAITING: Final = (Unknown("time-out"), NotExecuted("HTTP 429"), NotFound())


def answer(outcome: Outcome, *, lease: Any, said: str | None = None, **known: Any) -> Decision:
    waiting = operation(K.AUTHORIZE, **known)
    found = order(Status.CONFIRMED, attempt(), operations=(waiting,))
    return settle_answer(BY_NAME["authorize_payment"].settle, found, waiting, outcome, lease, context(), said)


def waiting_in(decision: Decision) -> Operation:
    assert decision.order is not None
    (found,) = decision.order.operations
    return found


@pytest.mark.parametrize("outcome", [*WAITING, Pending("re_1")])
def test_an_answer_under_its_own_lease_says_when_the_operation_is_due(outcome: Outcome) -> None:
    found = waiting_in(answer(outcome, lease=MINE, due_at=MINE))
    assert found.due_at is not None
    assert AT < found.due_at < MINE
    assert found.tries == 1


@pytest.mark.parametrize("outcome", [*WAITING, Pending("re_1")])
def test_an_answer_that_came_after_its_lease_leaves_the_lease_of_another_as_it_is(outcome: Outcome) -> None:
    found = waiting_in(answer(outcome, lease=MINE, due_at=THEIRS))
    assert (found.due_at, found.tries) == (THEIRS, 1)
    assert found.state is {Pending: O.PENDING, NotExecuted: O.OPEN}.get(type(outcome), O.UNKNOWN)


def test_a_definite_answer_counts_whoever_brings_it() -> None:
    found = answer(Approved("pi_1", None, TOTAL), lease=MINE, due_at=THEIRS)
    assert found == answer(Approved("pi_1", None, TOTAL), lease=THEIRS, due_at=THEIRS)
    assert waiting_in(found).due_at is None


@pytest.mark.parametrize("outcome", WAITING)
def test_what_a_person_has_is_not_taken_up_again_by_a_late_answer_that_tells_nothing(outcome: Outcome) -> None:
    assert answer(outcome, lease=MINE, due_at=None) is NOTHING


@pytest.mark.parametrize("outcome", [*WAITING, Pending("re_1"), Approved("pi_1", None, TOTAL)])
def test_the_last_request_id_stays_with_the_operation(outcome: Outcome) -> None:
    first = waiting_in(answer(outcome, lease=MINE, due_at=MINE, said="req_1"))
    again = waiting_in(answer(outcome, lease=MINE, due_at=MINE, request_id="req_1", said="req_2"))
    silent = waiting_in(answer(outcome, lease=MINE, due_at=MINE, request_id="req_1"))
    assert [found.request_id for found in (first, again, silent)] == ["req_1", "req_2", "req_1"]


def test_an_operation_begins_without_a_try_and_each_answer_is_one() -> None:
    opened = open_operation(order(), context(), K.CAPTURE, attempt(), "one", TOTAL).operations[0]
    assert opened.tries == 0
    once = count_answer(opened, Unknown("time-out"))
    assert count_answer(once, NotExecuted("HTTP 429")).tries == 2
    assert count_answer(once, Approved("pi_1")).tries == 2


def test_what_everybody_is_told_while_the_gateway_is_down_is_no_try() -> None:
    found = operation(K.CAPTURE, tries=RULES.tries_max - 1)
    assert count_answer(found, NotExecuted("HTTP 429", everybody=True)) == found


def test_a_call_that_is_left_to_a_newer_release_is_no_try_however_often_it_comes_by() -> None:
    found = operation(K.AUTHORIZE, tries=RULES.tries_max - 1)
    assert count_answer(found, NotExecuted("of a newer release", 10.0, not_asked=True)) == found


@pytest.mark.parametrize("outcome", [Pending("re_1"), NotFound(), Approved("pi_1")])
def test_polls_of_what_is_pending_are_no_tries(outcome: Outcome) -> None:
    found = operation(K.REFUND, state=O.PENDING, tries=1)
    assert count_answer(found, outcome) == found


def test_a_first_answer_that_does_not_count_is_followed_by_the_first_pause() -> None:
    assert backoff_s(0, RULES.backoff_min_s, RULES) == backoff_s(1, RULES.backoff_min_s, RULES) == RULES.backoff_min_s
