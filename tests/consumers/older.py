"""What the release before migration 0005 left behind: its rows, and its requests as they went over the wire."""

import json
from datetime import datetime, timedelta
from typing import Any

import psycopg

from domain.ids import OrderId
from domain.operation import OperationKind, OperationState, idempotency_key, operation_id
from domain.order import Status
from domain.values import Value
from tests.domain.builders import TOTAL, order
from tests.sandbox.client import Answer, Client

KIND = OperationKind.AUTHORIZE
_ORDER = """
    INSERT INTO orders (order_number, order_id, updated_at, customer_id, correlation_id, currency, total_minor, lines,
                        content_hash, created_at, status, version, attempt, retryable, delay_notified, resends)
    VALUES (%s, %s, %s, 'customer-1', 'correlation', 'EUR', %s, %s, %s, %s, %s, 0, 1, false, false, 0)"""
_ATTEMPT = """
    INSERT INTO attempt (order_number, order_id, attempt, method_kind, token, authorized_minor, captured_minor,
                         refunded_minor, voided, livemode)
    VALUES (%s, %s, 1, 'CARD', %s, 0, 0, 0, false, false)"""
_OPERATION = """
    INSERT INTO operation (order_number, order_id, operation_id, attempt, kind, try_number, reaction, causation_id,
                           amount_minor, currency, opened_at, state, tries, due_at, unknown_since, replayed, detail)
    VALUES (%s, %s, %s, 1, 'authorize', 1, 'authorize_payment', NULL, %s, 'EUR', %s, %s, %s, %s, %s, false, %s)"""


class Left(Value, frozen=True):
    """One order whose authorize has no outcome. reached: its request came to the gateway."""

    number: int
    token: str
    state: OperationState
    reached: bool

    @property
    def order_id(self) -> OrderId:
        return OrderId(f"older-{self.number}")

    def form(self) -> dict[str, str]:
        """Return its request, as it went over the wire."""
        name = operation_id(self.order_id, 1, KIND, 1)
        return {
            "amount": str(TOTAL),
            "currency": "eur",
            "payment_method": self.token,
            "capture_method": "manual",
            "confirm": "true",
            "error_on_requires_action": "true",
            "automatic_payment_methods[enabled]": "true",
            "automatic_payment_methods[allow_redirects]": "never",
            "metadata[order_id]": self.order_id,
            "metadata[attempt]": "1",
            "metadata[operation_id]": str(name),
            "expand[0]": "latest_charge",
        }

    def send(self, client: Client) -> Answer:
        """Send its request."""
        return client.post("/v1/payment_intents", self.form(), idempotency_key(self.order_id, 1, KIND, 1))

    def write(self, connection: psycopg.Connection[Any], now: datetime) -> None:
        """Write its rows: opened five minutes ago, and due."""
        opened, name = now - timedelta(minutes=5), operation_id(self.order_id, 1, KIND, 1)
        known = order()
        lines = json.dumps([(line.sku, line.quantity) for line in known.lines])
        status, unknown = Status.CONFIRMED, self.state is OperationState.UNKNOWN
        number, order_id = self.number, self.order_id
        connection.execute(_ORDER, [number, order_id, opened, TOTAL, lines, known.content_hash, opened, status])
        connection.execute(_ATTEMPT, [number, order_id, self.token])
        since, detail = (opened, "time-out") if unknown else (None, None)
        tries, due = int(unknown), now - timedelta(seconds=1)
        values = [number, order_id, name, TOTAL, opened, self.state, tries, due, since, detail]
        connection.execute(_OPERATION, values)
