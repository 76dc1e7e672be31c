"""An order whose customer was asked says for whom it waits, and until when."""

from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from deploy.views.order_text import order_lines
from outbox.operators.queries import OrderRows
from tests.deploy.test_views_of_money import NOW, attempt, operation, order

CUSTOMER: Final = "for the customer to confirm it with their bank, until 2026-11-01 00:30:00 UTC"
OVER: Final = ", which is over: the gateway is asked once more, then it is cancelled"


def shown(now: datetime, **waiting: Any) -> list[str]:
    asked = attempt(0) | {"action_expires_at": NOW + timedelta(minutes=30)}
    pending = operation("EUR", 1_250) | {
        "state": "pending",
        "settled_at": None,
        "unknown_since": NOW,
        "due_at": NOW + timedelta(seconds=5),
        "detail": "waits for the customer",
    }
    stored = OrderRows(
        order("EUR", 1_250) | {"status": "action_required"},
        [asked],
        [pending | waiting],
        *([], [], [], [], [], [], []),
        frozenset(),
    )
    return list(order_lines(stored, [], now))


@pytest.mark.parametrize(
    ("after_min", "waiting", "said"),
    [
        (0, {}, CUSTOMER),
        (30, {}, f"{CUSTOMER}{OVER}"),
        (5, {"detail": None}, "for the bank: the customer has done their part"),
        (31, {"kind": "void", "state": "open", "detail": None}, "for the gateway, to cancel or refund it"),
    ],
)
def test_an_order_whose_customer_was_asked_says_for_whom_it_waits(
    after_min: int, waiting: dict[str, Any], said: str
) -> None:
    lines = shown(NOW + timedelta(minutes=after_min), **waiting)
    assert [line.split("  ")[-1].strip() for line in lines if line.startswith("waits")] == [said]


def test_its_timeline_says_when_the_gateway_is_asked_again() -> None:
    assert any("pi_1, waits for the customer, next look 2026-11-01 00:00:05" in line for line in shown(NOW))
