"""An order that waits for its customer says so, and until when."""

from datetime import timedelta

from deploy.views.order_text import order_lines
from outbox.operators.queries import OrderRows
from tests.deploy.test_views_of_money import NOW, attempt, operation, order


def test_an_order_that_waits_for_its_customer_says_until_when() -> None:
    asked = attempt(0) | {"action_expires_at": NOW + timedelta(minutes=30)}
    pending = operation("EUR", 1_250) | {
        "state": "pending",
        "settled_at": None,
        "unknown_since": NOW,
        "due_at": NOW + timedelta(seconds=5),
        "detail": "waits for the customer",
    }
    stored = OrderRows(
        order("EUR", 1_250) | {"status": "action_required"}, [asked], [pending], [], [], [], [], [], frozenset()
    )

    lines = list(order_lines(stored, [], NOW))

    said = "for the customer to confirm it with their bank, until 2026-11-01 00:30:00 UTC"
    assert [line.split("  ")[-1].strip() for line in lines if line.startswith("waits")] == [said]
    assert any("pi_1, waits for the customer, next look 2026-11-01 00:00:05" in line for line in lines)
