"""Every reason for a review has a way out by either answer, and a wrong answer is refused with the reason."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import pytest

from consumers.adapters.gateway.references import could_name
from consumers.reactions import BY_NAME
from domain.alarms import ALARMS
from domain.decision import Decision
from domain.edges import EDGES
from domain.failure_codes import FailureCode
from domain.operation import (
    FIRST_FORMAT,
    INVENTORY_KINDS,
    REQUEST_FORMAT,
    Operation,
    OperationKind,
    OperationState,
    operation_id,
)
from domain.order import Attempt, Hold, HoldState, Order, OrderLine, Status
from domain.outcome import AlreadyCaptured, Approved, Declined, Outcome, Pending, Reserved
from domain.requests import RequestState
from domain.resolving import resolve
from domain.ruling import No, Ruling, Word
from domain.standing_still import OWNERS
from domain.values import replace
from domain.ways_out import DOUBTS, OUTSIDE, WAYS
from tests.domain.builders import (
    AT,
    ORDER_ID,
    RULES,
    TOTAL,
    attempt,
    authorized,
    captured,
    context,
    hold,
    later,
    operation,
    order,
    request,
)

K = OperationKind
S = Status
O = OperationState  # noqa: E741 - beside K, for tables of states
YES, NO = Word.EXECUTED, Word.NOT_EXECUTED
SETTLES: Final = {name: reaction.settle for name, reaction in BY_NAME.items()}
FAILED: Final = ["PaymentFailed", "CustomerNotificationRequested"]
VOIDED: Final = ["PaymentVoided", *FAILED]
REFUNDED: Final = ["PaymentRefunded", *FAILED]
PINNED: Final = (hold(pinned=True),)
SOLD: Final = (hold(state=HoldState.SOLD),)
STATES: Final = {"unknown": O.UNKNOWN, "overdue": O.PENDING, "not_executed": O.OPEN}


ASKED: Final = attempt(transaction_id="pi_1", action_expires_at=AT)
OVERDUE: Final = attempt(token=None, transaction_id="pi_1", failure_code=FailureCode.PAYMENT_OVERDUE)


class Review(NamedTuple):
    """An order under review: where it was, its money and goods, the call in question, and whose it is."""

    reviewed: Status
    money: Attempt
    kind: OperationKind | None = None
    owner: str = ""
    holds: tuple[Hold, ...] = ()


CALLS: Final = {
    "authorize": Review(S.CONFIRMED, attempt(), K.AUTHORIZE, "authorize_payment"),
    "authorize that asked the customer": Review(S.ACTION_REQUIRED, ASKED, K.AUTHORIZE, "authorize_payment"),
    "authorize that was overdue": Review(S.PAYMENT_FAILED, OVERDUE, K.AUTHORIZE, "authorize_payment"),
    "authorize again": Review(S.CONFIRMED, attempt(), K.AUTHORIZE, "retry_payment"),
    "capture": Review(S.ITEMS_RESERVED, authorized(), K.CAPTURE, "capture_payment", PINNED),
    "capture without goods": Review(S.ITEMS_RESERVED, authorized(), K.CAPTURE, "capture_payment"),
    "void for lack of goods": Review(S.RESERVATION_FAILED, authorized(), K.VOID, "return_payment"),
    "void after a capture": Review(S.ITEMS_RESERVED, authorized(), K.VOID, "capture_payment", PINNED),
    "void of an old approval": Review(S.CONFIRMED, authorized(), K.VOID, "authorize_payment"),
    "refund for lack of goods": Review(S.RESERVATION_FAILED, captured(), K.REFUND, "return_payment"),
    "refund of a sale": Review(S.ITEMS_RESERVED, captured(), K.REFUND, "capture_payment", PINNED),
    "refund of an old approval": Review(S.CONFIRMED, captured(), K.REFUND, "authorize_payment"),
    "refund that was pending": Review(S.PAYMENT_FAILED, captured(), K.REFUND, "return_payment"),
    "reserve": Review(S.PAYMENT_AUTHORIZED, authorized(), K.RESERVE, "reserve_items"),
    "confirm": Review(S.ITEMS_RESERVED, captured(), K.CONFIRM, "capture_payment", PINNED),
    "extend": Review(S.ITEMS_RESERVED, authorized(), K.EXTEND, "capture_payment", PINNED),
    "release": Review(S.PAYMENT_FAILED, attempt(), K.RELEASE, "release_items", PINNED),
    "refund on request": Review(S.PAID_AND_CONFIRMED, captured(), K.REFUND, "refund_payment", SOLD),
    "restock": Review(S.PAID_AND_CONFIRMED, captured(refunded_minor=TOTAL), K.RESTOCK, "refund_payment", SOLD),
}
ENDS: Final[dict[tuple[str, Word], tuple[Status, list[str]]]] = {
    # What the order comes to, and the events on its way, when all calls that follow are done.
    ("authorize", YES): (S.PAYMENT_FAILED, VOIDED),
    ("authorize", NO): (S.PAYMENT_FAILED, FAILED),
    ("authorize that asked the customer", YES): (S.PAYMENT_FAILED, VOIDED),
    ("authorize that asked the customer", NO): (S.PAYMENT_FAILED, FAILED),
    ("authorize that was overdue", YES): (S.PAYMENT_FAILED, ["PaymentVoided"]),
    ("authorize that was overdue", NO): (S.PAYMENT_FAILED, ["PaymentFailed"]),
    ("authorize again", YES): (S.PAYMENT_FAILED, VOIDED),
    ("authorize again", NO): (S.PAYMENT_FAILED, FAILED),
    ("capture", YES): (S.PAID_AND_CONFIRMED, ["PaidAndConfirmed"]),
    ("capture", NO): (S.PAYMENT_FAILED, VOIDED),
    ("capture without goods", YES): (S.PAYMENT_FAILED, REFUNDED),
    ("capture without goods", NO): (S.PAYMENT_FAILED, VOIDED),
    **{
        (void, word): (S.PAYMENT_FAILED, VOIDED)
        for void in ("void for lack of goods", "void after a capture", "void of an old approval")
        for word in Word
    },
    **{
        (refund, word): (S.PAYMENT_FAILED, REFUNDED)
        for refund in ("refund for lack of goods", "refund of a sale", "refund of an old approval")
        for word in Word
    },
    **{
        ("refund that was pending", word): (S.PAYMENT_FAILED, ["PaymentRefunded", "CustomerNotificationRequested"])
        for word in Word
    },
    ("reserve", YES): (S.ITEMS_RESERVED, ["ItemsReserved"]),
    ("reserve", NO): (S.RESERVATION_FAILED, ["ReservationFailed"]),
    ("confirm", YES): (S.PAID_AND_CONFIRMED, ["PaidAndConfirmed"]),
    ("confirm", NO): (S.PAYMENT_FAILED, REFUNDED),
    ("extend", YES): (S.PAID_AND_CONFIRMED, ["PaidAndConfirmed"]),
    ("extend", NO): (S.RESERVATION_FAILED, ["ReservationFailed"]),
    **{("release", word): (S.PAYMENT_FAILED, ["ReservationReleased"]) for word in Word},
    **{
        ("refund on request", word): (S.PAID_AND_CONFIRMED, ["PaymentRefunded", "CustomerNotificationRequested"])
        for word in Word
    },
    **{("restock", word): (S.PAID_AND_CONFIRMED, ["ItemsRestocked"]) for word in Word},
}
STUCK: Final = {
    "authorized": Review(S.PAYMENT_AUTHORIZED, authorized()),
    "captured at once": Review(S.PAYMENT_AUTHORIZED, captured()),
    "free": Review(S.PAYMENT_AUTHORIZED, attempt(token=None)),
    "reserved": Review(S.ITEMS_RESERVED, authorized(), holds=(hold(),)),
    "reserved, captured at once": Review(S.ITEMS_RESERVED, captured(), holds=(hold(),)),
    "reserved, free": Review(S.ITEMS_RESERVED, attempt(token=None), holds=(hold(),)),
    "hold ran out": Review(S.ITEMS_RESERVED, authorized(), holds=(hold(expires_at=AT),)),
    "no goods": Review(S.RESERVATION_FAILED, authorized()),
    "no goods, captured at once": Review(S.RESERVATION_FAILED, captured()),
    "no goods, free": Review(S.RESERVATION_FAILED, attempt(token=None)),
    "confirmed": Review(S.CONFIRMED, attempt()),
    "waited for its customer": Review(S.ACTION_REQUIRED, ASKED),
}
NOWHERE: Final = ("confirmed", "waited for its customer")
"""From where nothing goes on by itself."""
STUCK_ENDS: Final[dict[tuple[str, Word], tuple[Status, list[str]]]] = {
    **{(name, YES): (S.ITEMS_RESERVED, ["ItemsReserved"]) for name in ("authorized", "captured at once", "free")},
    **{
        (name, YES): (S.PAID_AND_CONFIRMED, ["PaidAndConfirmed"])
        for name in ("reserved", "reserved, captured at once", "reserved, free")
    },
    ("hold ran out", YES): (S.RESERVATION_FAILED, ["ReservationFailed"]),
    **{(name, NO): (S.PAYMENT_FAILED, VOIDED) for name in ("authorized", "reserved", "hold ran out")},
    **{(name, NO): (S.PAYMENT_FAILED, REFUNDED) for name in ("captured at once", "reserved, captured at once")},
    **{(name, NO): (S.PAYMENT_FAILED, FAILED) for name in ("free", "reserved, free", *NOWHERE)},
    **{("no goods", word): (S.PAYMENT_FAILED, VOIDED) for word in Word},
    **{("no goods, captured at once", word): (S.PAYMENT_FAILED, REFUNDED) for word in Word},
    **{("no goods, free", word): (S.PAYMENT_FAILED, FAILED) for word in Word},
}
REFERENCES: Final = {K.AUTHORIZE: "pi_1", K.REFUND: "re_1"}


def under(review: Review, reason: str, *work: Operation, **overrides: Any) -> Order:
    fields = {"reviewed": review.reviewed, "review_reason": reason, "operations": work, "holds": review.holds}
    if review.owner == "refund_payment":
        back = TOTAL if review.kind is K.RESTOCK else 0
        asked = request(state=RequestState.TAKEN, taken_minor=TOTAL, returned_minor=back, taken_at=AT, tries=1)
        taken = replace(asked, lines=(OrderLine("SKU-1", 1),))
        fields["requests"] = (taken,)
    return order(S.MANUAL_REVIEW, review.money, **(fields | overrides))


def call_of(review: Review, **overrides: Any) -> Operation:
    assert review.kind is not None
    asked = "R-1" if review.owner == "refund_payment" else None
    number = operation_id(ORDER_ID, 1, review.kind, 1, asked)
    fields = {"operation_id": number, "for_request": asked, "due_at": None, "reaction": review.owner}
    return operation(review.kind, **(fields | overrides))


def rule(
    known: Order, word: Word, history: Sequence[Operation] = (), reference: str | None = None, **at: Any
) -> Decision | No:
    ruling = Ruling(word, "looked at the dashboard", "alice", reference)
    return resolve(known, history or known.operations, ruling, SETTLES, could_name, context(**at))


def decided(found: Decision | No) -> Decision:
    assert not isinstance(found, No), found.why
    return found


def refused(found: Decision | No) -> str:
    assert isinstance(found, No)
    return found.why


def end(decision: Decision, **rules: Any) -> tuple[Order, list[str]]:
    """Have every call that follows done, and return what the order comes to, and all events on the way."""
    assert decision.order is not None
    known, events = decision.order, [event.TYPE for event in decision.events]
    for _ in range(5):
        call = next((o for o in known.operations if o.unfinished), None)
        if call is None:
            return known, events
        assert call.kind in INVENTORY_KINDS or call.due_at == AT, "the sweep calls at once"
        decision = SETTLES[call.reaction](known, call, _done(call), context(lease_s=0, **rules))
        assert decision.order is not None
        assert known.status is decision.order.status or (known.status, decision.order.status) in EDGES
        known = decision.order
        events += [event.TYPE for event in decision.events]
    raise AssertionError("it never ends")


def _done(call: Operation) -> Outcome:
    match call.kind:
        case K.RESERVE | K.EXTEND:
            return Reserved(later(900))
        case K.REFUND:
            return Approved(call.transaction_id, "re_1", call.amount_minor)
        case _:
            return Approved(call.transaction_id, None, call.amount_minor)


def test_every_review_code_has_an_alarm_and_a_way_out_and_every_way_out_has_a_code() -> None:
    assert {f"review_{code}" for code in WAYS} == {reason for reason in ALARMS if reason.startswith("review_")}
    assert {review.kind for review in CALLS.values()} == set(OperationKind)
    assert set(ENDS) == {(name, word) for name in CALLS for word in Word}
    assert set(STUCK_ENDS) == {(name, word) for name in STUCK for word in Word} - {(name, YES) for name in NOWHERE}
    assert set(OWNERS.values()) <= BY_NAME.keys()


@pytest.mark.parametrize("doubt", DOUBTS)
@pytest.mark.parametrize(("name", "word"), ENDS)
def test_every_call_in_question_comes_to_its_end_by_either_answer(name: str, word: Word, doubt: str) -> None:
    review = CALLS[name]
    waiting = call_of(review, state=STATES[doubt], unknown_since=AT if doubt != "not_executed" else None, tries=20)
    known = under(review, f"{review.kind}_{doubt}", waiting)
    reference = REFERENCES.get(waiting.kind) if word is YES else None
    decision = decided(rule(known, word, reference=reference))
    after, events = end(decision)
    assert (after.status, events) == ENDS[name, word]
    assert (after.reviewed, after.review_reason) == (None, None)
    assert (after.current.held_minor, after.current.kept_minor) == (
        (0, 0) if after.status is S.PAYMENT_FAILED else (after.current.held_minor, after.current.kept_minor)
    )
    signed = [(o.state, o.by, o.reason) for o in after.operations if o.operation_id == waiting.operation_id]
    assert decision.order is not None
    if any(o.operation_id == waiting.operation_id and o.unfinished for o in decision.order.operations):
        assert signed == [(O.APPROVED, None, None)], "the gateway answered in the end"
    else:
        state = O.APPROVED if word is YES else O.NOT_EXECUTED
        assert signed == [(state, "alice", "looked at the dashboard")]


@pytest.mark.parametrize(("name", "word"), STUCK_ENDS)
def test_every_order_that_stood_still_comes_to_its_end_by_either_answer(name: str, word: Word) -> None:
    after, events = end(decided(rule(under(STUCK[name], "stuck", resends=3), word)))
    assert (after.status, events) == STUCK_ENDS[name, word]
    assert (after.reviewed, after.review_reason) == (None, None)
    if after.status is S.PAYMENT_FAILED:
        assert (after.current.held_minor, after.current.kept_minor, after.current.token) == (0, 0, None)


def test_an_order_that_stood_still_is_captured_elsewhere_only_after_an_extension() -> None:
    decision = decided(rule(under(STUCK["reserved"], "stuck", resends=3), YES, inventory_elsewhere=True))
    assert decision.order is not None
    assert [o.kind for o in decision.order.operations] == [K.EXTEND]
    after, events = end(decision, inventory_elsewhere=True)
    assert (after.status, events) == (S.PAID_AND_CONFIRMED, ["PaidAndConfirmed"])


def test_a_reserve_that_was_not_executed_is_released_elsewhere_so_that_a_late_copy_holds_nothing() -> None:
    waiting = call_of(CALLS["reserve"], state=O.UNKNOWN, unknown_since=AT)
    known = under(CALLS["reserve"], "reserve_unknown", waiting)
    decision = decided(rule(known, NO, inventory_elsewhere=True))
    assert decision.order is not None
    assert [(o.kind, o.reaction) for o in decision.order.operations if o.unfinished] == [(K.RELEASE, "reserve_items")]


def test_an_extension_beside_a_capture_in_question_is_not_taken_for_it() -> None:
    waiting = call_of(CALLS["capture"], state=O.UNKNOWN, unknown_since=AT)
    beside = operation(K.EXTEND, reaction="capture_payment")
    known = under(CALLS["capture"], "capture_unknown", beside, waiting)
    after = decided(rule(known, YES)).order
    assert after is not None
    assert [o.kind for o in after.operations if o.unfinished] == [K.EXTEND, K.CONFIRM]


def test_an_order_that_goes_on_may_stand_still_again_before_anybody_is_asked() -> None:
    after, _ = end(decided(rule(under(STUCK["authorized"], "stuck", resends=3), YES)))
    assert after.resends == 0


def test_what_was_given_up_by_an_operator_is_retryable_and_says_so() -> None:
    known = under(STUCK["authorized"], "stuck")
    first = decided(rule(known, NO))
    assert first.order is not None
    (void,) = first.order.operations
    decision = SETTLES[void.reaction](first.order, void, Approved("pi_1"), context())
    (_, failed, notice) = decision.events
    assert (getattr(failed, "failure_code", None), getattr(notice, "kind", None)) == (
        FailureCode.CANCELLED_BY_OPERATOR,
        "PAYMENT_FAILED",
    )
    assert decision.order is not None
    assert decision.order.retryable


def test_money_that_was_taken_meanwhile_is_refunded_and_a_pending_refund_ends_the_review() -> None:
    known = decided(rule(under(STUCK["reserved"], "stuck"), NO)).order
    assert known is not None
    (void,) = known.operations
    found = SETTLES[void.reaction](known, void, AlreadyCaptured("pi_1", TOTAL), context()).order
    assert found is not None
    refund = next(o for o in found.operations if o.unfinished)
    decision = SETTLES[refund.reaction](found, refund, Pending("re_1"), context())
    assert [event.TYPE for event in decision.events] == FAILED
    assert decision.order is not None
    assert decision.order.status is S.PAYMENT_FAILED


@pytest.mark.parametrize(
    ("reason", "name"),
    [
        *(("refund_failed", name) for name in CALLS if name.startswith("refund")),
        *(("void_refused", name) for name in CALLS if name.startswith("void")),
    ],
)
@pytest.mark.parametrize("word", Word)
def test_what_the_gateway_has_refused_is_settled_as_paid_back_or_sent_again_under_a_new_key(
    reason: str, name: str, word: Word
) -> None:
    review = CALLS[name]
    old = call_of(review, state=O.DECLINED, settled_at=AT, reference="re_0", detail="refund_failed")
    known = under(review, reason)
    decision = decided(rule(known, word, [old], REFERENCES.get(old.kind) if word is YES else None))
    assert decision.order is not None
    new = decision.order.operations[0]
    assert (new.try_number, new.kind, new.amount_minor, new.reaction) == (2, old.kind, TOTAL, old.reaction)
    assert new.operation_id != old.operation_id
    if word is YES:
        said = (O.APPROVED, "alice", "looked at the dashboard", AT)
        assert (new.state, new.by, new.reason, new.settled_at) == said
        assert decision.order.status is (review.reviewed if new.for_request else S.PAYMENT_FAILED)
    else:
        begun = begun_as(old.kind) if new.for_request is None else O.OPEN  # one that was asked for just now
        assert (new.state, new.due_at, new.tries, new.reference, decision.events) == (begun, AT, 0, None, ())
        assert decision.order.status is S.MANUAL_REVIEW
    after, events = end(decision)
    assert (after.status, events) == ENDS[name, word]


def begun_as(kind: OperationKind) -> OperationState:
    """Return how the next try begins: a refund is looked up, for a restore may have lost that it was ruled before."""
    return O.UNKNOWN if kind is OperationKind.REFUND else O.OPEN


REFUSED: Final = CALLS["refund for lack of goods"]
OUT: Final = f"{OUTSIDE}SEPA-2026-07"


def test_money_paid_past_the_gateway_is_booked_with_the_operators_own_proof() -> None:
    old = call_of(REFUSED, state=O.DECLINED, settled_at=AT, reference="re_0")
    decision = decided(rule(under(REFUSED, "refund_failed"), YES, [old], OUT))
    assert decision.order is not None
    after, events = end(decision)
    assert (after.status, events) == (S.PAYMENT_FAILED, REFUNDED)
    assert (after.current.refund_id, after.current.kept_minor) == (OUT, 0)
    assert [(o.reference, o.state) for o in after.operations if o.try_number == 2] == [(OUT, O.APPROVED)]
    assert getattr(decision.events[0], "refund_id", None) == OUT


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("re_0", "refund re_0 is declined in our books, so it does not show that this money went back"),
        ("re_00", "refund re_00 is approved in our books"),
        (OUTSIDE, "say by what it can be found"),
        (None, "say which refund the refund made"),
        ("SEPA-2026-07", "say which refund the refund made"),
    ],
)
def test_what_is_no_proof_that_a_failed_refund_was_paid_is_refused(said: str | None, why: str) -> None:
    old = call_of(REFUSED, state=O.DECLINED, settled_at=AT, reference="re_0")
    part = call_of(REFUSED, state=O.APPROVED, settled_at=AT, reference="re_00", try_number=2)
    assert why in refused(rule(under(REFUSED, "refund_failed"), YES, [part, old], said))


@pytest.mark.parametrize("doubt", DOUBTS)
def test_what_the_gateway_may_still_refund_cannot_be_said_to_be_paid_past_it(doubt: str) -> None:
    waiting = call_of(REFUSED, state=STATES[doubt])
    assert "may still make this refund" in refused(rule(under(REFUSED, f"refund_{doubt}", waiting), YES, [], OUT))


def test_a_refund_that_is_refused_again_is_a_review_again_and_has_a_way_out_again() -> None:
    review = CALLS["refund that was pending"]
    old = call_of(review, state=O.DECLINED, settled_at=AT)
    known = decided(rule(under(review, "refund_failed"), NO, [old])).order
    assert known is not None
    (second,) = known.operations
    again = SETTLES[second.reaction](known, second, Declined(FailureCode.GATEWAY_REFUSED), context())
    assert [event.TYPE for event in again.events] == ["PaymentReviewRequired"]
    assert again.order is not None
    history = [old, *again.order.operations]
    third = decided(rule(replace(again.order, operations=()), NO, history)).order
    assert third is not None
    assert [o.try_number for o in third.operations] == [3]


@pytest.mark.parametrize("name", ["void for lack of goods", "refund for lack of goods"])
def test_it_is_sent_again_by_the_same_key_while_the_gateway_remembers_it_and_as_the_next_try_afterwards(
    name: str,
) -> None:
    review = CALLS[name]
    older = {"request_format": FIRST_FORMAT, "request_id": "req_1"}
    waiting = call_of(review, state=O.UNKNOWN, unknown_since=AT, tries=9, **older)
    known = under(review, f"{review.kind}_unknown", waiting)
    alive = decided(rule(known, NO)).order
    assert alive is not None
    assert alive.operations == (replace(waiting, state=O.OPEN, unknown_since=None, tries=0, due_at=AT),)

    late = later(RULES.key_life_s)
    dead = decided(rule(known, NO, at=late)).order
    assert dead is not None
    ended, again = dead.operations
    assert (ended.state, ended.settled_at, ended.by) == (O.NOT_EXECUTED, late, "alice")
    assert (again.state, again.try_number, again.opened_at, again.due_at) == (begun_as(again.kind), 2, late, late)
    assert (again.request_format, again.request_id) == (REQUEST_FORMAT, None)
    assert dead.busy()


WRONG: Final = {
    "not under review": (order(S.ITEMS_RESERVED, authorized()), YES, "pi_1", "items_reserved, not in manual review"),
    "somebody is at it": (
        under(CALLS["capture"], "capture_unknown", operation(K.VOID, due_at=AT)),
        NO,
        None,
        "void is under way",
    ),
    "no transaction": (
        under(CALLS["authorize"], "authorize_unknown", call_of(CALLS["authorize"], state=O.UNKNOWN)),
        YES,
        None,
        "say which transaction the authorize made: --reference",
    ),
    "no transaction's id": (
        under(CALLS["authorize"], "authorize_unknown", call_of(CALLS["authorize"], state=O.UNKNOWN)),
        YES,
        "re_1",
        "(pi_...)",
    ),
    "no refund": (
        under(CALLS["refund of a sale"], "refund_unknown", call_of(CALLS["refund of a sale"], state=O.UNKNOWN)),
        YES,
        None,
        "say which refund the refund made",
    ),
    "no refund's id": (
        under(CALLS["refund of a sale"], "refund_unknown", call_of(CALLS["refund of a sale"], state=O.UNKNOWN)),
        YES,
        "pi_1",
        "(re_...)",
    ),
    "another transaction": (
        under(CALLS["capture"], "capture_unknown", call_of(CALLS["capture"], state=O.UNKNOWN)),
        YES,
        "pi_2",
        "about transaction pi_1, not pi_2",
    ),
    "nothing to go on with": (under(STUCK["confirmed"], "stuck"), YES, None, "--as not-executed fails it"),
    "no customer": (under(STUCK["waited for its customer"], "stuck"), YES, None, "--as not-executed fails it"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_refused_with_the_reason(name: str) -> None:
    known, word, reference, why = WRONG[name]
    assert why in refused(rule(known, word, reference=reference))


def test_the_transaction_of_another_attempt_is_refused() -> None:
    waiting = operation(K.AUTHORIZE, 2, due_at=None, state=O.UNKNOWN)
    fields: dict[str, Any] = {"operations": (waiting,), "reviewed": S.CONFIRMED, "review_reason": "authorize_unknown"}
    known = order(S.MANUAL_REVIEW, authorized(voided=True), attempt(2), **fields)
    assert "another attempt" in refused(rule(known, YES, reference="pi_1"))
    assert end(decided(rule(known, YES, reference="pi_2")))[0].status is S.PAYMENT_FAILED


def test_what_the_gateway_has_named_before_need_not_be_named_again() -> None:
    review = CALLS["refund that was pending"]
    waiting = call_of(review, state=O.PENDING, unknown_since=AT, reference="re_7")
    decision = decided(rule(under(review, "refund_overdue", waiting), YES))
    assert decision.order is not None
    assert decision.order.current.refund_id == "re_7"


def test_a_hold_that_is_sold_stays_sold_whatever_an_operator_says() -> None:
    after, _ = end(decided(rule(under(CALLS["capture"], "capture_unknown", call_of(CALLS["capture"])), YES)))
    assert [each.state for each in after.holds] == [HoldState.SOLD]
    assert "not in manual review" in refused(rule(after, NO))
