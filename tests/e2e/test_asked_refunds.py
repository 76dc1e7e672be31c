"""Thousands of refund requests against real processes: they never exceed what was captured, and the books agree."""

from typing import Final

import pytest

from tests.e2e.asking import PER_ORDER, act_elsewhere, ask, check, pay
from tests.e2e.deployment import TOGETHER, Deployment

pytestmark = [pytest.mark.kill, pytest.mark.timeout(900)]

QUICK: Final = {"PAYMENTS_OPERATIONS_OPEN_MAX": "500", "PAYMENTS_SANDBOX_PENDING_S": "1"}


def flood(shop: Deployment, requests: int, seed: int) -> None:
    shop.start(*TOGETHER, **QUICK)
    orders = pay(shop, requests // PER_ORDER, seed)
    asked = ask(shop, orders, requests, seed)
    act_elsewhere(shop, len(orders) // 10, seed)
    ends = check(shop, orders, asked)
    assert ends["done"] > requests / 8, ends
    assert ends["EXCEEDS_KEPT"] > requests / 10, ends
    shop.stop()


def test_300_requests_doubled_over_the_limit_and_racing_leave_the_books_right(shop: Deployment) -> None:
    flood(shop, 300, seed=1)


@pytest.mark.long
def test_10000_requests_doubled_over_the_limit_and_racing_leave_the_books_right(shop: Deployment) -> None:
    flood(shop, 10_000, seed=2)
