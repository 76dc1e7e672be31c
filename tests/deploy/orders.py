"""Orders for tests of commands: published as checkout would, watched in the database, shown as JSON."""

import json
from pathlib import Path
from typing import Any

from tests.deploy.commands import payments
from tests.embedded.support import connected


def confirmed(order_id: str, token: str = "pm_card_visa", quantity: int = 2) -> dict[str, Any]:
    """Build an OrderConfirmed of so many teas at 5.00 EUR, with a delivery fee of 2.50 EUR."""
    return {
        "type": "OrderConfirmed",
        "order_id": order_id,
        "customer_id": "customer-1",
        "currency": "EUR",
        "lines": [{"sku": "tea", "quantity": quantity, "unit_price_minor": 500}],
        "discount_minor": 0,
        "delivery_fee_minor": 250,
        "service_fee_minor": 0,
        "total_minor": quantity * 500 + 250,
        "payment_method": {"kind": "CARD", "token": token},
    }


def retried(order_id: str, after_attempt: int, token: str = "pm_card_mastercard") -> dict[str, Any]:
    return {
        "type": "PaymentRetryRequested",
        "order_id": order_id,
        "after_attempt": after_attempt,
        "payment_method": {"kind": "CARD", "token": token},
    }


def publish(directory: Path, environment: dict[str, str], *events: dict[str, Any]) -> None:
    lines = "".join(json.dumps(event) + "\n" for event in events)
    ran = payments(directory, "publish", "-", stdin=lines, **environment)
    assert ran.code == 0, ran.err


def status_of(environment: dict[str, str], order_id: str) -> str | None:
    """Ask the database, for a command a time would be slow."""
    with connected(environment["PAYMENTS_DATABASE_URL"]) as connection:
        row = connection.execute("SELECT status FROM orders WHERE order_id = %s", [order_id]).fetchone()
    return None if row is None else str(row[0])


def show(directory: Path, environment: dict[str, str], order_id: str) -> dict[str, Any]:
    ran = payments(directory, "order", "show", order_id, "--json", **environment)
    assert ran.code == 0, ran.err
    document: dict[str, Any] = json.loads(ran.out)
    return document
