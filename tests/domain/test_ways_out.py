"""No review is a dead end: each one that the code can come to has an answer that is taken, and a refusal says which."""

from collections.abc import Iterator
from functools import cache
from typing import Final

import pytest

from consumers.adapters.gateway.references import could_name
from consumers.reactions import BY_NAME
from domain.decision import Decision
from domain.news import RefundFailure
from domain.operation import OperationKind, OperationState
from domain.order import Order, Status
from domain.resolving import resolve
from domain.reviewing import review
from domain.ruling import No, Ruling, Word
from domain.told import take_back_refund
from domain.ways_out import WAYS
from tests.domain.builders import TOTAL, authorized, captured, context, operation, order
from tests.domain.product import settled_cases

SETTLES: Final = {name: reaction.settle for name, reaction in BY_NAME.items()}
REFERENCES: Final = (None, "pi_1", "re_by_hand")
"""What an operator can name; the right one is among them."""


def _reviewed(decision: Decision) -> Order | None:
    if decision.order is None or "PaymentReviewRequired" not in {event.TYPE for event in decision.events}:
        return None
    return decision.order


def _of_answers() -> Iterator[Order]:
    for case in settled_cases():
        if case.possible and case.order.status is not Status.MANUAL_REVIEW:
            found = _reviewed(case.reaction.settle(case.order, case.operation, case.outcome, case.context))
            if found is not None:
                yield found


def _of_others() -> Iterator[Order]:
    """Yield reviews that no answer brings: a refund that fails later, and orders that stand still."""
    refund = operation(
        OperationKind.REFUND, state=OperationState.APPROVED, due_at=None, reference="re_1", reaction="return_payment"
    )
    paid_back = order(Status.PAYMENT_FAILED, captured(refunded_minor=TOTAL, refund_id="re_1"), operations=(refund,))
    failure = RefundFailure(paid_back.order_id, str(refund.operation_id), "re_1", TOTAL, "lost_or_stolen_card")
    decisions = [take_back_refund(paid_back, failure, context())]
    decisions += [
        review(order(status, authorized()), None, "stuck", context())
        for status in (Status.CONFIRMED, Status.PAYMENT_AUTHORIZED, Status.ITEMS_RESERVED, Status.RESERVATION_FAILED)
    ]
    for decision in decisions:
        found = _reviewed(decision)
        assert found is not None
        yield found


@cache
def reviews() -> dict[str, list[Order]]:
    """Return every order that comes under review in the walk of the whole product, by its reason, each kind once."""
    found: dict[str, dict[str, Order]] = {}
    for known in (*_of_answers(), *_of_others()):
        alike = found.setdefault(known.review_reason or "", {})
        alike.setdefault(f"{known.reviewed} {known.attempts} {[(o.kind, o.state) for o in known.operations]}", known)
    return {reason: list(orders.values()) for reason, orders in found.items()}


def test_the_code_comes_to_every_reason_of_the_table_and_to_no_other() -> None:
    assert set(reviews()) == set(WAYS)


@pytest.mark.parametrize("reason", WAYS)
def test_every_order_under_review_has_a_way_out_and_a_refusal_says_what_to_do(reason: str) -> None:
    for known in reviews()[reason]:
        taken = {word: _answers(known, word) for word in Word}
        assert any(isinstance(found, Decision) for answers in taken.values() for found in answers), (reason, known)
        for answers in taken.values():
            if not any(isinstance(found, Decision) for found in answers):
                assert any(isinstance(found, No) and "--as " in found.why for found in answers), (reason, answers)


def _answers(known: Order, word: Word) -> list[Decision | No]:
    rulings = [Ruling(word, "looked it up", "alice", reference) for reference in REFERENCES]
    return [resolve(known, known.operations, ruling, SETTLES, could_name, context()) for ruling in rulings]
