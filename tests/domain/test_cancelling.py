"""A cancel at every point of an order's life: every status, every operation under way, every answer."""

import gc
from collections.abc import Iterator
from itertools import product as combinations
from typing import Any, Final, NamedTuple

import pytest

from consumers.items_reserved import capture_payment
from consumers.order_cancel_requested import cancel_order
from consumers.order_cancelled import return_items
from consumers.order_confirmed import authorize_payment
from consumers.payment_authorized import reserve_items
from consumers.payment_retry_requested import retry_payment
from consumers.preparation_started import note_preparation_start
from consumers.refund_requested import refund_payment
from consumers.reservation_failed import return_payment
from domain.approval import Person
from domain.approving import approve
from domain.cancelling import CANCELLING, is_under_way
from domain.decision import Decision
from domain.edges import EDGES
from domain.failure_codes import FailureCode
from domain.operation import OperationKind, OperationState
from domain.order import HoldState, Order, Status
from domain.outcome import (
    AlreadyCaptured,
    Approved,
    CustomerMustAct,
    Declined,
    Lapsed,
    Pending,
    Reserved,
    ReturnedElsewhere,
    Short,
    Unknown,
)
from domain.pending import AT_CUSTOMER, AT_OTHERS
from domain.reaction import Reaction
from domain.requests import REQUESTS_MAX, Request, RequestKind, RequestState, hash_request
from domain.stuck import revive
from domain.values import replace
from schemas import events as e
from schemas.rejection import Reason
from tests.domain import product
from tests.domain.builders import AT, TOTAL, attempt, authorized, captured, context, hold, later, operation, order
from tests.domain.facts import facts
from tests.domain.product import Settled
from tests.schemas import builders

K, S = OperationKind, Status
BEGINS: Final = frozenset({K.AUTHORIZE, K.RESERVE, K.EXTEND, K.CAPTURE, K.CONFIRM})
GOES_ON: Final = (
    e.PaymentAuthorized,
    e.CustomerActionRequired,
    e.ItemsReserved,
    e.ReservationFailed,
    e.PaidAndConfirmed,
    e.PaymentFailed,
)
LIVE: Final = [status for status in Status if status not in {S.CANCELLED, S.MANUAL_REVIEW}]


pytestmark = pytest.mark.timeout(600)
"""The walk takes long on a busy machine."""


def request(request_id: str = "C-1", state: RequestState = RequestState.WAITING, arrival: int = 1) -> Request:
    asked = builders.order_cancel_requested(request_id=request_id)
    return Request(
        request_id=request_id,
        kind=RequestKind.CANCEL,
        arrival=arrival,
        content_hash=hash_request(RequestKind.CANCEL, asked.reason, asked.requested_by),
        noted_at=AT,
        reason=asked.reason,
        requested_by=asked.requested_by,
        state=state,
    )


def noted(status: Status, *attempts: object, **fields: object) -> Order:
    """Build an order on which a cancel is noted."""
    return order(status, *attempts, requests=(request(),), **fields)  # type: ignore[arg-type]


class Case(NamedTuple):
    """An answer that comes while a cancel is noted."""

    settled: Settled
    decision: Decision

    @property
    def after(self) -> Order:
        assert self.decision.order is not None
        return self.decision.order


def walk() -> Iterator[Case]:
    """Every answer of the walked product that can meet a live order, with a cancel noted or being carried out."""
    for settled in product.settled_cases():
        if S.CANCELLED in {settled.order.status, settled.order.reviewed}:
            continue
        state = RequestState.TAKEN if settled.operation.kind in {K.VOID, K.REFUND} else RequestState.WAITING
        asked = settled.order.requests
        known = replace(settled.order, requests=(*asked, request(state=state, arrival=len(asked) + 1)))
        yield Case(
            settled._replace(order=known),
            settled.reaction.settle(known, settled.operation, settled.outcome, settled.context),
        )


@pytest.fixture(scope="module")
def walked() -> Iterator[list[Case]]:
    # The walk makes values only, none in a circle: looking for circles among them takes longer than the walk.
    gc.disable()
    try:
        yield list(walk())
    finally:
        gc.enable()


def first(cases: Iterator[Case]) -> Case | None:
    return next(cases, None)


def test_the_product_is_walked(walked: list[Case]) -> None:
    assert len(walked) > 100_000
    assert sum(case.settled.possible for case in walked) > 10_000


def test_nothing_goes_on_while_a_cancel_is_noted(walked: list[Case]) -> None:
    def goes_on(case: Case) -> bool:
        known = {o.operation_id for o in case.settled.order.operations}
        begun = any(o.kind in BEGINS and o.operation_id not in known for o in case.after.operations)
        return begun or any(isinstance(event, GOES_ON) for event in case.decision.events)

    assert first(case for case in walked if goes_on(case)) is None


def test_the_order_ends_cancelled_or_something_is_under_way_for_it(walked: list[Case]) -> None:
    def stands_still(case: Case) -> bool:
        return case.after.status is not S.CANCELLED and not is_under_way(case.after)

    assert first(case for case in walked if stands_still(case)) is None


def test_it_is_cancelled_only_when_its_money_is_back_or_on_its_way(walked: list[Case]) -> None:
    def keeps(case: Case) -> bool:
        after = case.after
        asked = sum(o.amount_minor for o in after.operations if o.unfinished and o.kind is K.REFUND)
        left = sum(attempt.kept_minor + attempt.held_minor for attempt in after.attempts)
        return after.status is S.CANCELLED and left > asked

    assert first(case for case in walked if case.settled.possible and keeps(case)) is None


def test_a_cancelled_order_is_told_once_and_keeps_nothing_to_go_on_with(walked: list[Case]) -> None:
    ended = [case for case in walked if case.after.status is S.CANCELLED]
    assert len(ended) > 1_000
    for case in ended:
        after, events = case.after, case.decision.events
        assert [type(event) for event in events].count(e.OrderCancelled) == 1, case
        kinds = [event.kind for event in events if isinstance(event, e.CustomerNotificationRequested)]
        # A refund on request may end in the same decision: its customer hears of that one, too.
        before = [e.NotificationKind.REFUNDED] * (len(kinds) - 1) if case.settled.reaction is refund_payment else []
        assert kinds == [*before, e.NotificationKind.CANCELLED], case
        assert after.cancel is None, case
        (state,) = [asked.state for asked in after.requests if asked.kind is RequestKind.CANCEL]
        assert state is RequestState.DONE, case
        assert (after.current.token, after.retryable, after.reviewed, after.review_reason) == (None, False, None, None)


def test_it_moves_along_declared_edges_only(walked: list[Case]) -> None:
    moves = {(case.settled.order.status, case.after.status) for case in walked}
    assert {move for move in moves if move[0] is not move[1]} - EDGES == set()


def test_it_never_has_two_operations_that_exclude_each_other(walked: list[Case]) -> None:
    def busy(case: Case) -> int:
        return sum(o.blocks for o in case.after.operations)

    assert first(case for case in walked if case.settled.possible and busy(case) > 1) is None


def test_money_stays_within_what_was_captured(walked: list[Case]) -> None:
    def sane(case: Case) -> bool:
        return all(0 <= a.refunded_minor <= a.captured_minor <= a.authorized_minor for a in case.after.attempts)

    assert first(case for case in walked if case.settled.possible and not sane(case)) is None


def test_every_row_of_a_noted_cancel_can_be_taken(walked: list[Case]) -> None:
    came = {(case.settled.operation.kind, type(case.settled.outcome)) for case in walked if case.settled.possible}
    fits = {row for row in CANCELLING if came & set(combinations(row.all_kinds(), row.outcomes))}
    assert fits == set(CANCELLING)


# What an order meets, one by one


def settle(known: Order, outcome: object, reaction: Reaction = authorize_payment, at_s: float = 0) -> Decision:
    (call,) = [o for o in known.operations if o.kind is not K.RELEASE]
    return reaction.settle(known, call, outcome, context(later(at_s)))  # type: ignore[arg-type]


def opened(before: Order, decision: Decision) -> list[tuple[OperationKind, int]]:
    assert decision.order is not None
    known = {o.operation_id for o in before.operations}
    return [(o.kind, o.amount_minor) for o in decision.order.operations if o.operation_id not in known]


def types(decision: Decision) -> list[str]:
    return [event.TYPE for event in decision.events]


ENDED: Final = ["OrderCancelled", "CustomerNotificationRequested"]


def test_an_approval_is_voided_and_then_the_order_is_cancelled() -> None:
    known = noted(S.CONFIRMED, operations=(operation(K.AUTHORIZE),))
    approved = settle(known, Approved("pi_1", amount_minor=TOTAL))
    assert (opened(known, approved), types(approved)) == ([(K.VOID, TOTAL)], [])
    assert approved.order is not None
    assert approved.order.requests[0].state is RequestState.TAKEN
    assert approved.order.requests[0].taken_minor == TOTAL

    void = next(o for o in approved.order.operations if o.kind is K.VOID)
    done = authorize_payment.settle(approved.order, void, Approved("pi_1"), context())
    assert types(done) == ["PaymentVoided", *ENDED]
    assert facts(done)[1] == {
        "type": "OrderCancelled",
        "customer_id": "customer-1",
        "attempt": 1,
        "request_id": "C-1",
        "money": "NONE",
        "amount_minor": TOTAL,
        "currency": "EUR",
    }


def test_a_capture_that_succeeds_is_refunded_and_never_told_as_paid() -> None:
    known = noted(S.ITEMS_RESERVED, authorized(), holds=(hold(pinned=True),), operations=(operation(K.CAPTURE),))
    taken = settle(known, Approved("pi_1", amount_minor=TOTAL), capture_payment)
    assert (opened(known, taken), types(taken)) == ([(K.REFUND, TOTAL)], [])


def test_a_refund_that_is_pending_cancels_the_order_at_once() -> None:
    known = noted(S.ITEMS_RESERVED, captured(), operations=(operation(K.REFUND),))
    pending = settle(known, Pending("re_1"), capture_payment)
    assert types(pending) == ENDED
    assert facts(pending)[0]["money"] == "RETURNING"
    assert pending.order is not None
    later_on = capture_payment.settle(pending.order, pending.order.operations[0], Approved("pi_1", "re_1"), context())
    assert types(later_on) == ["PaymentRefunded", "CustomerNotificationRequested"]
    assert later_on.order is not None
    assert later_on.order.status is S.CANCELLED


def test_a_refund_that_waits_for_somebody_elses_is_not_on_its_way() -> None:
    known = noted(S.ITEMS_RESERVED, captured(), operations=(operation(K.REFUND),))
    pending = settle(known, Pending(detail=AT_OTHERS), capture_payment)
    assert (types(pending), opened(known, pending)) == ([], [])
    assert pending.order is not None
    assert is_under_way(pending.order)


def test_a_refund_that_is_refused_comes_to_a_person_and_the_cancel_stays_noted() -> None:
    known = noted(S.PAID_AND_CONFIRMED, captured(), operations=(operation(K.REFUND),))
    refused = settle(known, Declined(FailureCode.GATEWAY_REFUSED), capture_payment)
    assert types(refused) == ["PaymentReviewRequired"]
    assert refused.order is not None
    assert refused.order.cancel is not None


@pytest.mark.parametrize(("disputed", "code"), [(True, None), (False, "charge_disputed")], ids=["known", "not yet"])
def test_a_refund_that_is_refused_for_a_dispute_ends_the_cancel_and_the_order_stays_paid(
    *, disputed: bool, code: str | None
) -> None:
    known = noted(S.PAID_AND_CONFIRMED, captured(), operations=(operation(K.REFUND),), disputed=disputed)
    refused = settle(known, Declined(FailureCode.GATEWAY_REFUSED, code), cancel_order)
    assert types(refused) == ["CancellationRefused", "CustomerNotificationRequested"]
    assert facts(refused)[0]["reason"] == "DISPUTED"
    assert facts(refused)[1]["money"] == "HELD", "it is paid, and stays so"
    assert refused.order is not None
    assert (refused.order.status, refused.order.cancel) == (S.PAID_AND_CONFIRMED, None)
    assert refused.order.requests[0].state is RequestState.REFUSED


@pytest.mark.parametrize(
    "outcome", [CustomerMustAct("pi_1"), Pending(transaction_id="pi_1")], ids=["its customer", "its bank"]
)
def test_what_waits_for_others_is_cancelled_at_the_gateway(outcome: object) -> None:
    waiting = operation(K.AUTHORIZE, state=OperationState.PENDING, detail=AT_CUSTOMER, due_at=later(1_000))
    known = order(S.ACTION_REQUIRED, attempt(transaction_id="pi_1"), operations=(waiting,))
    asked = cancel_order.plan(known, builders.order_cancel_requested(), context())
    assert asked.order is not None
    assert asked.order.operations[0].due_at == AT, "the gateway is asked at once"

    answered = settle(asked.order, outcome)
    assert opened(known, answered) == [(K.VOID, 0)]
    assert answered.order is not None
    assert answered.order.operations[0].state is OperationState.NOT_EXECUTED
    void = next(o for o in answered.order.operations if o.unfinished)
    assert types(authorize_payment.settle(answered.order, void, Approved("pi_1"), context())) == ENDED
    captured_after_all = authorize_payment.settle(answered.order, void, AlreadyCaptured("pi_1", TOTAL), context())
    assert opened(answered.order, captured_after_all) == [(K.REFUND, TOTAL)]
    assert types(captured_after_all) == []


def test_a_bank_that_never_answers_does_not_keep_the_order_open() -> None:
    void = operation(K.VOID, amount_minor=0, state=OperationState.PENDING, unknown_since=AT)
    known = noted(S.CONFIRMED, attempt(transaction_id="pi_1"), operations=(void,))
    assert types(settle(known, Pending(transaction_id="pi_1"), at_s=60)) == []
    ended = settle(known, Pending(transaction_id="pi_1"), at_s=604_801)
    assert types(ended) == ENDED
    assert ended.order is not None
    money = authorize_payment.settle(ended.order, ended.order.operations[0], AlreadyCaptured("pi_1", TOTAL), context())
    assert opened(ended.order, money) == [(K.REFUND, TOTAL)]


def test_goods_that_were_reserved_or_sold_meanwhile_are_kept_in_mind() -> None:
    reserving = noted(S.PAYMENT_AUTHORIZED, authorized(), operations=(operation(K.RESERVE),))
    reserved = settle(reserving, Reserved(later(900)), reserve_items)
    assert reserved.order is not None
    assert [h.state for h in reserved.order.holds] == [HoldState.HELD]
    assert opened(reserving, reserved) == [(K.VOID, TOTAL)]

    selling = noted(S.ITEMS_RESERVED, captured(), holds=(hold(pinned=True),), operations=(operation(K.CONFIRM),))
    sold = settle(selling, Approved(), capture_payment)
    assert sold.order is not None
    assert [h.state for h in sold.order.holds] == [HoldState.SOLD]
    assert opened(selling, sold) == [(K.REFUND, TOTAL)]
    for lost in (Short(()), Lapsed()):
        assert opened(selling, settle(selling, lost, capture_payment)) == [(K.REFUND, TOTAL)]


def test_an_extension_under_way_does_not_hold_up_the_cancel_and_starts_no_capture() -> None:
    asked = operation(K.EXTEND, amount_minor=0, reaction="capture_payment")
    known = order(S.ITEMS_RESERVED, authorized(), holds=(hold(pinned=True),), operations=(asked,))
    taken = ask(known)
    assert opened(known, taken) == [(K.VOID, TOTAL)]
    assert taken.order is not None
    for outcome in (Reserved(later(1_800)), Lapsed(), Unknown("time-out")):
        answered = capture_payment.settle(taken.order, asked, outcome, context(later(1_000)))
        assert (opened(taken.order, answered), types(answered)) == ([], [])


def test_an_outcome_that_nobody_knows_is_waited_for() -> None:
    known = noted(S.ITEMS_RESERVED, authorized(), holds=(hold(pinned=True),), operations=(operation(K.CAPTURE),))
    unknown = settle(known, Unknown("time-out"), capture_payment)
    assert (types(unknown), opened(known, unknown)) == ([], [])


def test_what_somebody_else_gave_back_is_told_and_the_rest_goes_back() -> None:
    known = noted(S.PAID_AND_CONFIRMED, captured(), operations=(operation(K.REFUND),))
    part = settle(known, ReturnedElsewhere(1_000, "re_9"), cancel_order)
    assert types(part) == ["PaymentRefunded"]
    assert opened(known, part) == [(K.REFUND, TOTAL - 1_000)]
    assert types(settle(known, ReturnedElsewhere(TOTAL, "re_9"), cancel_order)) == ["PaymentRefunded", *ENDED]


def test_a_void_whose_first_refusal_nobody_heard_is_tried_once_more_before_a_person_is_asked() -> None:
    void = operation(K.VOID, amount_minor=0, state=OperationState.UNKNOWN, unknown_since=AT)
    known = noted(S.CONFIRMED, attempt(transaction_id="pi_1"), operations=(void,))
    again = settle(known, Declined(FailureCode.GATEWAY_REFUSED))
    assert (opened(known, again), types(again)) == ([(K.VOID, 0)], [])
    assert again.order is not None
    second = next(o for o in again.order.operations if o.unfinished)
    assert second.try_number == 2
    refused = authorize_payment.settle(again.order, second, Declined(FailureCode.GATEWAY_REFUSED), context())
    assert types(refused) == ["PaymentReviewRequired"]


def test_a_review_about_an_extension_ends_with_the_cancel_that_was_noted_in_it() -> None:
    asked = operation(K.EXTEND, amount_minor=0, reaction="capture_payment", due_at=None, state=OperationState.UNKNOWN)
    under = {"reviewed": S.ITEMS_RESERVED, "review_reason": "extend_unknown", "holds": (hold(pinned=True),)}
    known = noted(S.MANUAL_REVIEW, authorized(), operations=(asked,), **under)
    for outcome in (Reserved(later(900)), Lapsed()):
        assert opened(known, settle(known, outcome, capture_payment)) == [(K.VOID, TOTAL)]


# The request as it comes


def ask(known: Order | None, at_s: float = 0, **fields: object) -> Decision:
    return cancel_order.plan(known, builders.order_cancel_requested(**fields), context(later(at_s)))


def reason_of(decision: Decision) -> str | None:
    return next((str(ev.reason) for ev in decision.events if isinstance(ev, e.CancellationRefused)), None)


def expected(known: Order, at_s: float) -> str | None:
    """Say by which reason a cancel is refused: MONEY.md, points 16 to 19, once more in other words."""
    status = known.reviewed or known.status
    if status is S.CANCELLED:
        return "ALREADY_CANCELLED"
    if known.requests:
        return None  # it waits behind the one that is noted
    if status is S.PAYMENT_FAILED and not known.retryable:
        return "PAYMENT_FAILED"
    if known.preparation_started_at is not None:
        return "PREPARATION_STARTED"
    if status is S.PAID_AND_CONFIRMED and known.disputed:
        return "DISPUTED"
    return "TOO_LATE" if status is S.PAID_AND_CONFIRMED and at_s > 1_800 else None


def asked_orders() -> Iterator[tuple[Order, float]]:
    """Orders of the walked product, prepared or not, disputed or not, with a cancel of another id or without."""
    variants: tuple[dict[str, Any], ...] = (
        {},
        {"preparation_started_at": AT},
        {"disputed": True},
        {"requests": (request("C-0"),)},
    )
    for known in product._orders():
        if known is not None and known.attempt != 5:
            for n, (variant, at_s) in enumerate(combinations(variants, (1_800, 1_801))):
                if n == 0 or known.effective_status not in {S.CONFIRMED, S.ITEMS_RESERVED}:
                    yield replace(known, paid_at=AT, **variant), at_s


def test_a_cancel_is_refused_for_its_reason_or_noted_or_carried_out() -> None:
    seen: dict[str | None, int] = {}
    for known, at_s in asked_orders():
        decision = ask(known, at_s)
        reason = reason_of(decision)
        assert reason == expected(known, at_s), known
        seen[reason] = seen.get(reason, 0) + 1
        assert decision.order is not None
        if reason is not None:
            assert types(decision) == ["CancellationRefused", "CustomerNotificationRequested"]
            assert decision.order.status is known.status
            assert opened(known, decision) == []
        elif is_under_way(known) or known.requests:
            assert (types(decision), opened(known, decision)) == ([], [])
            assert decision.order.cancel is not None
        else:
            began = {kind for kind, _ in opened(known, decision)}
            assert began <= {K.VOID, K.REFUND}
            assert bool(began) != (decision.order.status is S.CANCELLED), known
    assert all(count > 100 for count in seen.values()), seen
    assert len(seen) == 6


def test_a_paid_order_gives_back_what_it_keeps() -> None:
    known = order(S.PAID_AND_CONFIRMED, captured(refunded_minor=1_000, refund_id="re_9"), paid_at=AT)
    asked = ask(known)
    assert opened(known, asked) == [(K.REFUND, TOTAL - 1_000)]
    assert asked.order is not None
    done = cancel_order.settle(asked.order, asked.order.operations[0], Approved("pi_1", "re_1"), context())
    assert types(done) == ["PaymentRefunded", *ENDED]
    assert [facts(done)[1][name] for name in ("money", "amount_minor")] == ["RETURNED", TOTAL]
    assert facts(done)[2]["amount_minor"] == TOTAL - 1_000, "the customer hears of what goes back"


@pytest.mark.parametrize(
    ("outcome", "end"),
    [
        (Approved("pi_1", "re_1"), {"C-1": None, "C-2": "ALREADY_CANCELLED", "C-3": "ALREADY_CANCELLED"}),
        (Declined(FailureCode.GATEWAY_REFUSED, "charge_disputed"), dict.fromkeys(("C-1", "C-2", "C-3"), "DISPUTED")),
    ],
    ids=["cancelled", "disputed"],
)
def test_a_cancel_behind_another_ends_with_it_and_is_told_nothing_before(
    outcome: Approved | Declined, end: dict[str, str | None]
) -> None:
    known: Order | None = order(S.PAID_AND_CONFIRMED, captured(), paid_at=AT, preparation_started_at=None)
    for name in ("C-1", "C-2", "C-3"):
        decision = ask(known, 1_801 if name == "C-3" else 0, request_id=name)
        assert decision.events == ()
        known = decision.order
    assert known is not None
    assert [o.try_number for o in known.operations] == [1]

    done = cancel_order.settle(known, known.operations[0], outcome, context())

    assert done.order is not None
    assert {r.request_id: r.refused for r in done.order.requests} == end
    assert all(r.ended for r in done.order.requests)
    told = [ev.request_id for ev in done.events if isinstance(ev, e.CancellationRefused)]
    assert told == [name for name, reason in end.items() if reason]
    assert types(done).count("CustomerNotificationRequested") == 1
    assert [o for o in done.order.operations if o.unfinished] == []


def test_a_cancel_that_is_approved_while_another_is_noted_ends_with_that_one() -> None:
    waiting = request("C-1", RequestState.APPROVAL)
    known = order(
        S.PAID_AND_CONFIRMED,
        captured(),
        paid_at=AT,
        requests=(waiting, request("C-2", RequestState.TAKEN, 2)),
        operations=(replace(operation(K.REFUND), reaction="cancel_order"),),
    )
    decision = approve(known, "C-1", Person("bob", "operators"), context())
    assert isinstance(decision, Decision)
    assert (decision.events, decision.order is not None) == ((), True)
    assert decision.order is not None
    assert decision.order.cancel is not None
    assert decision.order.cancel.request_id == "C-2", "the one that is carried out"

    disputed = Declined(FailureCode.GATEWAY_REFUSED, "charge_disputed")
    done = cancel_order.settle(decision.order, known.operations[0], disputed, context())
    assert done.order is not None
    assert [r.refused for r in done.order.requests] == ["DISPUTED", "DISPUTED"]


def test_the_same_cancel_again_has_no_effect_and_another_with_its_id_is_a_conflict() -> None:
    for state in RequestState:
        known = order(S.PAID_AND_CONFIRMED, captured(), requests=(request(state=state),))
        assert ask(known).order is None
        assert ask(known, reason="another").refused is Reason.CONFLICT


def test_an_order_keeps_a_limited_number_of_requests() -> None:
    many = tuple(request(f"R-{n}", RequestState.REFUSED, n) for n in range(REQUESTS_MAX))
    assert ask(order(S.PAID_AND_CONFIRMED, captured(), requests=many)).refused is Reason.ILLEGAL_TRANSITION


def test_a_cancel_before_its_order_waits_and_then_nothing_is_called() -> None:
    assert ask(None) == Decision(None, early=True)
    early = (builders.order_cancel_requested(),)
    for confirmed in (builders.order_confirmed(), builders.order_confirmed(occurred_at=later(-90_000))):
        decision = authorize_payment.plan(None, confirmed, replace(context(), early=early))
        assert types(decision) == ENDED
        assert decision.order is not None
        assert (decision.order.status, decision.order.operations) == (S.CANCELLED, ())
        assert decision.order.current.token is None
        assert ask(decision.order).order is None, "it is known"


def test_the_first_before_the_order_wins() -> None:
    early = (builders.preparation_started(), builders.order_cancel_requested())
    decision = authorize_payment.plan(None, builders.order_confirmed(), replace(context(), early=early))
    assert decision.order is not None
    assert decision.order.status is S.CONFIRMED
    prepared = note_preparation_start.plan(decision.order, early[0], context())
    assert prepared.order is not None
    assert reason_of(ask(prepared.order)) == "PREPARATION_STARTED"


def test_preparation_is_noted_once_and_rings_for_a_cancelled_order() -> None:
    started = builders.preparation_started()
    assert note_preparation_start.plan(None, started, context()) == Decision(None, early=True)
    decision = note_preparation_start.plan(order(S.PAID_AND_CONFIRMED, captured()), started, context())
    assert decision.order is not None
    assert (decision.order.preparation_started_at, decision.alarm, decision.events) == (AT, None, ())
    assert note_preparation_start.plan(decision.order, started, context()).order is None
    for known in (
        order(S.CANCELLED),
        order(S.MANUAL_REVIEW, reviewed=S.CANCELLED),
        noted(S.PAID_AND_CONFIRMED, captured(), operations=(operation(K.REFUND),)),
    ):
        assert note_preparation_start.plan(known, started, context()).alarm == "preparation_of_cancelled"


@pytest.mark.parametrize("status", LIVE)
def test_no_event_begins_anything_while_a_cancel_is_noted(status: Status) -> None:
    # Even if nothing is under way, which cannot be: the sweep carries it out then.
    known = noted(status, authorized(), holds=(hold(),), retryable=True, retry_until=later(900))
    for reaction, event in (
        (reserve_items, builders.payment_authorized()),
        (capture_payment, builders.items_reserved()),
        (return_payment, builders.reservation_failed()),
        (retry_payment, builders.payment_retry_requested()),
        (authorize_payment, builders.order_confirmed()),
    ):
        decision = reaction.plan(known, event, context())
        assert decision.order is None or opened(known, decision) == [], reaction.name
    if status not in {S.PAID_AND_CONFIRMED, S.PAYMENT_FAILED}:
        revived = revive(known, context())
        assert revived is not None
        assert opened(known, revived) == [(K.VOID, TOTAL)]


def test_a_retry_of_a_cancelled_order_is_refused_as_such() -> None:
    for known in (order(S.CANCELLED), noted(S.PAYMENT_FAILED, retryable=True, retry_until=later(900))):
        decision = retry_payment.plan(known, builders.payment_retry_requested(), context())
        assert [fact["failure_code"] for fact in facts(decision)] == ["cancelled"]


def test_who_pays_again_is_told_where_the_money_is() -> None:
    for known, money in (
        (order(S.PAID_AND_CONFIRMED, captured()), "HELD"),
        (order(S.CANCELLED, captured(refunded_minor=TOTAL)), "RETURNED"),
        (order(S.PAYMENT_FAILED), "NONE"),
    ):
        (notice,) = facts(retry_payment.plan(known, builders.payment_retry_requested(), context()))
        assert (notice["kind"], notice["money"]) == ("RETRY_REFUSED", money)


def test_a_retryable_order_is_cancelled_and_cannot_be_paid_any_more() -> None:
    known = order(S.PAYMENT_FAILED, attempt(), retryable=True, retry_until=later(900))
    decision = ask(known)
    assert types(decision) == ENDED
    assert decision.order is not None
    assert (decision.order.retryable, decision.order.retry_until) == (False, None)


def test_money_that_appears_for_a_cancelled_order_goes_back() -> None:
    late = order(S.CANCELLED, attempt(), operations=(operation(K.AUTHORIZE),))
    assert opened(late, settle(late, Approved("pi_1", amount_minor=TOTAL))) == [(K.VOID, TOTAL)]
    capturing = order(S.CANCELLED, authorized(), operations=(operation(K.CAPTURE),))
    assert opened(capturing, settle(capturing, Approved("pi_1"), capture_payment)) == [(K.REFUND, TOTAL)]
    lapsed = settle(capturing, Lapsed("pi_1"), capture_payment)
    assert (types(lapsed), opened(capturing, lapsed)) == ([], [])


def test_a_cancelled_order_releases_its_holds() -> None:
    known = order(S.CANCELLED, authorized(voided=True), holds=(hold(pinned=True),), version=9)
    decision = return_items.plan(known, builders.order_cancelled(order_version=9), context())
    assert opened(known, decision) == [(K.RELEASE, 0)]
