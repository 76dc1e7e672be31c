"""The table of triggers, row by row: what an event makes of an order."""

import pytest

from consumers.items_reserved import capture_payment
from consumers.payment_authorized import reserve_items
from consumers.payment_failed import release_items
from consumers.reservation_failed import return_payment
from domain.decision import NOTHING
from domain.operation import OperationKind
from domain.order import Status
from domain.reaction import Reaction
from schemas import events as e
from tests.domain.builders import (
    attempt,
    authorized,
    captured,
    context,
    hold,
    operation,
    order,
)
from tests.domain.facts import work
from tests.schemas import builders

K = OperationKind
S = Status


@pytest.mark.parametrize(
    ("reaction", "event", "status"),
    [
        (reserve_items, builders.payment_authorized(attempt=2), S.PAYMENT_AUTHORIZED),
        (capture_payment, builders.items_reserved(attempt=2), S.ITEMS_RESERVED),
        (return_payment, builders.reservation_failed(attempt=2), S.RESERVATION_FAILED),
    ],
)
@pytest.mark.parametrize("kind", [K.RESERVE, K.CAPTURE, K.CONFIRM, K.VOID, K.REFUND])
def test_what_was_planned_already_is_not_planned_again(
    reaction: Reaction, event: e.Event, status: Status, kind: OperationKind
) -> None:
    known = order(status, attempt(), authorized(2), holds=(hold(2),), operations=(operation(kind, 2, tries=3),))
    assert reaction.plan(known, event, context()) == NOTHING


def test_a_failed_order_that_came_under_review_releases_its_goods() -> None:
    known = order(S.MANUAL_REVIEW, captured(), reviewed=S.PAYMENT_FAILED, holds=(hold(pinned=True),))
    assert work(release_items.plan(known, builders.payment_failed(), context())) == [("release", 1, 0)]


def test_goods_that_an_operator_may_still_sell_are_not_released() -> None:
    known = order(S.MANUAL_REVIEW, authorized(), reviewed=S.ITEMS_RESERVED, holds=(hold(pinned=True),))
    assert release_items.plan(known, builders.payment_failed(), context()) == NOTHING


def test_a_release_under_way_is_left_alone() -> None:
    waiting = operation(K.RELEASE, tries=3, amount_minor=0)
    known = order(S.PAYMENT_FAILED, authorized(voided=True), holds=(hold(),), operations=(waiting,))
    assert release_items.plan(known, builders.payment_failed(), context()) == NOTHING
