"""The table of triggers, row by row: what an event makes of an order."""

from consumers.payment_failed import release_items
from domain.decision import NOTHING
from domain.operation import OperationKind
from domain.order import Status
from tests.domain.builders import (
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
