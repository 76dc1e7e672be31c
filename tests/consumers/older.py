"""What older releases left behind: their rows, and their requests as they went over the wire."""

import json
from datetime import datetime, timedelta
from typing import Any

import psycopg

from domain.ids import OrderId
from domain.operation import FIRST_FORMAT, OperationKind, OperationState, idempotency_key, operation_id
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
    VALUES (%s, %s, 1, %s, %s, 0, 0, 0, false, false)"""
_OPERATION = """
    INSERT INTO operation (order_number, order_id, operation_id, attempt, kind, try_number, reaction, causation_id,
                           amount_minor, currency, opened_at, state, tries, due_at, unknown_since, replayed, detail)
    VALUES (%s, %s, %s, 1, 'authorize', 1, 'authorize_payment', NULL, %s, 'EUR', %s, %s, %s, %s, %s, false, %s)"""

_FORMAT = "UPDATE operation SET request_format = %s, frozen = %s WHERE order_number = %s"


class Left(Value, frozen=True):
    """One order whose authorize has no outcome. reached: its request came to the gateway.

    request_format: 2 has texts of its settings of then.
    """

    number: int
    token: str
    state: OperationState
    reached: bool
    request_format: int = FIRST_FORMAT
    method_kind: str = "CARD"

    @property
    def order_id(self) -> OrderId:
        return OrderId(f"older-{self.number}")

    @property
    def texts(self) -> dict[str, str]:
        """Return the texts that were frozen, by the names that the row has."""
        if self.request_format == FIRST_FORMAT:
            return {}
        suffix = {"statement_suffix": f"THEN {self.number}"} if self.method_kind == "CARD" else {}
        return suffix | {"description": f"Then {self.number}"}

    def form(self) -> dict[str, str]:
        """Return its request, as it went over the wire."""
        texts = self.texts
        suffix = {"statement_descriptor_suffix": texts["statement_suffix"]} if "statement_suffix" in texts else {}
        description = {"description": texts["description"]} if "description" in texts else {}
        return self._form_of_the_first_format() | suffix | description

    def _form_of_the_first_format(self) -> dict[str, str]:
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
        """Write its rows as before migration 0005: opened five minutes ago, and due."""
        opened, name = now - timedelta(minutes=5), operation_id(self.order_id, 1, KIND, 1)
        known = order()
        lines = json.dumps([(line.sku, line.quantity) for line in known.lines])
        status, unknown = Status.CONFIRMED, self.state is OperationState.UNKNOWN
        number, order_id = self.number, self.order_id
        connection.execute(_ORDER, [number, order_id, opened, TOTAL, lines, known.content_hash, opened, status])
        connection.execute(_ATTEMPT, [number, order_id, self.method_kind, self.token])
        since, detail = (opened, "time-out") if unknown else (None, None)
        tries, due = int(unknown), now - timedelta(seconds=1)
        values = [number, order_id, name, TOTAL, opened, self.state, tries, due, since, detail]
        connection.execute(_OPERATION, values)

    def write_format(self, connection: psycopg.Connection[Any]) -> None:
        """Write what migration 0005 and its release added."""
        if self.request_format == FIRST_FORMAT:
            return
        frozen = json.dumps(self.texts)
        connection.execute(_FORMAT, [self.request_format, frozen, self.number])
