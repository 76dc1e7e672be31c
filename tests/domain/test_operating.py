"""An operation between its tries: what is done next, what is remembered, and under which key."""

from datetime import timedelta
from typing import Any, Final

import pytest

from domain.closing import close
from domain.ids import OrderId
from domain.operating import (
    Move,
    backoff_s,
    gateway_call,
    give_up_reason,
    key_lives,
    may_send_again,
    next_move,
    open_operation,
    postpone,
)
from domain.operation import GATEWAY_KINDS, Operation, OperationKind, OperationState, idempotency_key, operation_id
from domain.outcome import (
    AlreadyCaptured,
    Approved,
    Declined,
    Lapsed,
    NotExecuted,
    NotFound,
    Outcome,
    Pending,
    Reserved,
    Short,
    Unknown,
)
from domain.values import replace
from tests.domain.builders import AT, ORDER_ID, RULES, TOTAL, attempt, authorized, context, later, operation, order
from tests.domain.product import OUTCOMES

K = OperationKind
O = OperationState  # noqa: E741 - beside K, for tables of states
DEAD: Final = later(RULES.key_life_s)
ALIVE: Final = DEAD - timedelta(microseconds=1)


def waiting(state: OperationState, **overrides: Any) -> Operation:
    return operation(K.CAPTURE, state=state, unknown_since=AT, **overrides)


def test_the_gateway_remembers_a_key_until_its_life_is_over() -> None:
    assert (key_lives(operation(K.CAPTURE), ALIVE, RULES), key_lives(operation(K.CAPTURE), DEAD, RULES)) == (
        True,
        False,
    )


@pytest.mark.parametrize(
    ("state", "at", "move"),
    [
        (O.OPEN, AT, Move.PERFORM),
        (O.OPEN, DEAD, Move.LOOK_UP),
        (O.UNKNOWN, AT, Move.LOOK_UP),
        (O.PENDING, AT, Move.LOOK_UP),
    ],
)
def test_only_an_open_operation_with_a_living_key_is_sent_without_a_look_up(
    state: OperationState, at: Any, move: Move
) -> None:
    assert next_move(waiting(state), at, RULES) is move


@pytest.mark.parametrize(
    ("state", "replayed", "at", "again"),
    [
        (O.OPEN, False, ALIVE, True),
        (O.UNKNOWN, False, ALIVE, True),
        (O.UNKNOWN, False, DEAD, False),
        (O.UNKNOWN, True, ALIVE, False),
        (O.PENDING, False, ALIVE, True),
        (O.PENDING, False, DEAD, False),
    ],
)
def test_what_was_not_found_is_sent_again_only_while_the_key_can_tell_a_copy(
    state: OperationState,
    replayed: bool,  # noqa: FBT001 - a parameter of the table
    at: Any,
    again: bool,  # noqa: FBT001 - a parameter of the table
) -> None:
    assert may_send_again(waiting(state, replayed=replayed), at, RULES) is again


def test_a_pending_refund_is_there_whatever_a_look_up_says() -> None:
    refund = operation(K.REFUND, state=O.PENDING, unknown_since=AT)
    assert not may_send_again(refund, ALIVE, RULES)


def test_an_unknown_outcome_is_looked_up_soon_and_dated_from_when_it_was_last_known() -> None:
    put_off = postpone(operation(K.CAPTURE), Unknown("time-out"), context())
    assert put_off == operation(
        K.CAPTURE, state=O.UNKNOWN, detail="time-out", unknown_since=AT, due_at=later(RULES.unknown_retry_s)
    )
    again = postpone(put_off, NotFound(), context(later(60)))
    assert (again.state, again.unknown_since, again.detail) == (O.UNKNOWN, AT, "time-out")


def test_not_executed_leaves_an_operation_open_for_the_same_call() -> None:
    put_off = postpone(operation(K.CAPTURE), NotExecuted("HTTP 429"), context())
    assert put_off == operation(K.CAPTURE, detail="HTTP 429", due_at=later(RULES.backoff_min_s))


@pytest.mark.parametrize(("asked", "pause_s"), [(None, 1), (0.5, 1), (30.0, 30)])
def test_the_gateways_wish_for_a_pause_is_granted(asked: float | None, pause_s: float) -> None:
    assert postpone(operation(K.CAPTURE), NotExecuted("HTTP 429", asked), context()).due_at == later(pause_s)
    unknown = Unknown("HTTP 503", retry_after_s=asked)
    soonest = RULES.unknown_retry_s
    assert postpone(operation(K.CAPTURE), unknown, context()).due_at == later(max(pause_s, soonest))
    assert postpone(waiting(O.PENDING), unknown, context()).due_at == later(max(pause_s, soonest))


def test_why_a_refund_is_pending_is_kept_until_it_is_decided() -> None:
    pending = postpone(operation(K.REFUND), Pending("re_1", None, "refund_pending: insufficient_funds"), context())
    assert pending.detail == "refund_pending: insufficient_funds"
    assert postpone(pending, Unknown("time-out"), context()).detail == pending.detail
    assert close(pending, Approved("pi_1", "re_1", TOTAL), context()).detail is None


def test_not_executed_never_replaces_unknown() -> None:
    unknown = waiting(O.UNKNOWN, replayed=True)
    put_off = postpone(unknown, NotExecuted("HTTP 429"), context())
    assert replace(put_off, detail=None, due_at=unknown.due_at) == unknown


def test_a_pending_refund_stays_pending_whatever_a_look_up_says() -> None:
    pending = postpone(operation(K.REFUND), Pending("re_1"), context())
    assert (pending.state, pending.reference, pending.unknown_since) == (O.PENDING, "re_1", AT)
    for outcome in (Unknown("time-out"), Unknown("HTTP 500", replayed=True), NotExecuted("HTTP 429"), NotFound()):
        assert replace(postpone(pending, outcome, context()), due_at=pending.due_at) == pending
    assert postpone(pending, Pending(), context()).reference == "re_1"


@pytest.mark.parametrize(("age_s", "pause_s"), [(0, 5), (60, 60), (3_600, 3_600), (86_400, 3_600)])
def test_a_pending_operation_is_polled_soon_at_first_and_then_hourly(age_s: float, pause_s: float) -> None:
    now = later(age_s)
    put_off = postpone(waiting(O.PENDING), Pending(), context(now))
    assert put_off.due_at == now + timedelta(seconds=pause_s)


def test_a_replayed_failure_stays_replayed() -> None:
    replayed = postpone(operation(K.CAPTURE), Unknown("HTTP 500", replayed=True), context())
    assert postpone(replayed, Unknown("time-out"), context()).replayed
    assert postpone(replayed, NotFound(), context()).replayed


def test_pauses_double_up_to_their_bound() -> None:
    pauses = [backoff_s(tries, RULES.backoff_min_s, RULES) for tries in range(1, 12)]
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert backoff_s(10**9, RULES.unknown_retry_s, RULES) == RULES.backoff_max_s


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: type(outcome).__name__)
@pytest.mark.parametrize("state", [O.OPEN, O.UNKNOWN, O.PENDING])
@pytest.mark.parametrize("tries", [0, 1, 20, 10_000])
def test_what_waits_is_always_due_in_a_while(outcome: Outcome, state: OperationState, tries: int) -> None:
    due_at = postpone(waiting(state, tries=tries), outcome, context()).due_at
    assert due_at is not None
    assert later(0.5) <= due_at <= later(RULES.pending_poll_s)


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Approved("pi_9", "re_9", TOTAL), O.APPROVED),
        (AlreadyCaptured("pi_9", TOTAL), O.APPROVED),
        (Reserved(later(900)), O.APPROVED),
        (Short(()), O.DECLINED),
        (Lapsed(), O.DECLINED),
    ],
)
def test_a_definite_outcome_closes_an_operation(outcome: Outcome, state: OperationState) -> None:
    closed = close(waiting(O.UNKNOWN), outcome, context(later(9)))
    assert (closed.state, closed.settled_at, closed.due_at, closed.unfinished) == (state, later(9), None, False)


def test_a_decline_is_kept_with_the_gateways_words_for_operators() -> None:
    code = next(iter(OUTCOMES[2:3]))
    assert isinstance(code, Declined)
    closed = close(operation(K.AUTHORIZE), code, context())
    assert (closed.state, closed.detail, closed.transaction_id) == (O.DECLINED, "generic_decline", "pi_1")


UNKNOWN_S: Final = RULES.unknown_give_up_s
PENDING_S: Final = RULES.pending_give_up_s


@pytest.mark.parametrize(
    ("state", "tries", "age_s", "reason"),
    [
        (O.OPEN, RULES.tries_max - 1, UNKNOWN_S + 1, None),
        (O.OPEN, RULES.tries_max, 0, "capture_not_executed"),
        (O.UNKNOWN, 10_000, UNKNOWN_S, None),
        (O.UNKNOWN, 1, UNKNOWN_S + 1, "capture_unknown"),
        (O.PENDING, 10_000, PENDING_S, None),
        (O.PENDING, 1, PENDING_S + 1, "capture_overdue"),
    ],
)
def test_waiting_ends_by_tries_when_nothing_was_done_and_by_time_when_something_may_have_been(
    state: OperationState, tries: int, age_s: float, reason: str | None
) -> None:
    since = None if state is O.OPEN else AT
    assert (
        give_up_reason(operation(K.CAPTURE, state=state, tries=tries, unknown_since=since), context(later(age_s)))
        == reason
    )


def test_an_unknown_operation_is_not_given_up_while_its_key_could_still_tell() -> None:
    assert RULES.unknown_give_up_s >= RULES.key_life_s >= RULES.order_max_age_s


def test_a_key_follows_from_order_attempt_kind_and_try_and_from_nothing_else() -> None:
    keys = {
        idempotency_key(OrderId(order_id), number, kind, tried)
        for order_id in ("order-1", "order-11", "order-1:1")
        for number in (1, 2, 11)
        for kind in OperationKind
        for tried in (1, 2)
    }
    assert len(keys) == 3 * 3 * len(OperationKind) * 2
    assert idempotency_key(ORDER_ID, 1, K.CAPTURE, 1) == "payments:order-1:1:capture:1"


@pytest.mark.parametrize("kind", OperationKind)
def test_planning_twice_at_other_times_by_other_reactions_names_the_same_operation_and_key(kind: OperationKind) -> None:
    once = open_operation(order(), context(), kind, attempt(), "one", TOTAL).operations[0]
    twice = open_operation(order(), context(later(9)), kind, attempt(), "another", TOTAL).operations[0]
    assert (once.operation_id, once.try_number) == (twice.operation_id, 1)
    assert once.operation_id == operation_id(ORDER_ID, 1, kind, 1)


@pytest.mark.parametrize("kind", sorted(GATEWAY_KINDS))
def test_the_same_key_always_carries_the_same_parameters(kind: OperationKind) -> None:
    op = open_operation(order(), context(), kind, authorized(), "one", TOTAL).operations[0]
    tried = replace(
        op, state=O.UNKNOWN, tries=7, due_at=later(99), unknown_since=later(9), replayed=True, detail="time-out"
    )
    assert gateway_call(tried, "pm_1") == gateway_call(op, "pm_1")
    assert (gateway_call(op, "pm_1").token is None) == (kind is not K.AUTHORIZE)
