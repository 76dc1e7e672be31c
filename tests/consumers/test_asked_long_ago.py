"""A refund whose request is read again long after it was made: the database was restored, and the key is forgotten."""

from datetime import timedelta
from typing import Final

import pytest

from domain.ids import OrderId
from domain.operation import OperationKind, operation_id
from tests.consumers.claims import assert_the_audit_holds
from tests.consumers.harness import Pipeline, now
from tests.consumers.orders import refund
from tests.consumers.test_refunding import given_back, refunded, shop, states, until_ended

__all__ = ["shop"]
pytestmark = pytest.mark.integration

MADE: Final = operation_id(OrderId("order-1"), 1, OperationKind.REFUND, 1, "R-1")


async def test_a_refund_that_was_made_before_a_restore_is_found_and_not_made_twice(shop: Pipeline) -> None:
    intent = str(await shop.value("SELECT transaction_id FROM attempt"))
    made = shop.gateway.refund_elsewhere(intent, 1_000, str(MADE))
    await shop.publish(refund(amount_minor=1_000, occurred_at=now() - timedelta(days=2)))
    await until_ended(shop, "R-1")
    assert (await given_back(shop), await refunded(shop)) == (1_000, [("R-1", 1_000)])
    assert await shop.value("SELECT reference FROM operation WHERE kind = 'refund'") == made
    await shop.until_quiet()
    await assert_the_audit_holds(shop)


async def test_one_that_was_not_made_is_made_once(shop: Pipeline) -> None:
    asked_at = now() - timedelta(days=2)
    await shop.publish(refund(amount_minor=1_000, occurred_at=asked_at))
    await until_ended(shop, "R-1")
    assert (await given_back(shop), await refunded(shop)) == (1_000, [("R-1", 1_000)])
    assert await states(shop) == {"R-1": "done"}
    assert await shop.value("SELECT asked_at FROM order_request") == asked_at
    await shop.until_quiet()
    await assert_the_audit_holds(shop)
