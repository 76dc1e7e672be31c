"""Whatever comes to whatever order: the tables have an answer, and it is a legal one.

417,000 triggers and 248,000 answers are walked; tests.domain.product says which, and which are impossible and why.
"""

import dataclasses
import gc
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

import pytest

from consumers import gateway_told
from consumers.items_reserved import capture_payment
from consumers.order_cancel_requested import cancel_order
from consumers.order_confirmed import authorize_payment
from consumers.preparation_started import note_preparation_start
from consumers.reactions import REACTIONS
from consumers.refund_requested import refund_payment
from domain.cancel_requests import cancelled_early
from domain.case import Case
from domain.conditions import (
    approved_late,
    cancelled,
    capture_refused,
    goods_gone,
    is_disputed,
    nothing_came_back,
    of_current_attempt,
    others_gave_nothing,
    overdue,
)
from domain.decision import Decision, event_id
from domain.edges import EDGES
from domain.operation import BESIDE_OTHERS, OperationKind, OperationState
from domain.order import Attempt, Order, Status
from domain.outcome import AlreadyCaptured, Approved, OtherAmount
from domain.payment import give_back
from domain.reaction import Reaction
from domain.refund_answers import in_part, others_came_to_nothing, unexplained
from domain.rows import On, Step, When
from domain.rules import Context
from domain.settling import FIRST
from domain.values import replace
from schemas import events as e
from tests.domain import product
from tests.domain.product import Planned, Settled, planned_cases, settled_cases

pytestmark = pytest.mark.timeout(600)
"""The walk takes long on a busy machine."""
VOID: Final = OperationKind.VOID
COMMON: Final = frozenset({e.PaymentReviewRequired, e.CustomerNotificationRequested})
"""Told by whatever reaction waits too long: an operator is asked, the customer is asked for patience."""

TOLD_BY: Final[dict[Status, frozenset[type[e.OwnEvent]]]] = {
    Status.ACTION_REQUIRED: frozenset({e.CustomerActionRequired}),
    Status.PAYMENT_AUTHORIZED: frozenset({e.PaymentAuthorized}),
    Status.ITEMS_RESERVED: frozenset({e.ItemsReserved}),
    Status.RESERVATION_FAILED: frozenset({e.ReservationFailed}),
    # From manual review it is told by the refund that is settled at last.
    Status.PAID_AND_CONFIRMED: frozenset({e.PaidAndConfirmed, e.PaymentRefunded, e.RefundRefused, e.ItemsRestocked}),
    # From manual review it is told by the money that is back at last.
    Status.PAYMENT_FAILED: frozenset({e.PaymentFailed, e.PaymentRefunded, e.PaymentVoided}),
    Status.CANCELLED: frozenset({e.OrderCancelled, e.PaymentRefunded, e.PaymentVoided, e.ItemsRestocked}),
    Status.MANUAL_REVIEW: frozenset({e.PaymentReviewRequired}),
}


def _recorded(reaction: Reaction, taken: set[When | On]) -> Reaction:
    """Return a reaction that notes which of its rows are taken."""

    def noting(row: When | On) -> Step:
        def take(case: Case) -> Decision:
            taken.add(row)
            return row.step(case)

        return take

    return dataclasses.replace(
        reaction,
        plans=tuple(row._replace(step=noting(row)) for row in reaction.plans),
        settles=tuple(row._replace(step=noting(row)) for row in reaction.settles),
    )


class Walked:
    """Every case with its decision, once for all tests; those without effect are only counted."""

    def __init__(self) -> None:
        self.triggers = self.answers = 0
        self.taken: set[When | On] = set()
        """Rows of both tables that some case fits."""
        reactions = {reaction.name: _recorded(reaction, self.taken) for reaction in REACTIONS}
        self.planned: list[tuple[Planned, Decision]] = []
        self.settled: list[tuple[Settled, Decision]] = []
        for planned in planned_cases():
            self.triggers += 1
            decision = reactions[planned.reaction.name].plan(planned.order, planned.event, planned.context)
            assert decision.order is not None or not decision.events
            if decision.order is not None:
                self.planned.append((planned, decision))
        for settled in settled_cases():
            self.answers += 1
            reaction = reactions[settled.reaction.name]
            decision = reaction.settle(settled.order, settled.operation, settled.outcome, settled.context)
            self.settled.append((settled, decision))

    def decisions(self) -> Iterable[tuple[Planned | Settled, Decision]]:
        yield from self.planned
        yield from self.settled


@pytest.fixture(scope="module")
def walked() -> Iterator[Walked]:
    # The walk makes values only, none in a circle: looking for circles among them takes longer than the walk.
    gc.disable()
    try:
        yield Walked()
    finally:
        gc.enable()


C = TypeVar("C")


def first(cases: Iterable[C]) -> C | None:
    return next(iter(cases), None)


def changed(case: Planned | Settled, decision: Decision) -> bool:
    return decision.order is not None and (case.order is None or case.order.status is not decision.order.status)


def test_every_trigger_and_every_answer_is_decided_without_an_exception(walked: Walked) -> None:
    assert (walked.triggers, walked.answers) == (416_991, 257_868)
    assert len(walked.planned) > 10_000
    assert sum(case.possible for case, _ in walked.settled) > 10_000


def test_an_order_moves_along_declared_edges_only(walked: Walked) -> None:
    moves = {
        (None if case.order is None else case.order.status, decision.order.status)
        for case, decision in walked.decisions()
        if decision.order is not None and changed(case, decision)
    }
    assert moves - EDGES == set()


def _version_fits(case: Planned | Settled, decision: Decision) -> bool:
    if decision.order is None:
        return not decision.events
    before = 0 if case.order is None else case.order.version
    # Answers and requests that are decided on together have a version each.
    return decision.order.version == before + len({event.order_version for event in decision.events})


def test_the_version_rises_by_one_exactly_when_events_are_emitted(walked: Walked) -> None:
    assert first(c for c in walked.decisions() if not _version_fits(*c)) is None


def _envelopes_fit(decision: Decision, context: Context) -> bool:
    order = decision.order
    if order is None:
        return True
    versions = sorted({event.order_version for event in decision.events})
    if versions != list(range(order.version - len(versions) + 1, order.version + 1)):
        return False
    return all(
        (event.event_id, event.occurred_at, event.correlation_id, event.causation_id, event.ordinal)
        == (
            event_id(order.order_id, version, ordinal, event.TYPE),
            context.at,
            order.correlation_id,
            context.causation_id,
            ordinal,
        )
        for version in versions
        for ordinal, event in enumerate(e for e in decision.events if e.order_version == version)
    )


def test_events_are_numbered_and_named_by_their_place_in_the_order(walked: Walked) -> None:
    assert first(c for c in walked.decisions() if not _envelopes_fit(c[1], c[0].context)) is None


def test_every_new_status_but_confirmed_is_told_by_its_event(walked: Walked) -> None:
    def told(decision: Decision) -> bool:
        assert decision.order is not None
        status = decision.order.status
        return status is Status.CONFIRMED or any(type(event) in TOLD_BY[status] for event in decision.events)

    decisions = (c for c in walked.decisions() if isinstance(c[0], Planned) or c[0].possible)
    assert first(c for c in decisions if changed(*c) and not told(c[1])) is None


def _unfinished(order: Order) -> int:
    return sum(o.unfinished and o.kind not in BESIDE_OTHERS for o in order.operations)


def test_an_order_never_has_two_unfinished_operations(walked: Walked) -> None:
    assert first(c for c in walked.decisions() if c[1].order is not None and _unfinished(c[1].order) > 1) is None


def test_an_operation_under_way_is_never_opened_anew(walked: Walked) -> None:
    def clobbered(case: Planned | Settled, decision: Decision) -> bool:
        if case.order is None or decision.order is None or not isinstance(case, Planned):
            return False
        return any(o not in decision.order.operations for o in case.order.operations)

    assert first(c for c in walked.planned if clobbered(*c)) is None


def _opened(case: Planned | Settled, decision: Decision) -> set[tuple[str, OperationKind]]:
    """Return whose operations are opened: a reserve that waited for a release is reserve_items', whoever released."""
    if decision.order is None:
        return set()
    before = set() if case.order is None else {o.operation_id for o in case.order.operations}
    return {(o.reaction, o.kind) for o in decision.order.operations if o.operation_id not in before}


def test_a_reaction_opens_only_operations_that_it_declares_and_can_settle(walked: Walked) -> None:
    opened: dict[str, set[OperationKind]] = {reaction.name: set() for reaction in REACTIONS}
    for case, decision in walked.decisions():
        if isinstance(case, Planned) or case.possible:
            for owner, kind in _opened(case, decision):
                opened[owner].add(kind)
    assert opened == {reaction.name: set(reaction.calls) for reaction in REACTIONS}


def test_money_of_an_attempt_is_refunded_at_most_once_captured_and_captured_at_most_once_authorized(
    walked: Walked,
) -> None:
    def sane(attempt: Attempt) -> bool:
        return 0 <= attempt.refunded_minor <= attempt.captured_minor <= attempt.authorized_minor

    orders = (
        (case, decision.order)
        for case, decision in walked.decisions()
        if decision.order is not None and (isinstance(case, Planned) or case.possible)
    )
    assert first((case, order) for case, order in orders if not all(map(sane, order.attempts))) is None


def _wanted(order: Order, attempt: Attempt) -> bool:
    """Whether the order's status wants this attempt's money, or has an event on its way that will return it."""
    return attempt.number == order.attempt and order.status in {
        Status.PAYMENT_AUTHORIZED,
        Status.ITEMS_RESERVED,
        Status.RESERVATION_FAILED,
        Status.PAID_AND_CONFIRMED,
    }


def _stranded(order: Order) -> bool:
    if order.status is Status.MANUAL_REVIEW:
        return False
    giving_back = {
        o.attempt for o in order.operations if o.unfinished and o.kind in {OperationKind.VOID, OperationKind.REFUND}
    }
    return any(
        (attempt.held_minor > 0 or attempt.kept_minor > 0)
        and not _wanted(order, attempt)
        and attempt.number not in giving_back
        for attempt in order.attempts
    )


def test_no_answer_leaves_money_that_no_status_wants(walked: Walked) -> None:
    settled = ((case, decision.order) for case, decision in walked.settled if case.possible)
    assert first((case, order) for case, order in settled if order is not None and _stranded(order)) is None


def test_an_answer_that_such_a_call_cannot_have_is_looked_up_and_ends_in_review(walked: Walked) -> None:
    ends = 0
    for case, decision in walked.settled:
        asked = case.operation
        unneeded = asked.kind is OperationKind.EXTEND and asked.attempt != case.order.attempt
        if isinstance(case.outcome, product.ANSWERS[asked.kind]) or unneeded:
            continue
        assert decision.order is not None, case
        (left,) = [o for o in decision.order.operations if o.operation_id == asked.operation_id]
        assert left.unfinished, case
        assert left.state is (asked.state if asked.state is OperationState.PENDING else OperationState.UNKNOWN), case
        assert left.replayed or left.state is OperationState.PENDING, case
        assert _but_for_token(decision.order.current) == _but_for_token(case.order.current), "it moves no money"
        if left.due_at is None:
            ends += 1
            assert decision.order.status is Status.MANUAL_REVIEW, case
    assert ends > 1_000


def _but_for_token(attempt: Attempt) -> Attempt:
    return replace(attempt, token=None)


def _may_be_sent(order: Order, attempt: Attempt) -> bool:
    """Whether an authorize of this attempt may still be sent, or sent again with its key."""
    review = order.status is Status.MANUAL_REVIEW
    return any(
        o.kind is OperationKind.AUTHORIZE
        and o.attempt == attempt.number
        and o.state in {OperationState.OPEN, OperationState.UNKNOWN}
        and not o.replayed
        and (o.due_at is not None or not review)
        for o in order.operations
    )


def test_after_any_decision_an_attempt_has_a_token_only_while_it_may_still_be_sent(walked: Walked) -> None:
    orders = ((case, decision.order) for case, decision in walked.decisions() if decision.order is not None)
    wrong = ((case, o) for case, o in orders for a in o.attempts if a.token is not None and not _may_be_sent(o, a))
    assert first(wrong) is None


def test_an_authorize_that_may_still_be_sent_keeps_its_token(walked: Walked) -> None:
    kept = 0
    for case, decision in walked.settled:
        if decision.order is None or case.operation.kind is not OperationKind.AUTHORIZE:
            continue
        number = case.operation.attempt - 1
        if case.order.attempts[number].token is None or not _may_be_sent(decision.order, case.order.attempts[number]):
            continue
        assert decision.order.attempts[number].token == case.order.attempts[number].token, case
        kept += 1
    assert kept > 100


def test_money_found_under_review_is_being_given_back(walked: Walked) -> None:
    def forgotten(case: Settled, order: Order) -> bool:
        approved = case.operation.kind is OperationKind.AUTHORIZE and order.current.authorized_minor > 0
        return approved and order.status is Status.MANUAL_REVIEW and _unfinished(order) == 0

    settled = ((case, decision.order) for case, decision in walked.settled if case.possible)
    assert first((case, order) for case, order in settled if order is not None and forgotten(case, order)) is None


def test_an_order_out_of_review_keeps_no_trace_of_it(walked: Walked) -> None:
    def traced(order: Order) -> bool:
        return order.status is not Status.MANUAL_REVIEW and (order.reviewed or order.review_reason) is not None

    orders = ((case, decision.order) for case, decision in walked.settled)
    assert first((case, order) for case, order in orders if order is not None and traced(order)) is None


def test_an_order_under_review_has_an_unfinished_operation_or_its_operation_was_refused(walked: Walked) -> None:
    for case, decision in walked.settled:
        order = decision.order
        if case.possible and order is not None and order.status is Status.MANUAL_REVIEW and not _unfinished(order):
            refused = case.operation.kind in {OperationKind.VOID, OperationKind.REFUND}
            inventory = case.operation.kind in BESIDE_OTHERS
            differs = isinstance(case.outcome, OtherAmount)
            assert refused or inventory or differs, case


def emitted(walked: Walked) -> dict[str, set[type[e.OwnEvent]]]:
    types: dict[str, set[type[e.OwnEvent]]] = {reaction.name: set() for reaction in REACTIONS}
    for case, decision in walked.decisions():
        if isinstance(case, Planned) or case.possible:
            types[case.reaction.name] |= {type(event) for event in decision.events}
    return types


@pytest.mark.parametrize("reaction", REACTIONS, ids=lambda reaction: reaction.name)
def test_a_reaction_emits_what_it_declares_and_nothing_else(walked: Walked, reaction: Reaction) -> None:
    # An order with an early cancel is not walked here: tests/domain/test_cancelling.py.
    early = {e.OrderCancelled} if reaction is authorize_payment else set()
    assert emitted(walked)[reaction.name] - COMMON | early == set(reaction.emits) - COMMON
    assert set(reaction.emits) & COMMON <= emitted(walked)[reaction.name]


def test_every_event_of_ours_can_be_emitted(walked: Walked) -> None:
    # What the gateway says unasked comes by no topic and is no answer: tests/domain/test_told.py.
    ours = {t for t in vars(e).values() if isinstance(t, type) and issubclass(t, e.OwnEvent)} - {e.OwnEvent}
    assert set().union(*emitted(walked).values(), gateway_told.EMITS) == ours


def test_every_row_of_both_tables_is_taken_by_something(walked: Walked) -> None:
    # Orders with requests, disputes, a preparation: tests/domain/test_cancelling.py.
    asked = {cancel_order, note_preparation_start}
    rows = {row for reaction in REACTIONS if reaction not in asked for row in (*reaction.plans, *reaction.settles)}
    rows -= {row for row in authorize_payment.plans if row.condition is cancelled_early}
    # These need more than one step before them: tests/domain/test_resolving.py, test_machine.py,
    # test_slow_banks.py, test_belief.py and test_refunding.py take them.
    by_word = {row for row in (*authorize_payment.settles, *capture_payment.settles) if row.condition is cancelled}
    captured_after_all = {row for row in capture_payment.settles if row.condition is capture_refused}
    gone = On(OperationKind.CAPTURE, (Approved, AlreadyCaptured), of_current_attempt, give_back, Status.ITEMS_RESERVED)
    late = {row for row in authorize_payment.settles if row.condition is approved_late}
    in_vain = {row for row in FIRST if row.condition in {nothing_came_back, others_gave_nothing}}
    of_no_amount = {row for row in authorize_payment.settles if row.condition is overdue and row.kinds is VOID}
    odd = {
        row
        for row in refund_payment.settles
        if row.condition in {others_came_to_nothing, unexplained, in_part, is_disputed}
    }
    odd |= {row for row in capture_payment.settles if row.condition is goods_gone}  # test_machine_elsewhere
    assert rows - walked.taken == odd | by_word | captured_after_all | {gone} | late | in_vain | of_no_amount
    assert set(product.MEETS) == set(product.ANSWERS) == set(OperationKind)
