"""What one process holds while it works off a backlog, on the real thing."""

from typing import Final

import psutil
import pytest

from tests.e2e.deployment import Deployment
from tests.e2e.script import PAID, PLENTY, Order

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

ORDERS: Final = 3_000
MOST_MB: Final = 130.0
"""Measured: 105; before the batches were smaller and what nobody needs was left out, 148 (tests/bench/README.md)."""


def test_one_process_with_all_roles_stays_small_while_it_works_off_a_backlog(shop: Deployment) -> None:
    shop.publish([Order(f"waiting-{number}", "pm_card_visa", PLENTY, PAID) for number in range(ORDERS)])
    usual = {"PAYMENTS_BATCH_MAX": "500", "PAYMENTS_LOG_LEVEL": "INFO", "PAYMENTS_GATEWAY": "simulated"}
    process = shop.begin("up", ("up",), **usual)
    shop.await_settled(ORDERS, 240)
    assert shop.statuses() == {"paid_and_confirmed": ORDERS}
    held_mb = psutil.Process(process.pid).memory_info().rss / 2**20
    assert held_mb <= MOST_MB
    shop.stop()
