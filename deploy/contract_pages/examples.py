"""An example of every event: the pages show them, and tests publish and read these very ones.

They tell of five orders. A-1001 is paid; later some of it is refunded and disputed. A-1002 is declined and paid by
another method. A-1003 asks for more than there is. A-1004 is cancelled. A-1005 needs a person, and fails. Ids,
versions, sentences and amounts are what the pipeline makes of it; what the gateway gives (`pi_...`) is made up.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

from domain.decision import event_id
from domain.failure_codes import FailureCode, may_retry, reason_of
from domain.ids import OrderId
from domain.order import reservation_id
from domain.rules import Rules
from schemas.checks import total_minor
from schemas.codec import Codec
from schemas.envelope import headers
from schemas.events import (
    ActionKind,
    CancellationRefusal,
    DisputeOutcome,
    Event,
    MoneyState,
    NotificationKind,
    OrderConfirmed,
    OwnEvent,
    RefundRefusal,
    ReviewMoney,
    ReviewOperation,
    ShortageReason,
    Stage,
)
from schemas.models import EVENTS
from schemas.shapes import SHAPES
from schemas.topics import TOPICS

AT: Final = datetime(2026, 3, 2, 9, 30, 0, 123456, tzinfo=UTC)
"""When the examples on the pages happened: always the same, so that pages change only with what they say."""
FIRST_SCHEMA_ID: Final = 101
"""Ids of the examples in a registry's framing. A real registry gives ids of its own."""

PAID, DECLINED, SHORT, CANCELLED, REVIEWED = (OrderId(f"A-100{number}") for number in range(1, 6))
MUG, TEA = "MUG-BLUE", "TEA-EARL-GREY"
_UPSTREAM: Final = UUID("0f0b8f0c-2f3c-5c1c-8a3f-6d1f2f7f4f10")
_LINES: Final = (
    {"sku": TEA, "quantity": 1, "unit_price_minor": 450},
    {"sku": MUG, "quantity": 1, "unit_price_minor": 1_200},
    {"sku": TEA, "quantity": 1, "unit_price_minor": 450},
)
_ITEMS: Final = ({"sku": MUG, "quantity": 1}, {"sku": TEA, "quantity": 2})
_PARTS: Final = {"discount_minor": 100, "delivery_fee_minor": 390, "service_fee_minor": 50, "tax_minor": 0}
_BACK: Final = 450
"""What is refunded of the paid order: one of the two teas."""


def examples(at: datetime = AT, rules: Rules | None = None) -> dict[str, Event]:
    """Return a valid event of every type, by type, in the order of the topic table. at: when the first one happened.

    rules: the durations in them follow from these; the default ones if None.
    """
    story = _Story(at, rules or Rules())
    return {event_type: EVENTS[event_type].model_validate(story.fields(event_type)) for event_type in TOPICS}


def order_example(order_id: OrderId, token: str, at: datetime = AT) -> OrderConfirmed:
    """Return the order of the examples under another id, to be paid with another token."""
    return OrderConfirmed.model_validate(_Story(at, Rules()).order(order_id, token))


def json_form(event: Event) -> dict[str, Any]:
    """Return an event as JSON values, in the order of its schema: a line for `payments publish`."""
    values = event.model_dump(mode="json")
    return {"type": event.TYPE} | {
        field["name"]: values[field["name"]] for field in SHAPES[event.TYPE].schema["fields"]
    }


def headers_of_example(event: Event) -> Mapping[str, str]:
    """Return the headers that the example has on its topic."""
    return {name: value.decode() for name, value in headers(event, TOPICS[event.TYPE].source)}


class ExampleRegistry:
    """A registry that has our schemas under the ids of the examples, for any prefix. See schemas.registry."""

    def id_of(self, subject: str, schema: dict[str, Any]) -> int:  # noqa: ARG002 - the registry's interface
        """Return the id of one of our schemas."""
        return schema_id_of(str(schema["name"]))

    def schema_of(self, subject: str, schema_id: int) -> dict[str, Any]:  # noqa: ARG002 - as above
        """Return the schema of an id."""
        return SHAPES[list(TOPICS)[schema_id - FIRST_SCHEMA_ID]].schema


def schema_id_of(event_type: str) -> int:
    """Return the example's id of this event's schema."""
    return FIRST_SCHEMA_ID + list(TOPICS).index(event_type)


def framed(event: Event) -> tuple[bytes, bytes]:
    """Return the bytes of an event as a single object, and in a registry's framing with the example's schema id."""
    return Codec().encode(event), Codec(registry=ExampleRegistry()).encode(event)


class _Story:
    """The fields of each example. A method a topic would be long: what they share stands here once."""

    def __init__(self, at: datetime, rules: Rules) -> None:
        self._at = at
        self._rules = rules

    def fields(self, event_type: str) -> dict[str, Any]:
        """Return the fields of the example of this type."""
        if issubclass(EVENTS[event_type], OwnEvent):
            return self._own_fields(event_type)
        match event_type:
            case "OrderConfirmed":
                return self.order(PAID, "pm_card_visa")
            case "StockAdjusted":
                return self._stock(event_type)
            case _:
                order_id, after_s, own = _ASKED[event_type]
                return self._upstream(event_type, order_id, after_s) | own

    def order(self, order_id: OrderId, token: str) -> dict[str, Any]:
        """Return the fields of an OrderConfirmed: two teas on two lines, and a mug."""
        fields = self._upstream("OrderConfirmed", order_id, 0) | _PARTS
        fields |= {"customer_id": _customer(order_id), "currency": "EUR", "lines": _LINES, "total_minor": 0}
        fields["payment_method"] = {"kind": "CARD", "token": token}
        return fields | {"total_minor": total_minor(OrderConfirmed.model_validate(fields))}

    def _upstream(self, event_type: str, order_id: OrderId, after_s: int) -> dict[str, Any]:
        return {
            "event_id": _upstream_id(event_type, order_id),
            "occurred_at": self._after(after_s),
            "order_id": order_id,
            "correlation_id": f"basket of {order_id}",
        }

    def _stock(self, event_type: str) -> dict[str, Any]:
        return {
            "event_id": _upstream_id(event_type, TEA),
            "occurred_at": self._at,
            "correlation_id": "delivery 4711",
            "sku": TEA,
            "delta": 24,
            "reason": "a delivery came in",
        }

    def _own_fields(self, event_type: str) -> dict[str, Any]:
        order_id, version, ordinal, cause, after_s = _PLACES[event_type]
        return {
            "event_id": event_id(order_id, version, ordinal, event_type),
            "occurred_at": self._after(after_s),
            "order_id": order_id,
            "correlation_id": f"basket of {order_id}",
            "causation_id": _upstream_id(cause, order_id) if isinstance(cause, str) else event_id(order_id, *cause),
            "order_version": version,
            "ordinal": ordinal,
            **{
                name: value for name, value in self._values(order_id).items() if name in EVENTS[event_type].model_fields
            },
            **self._special(event_type),
        }

    def _values(self, order_id: OrderId) -> dict[str, Any]:
        """Return what several events say about an order."""
        return {
            "customer_id": _customer(order_id),
            "attempt": 1,
            "amount_minor": self.order(order_id, "pm")["total_minor"],
            "currency": "EUR",
            "transaction_id": _transaction(order_id),
            "reservation_id": reservation_id(order_id, 1),
            "livemode": False,
            "lines": _ITEMS,
        }

    def _special(self, event_type: str) -> dict[str, Any]:
        """Return what this event alone says, or says otherwise."""
        declined = FailureCode.INSUFFICIENT_FUNDS
        failure = {
            "failure_code": declined,
            "reason": reason_of(declined),
            "money": MoneyState.NONE,
            "retryable": may_retry(declined),
            "retry_until": self._after(1 + self._rules.retry_window_s),
        }
        refund = {"amount_minor": _BACK, "refund_id": "re_3PqA1001", "request_id": "refund-1"}
        dispute = {"dispute_id": "dp_1PqA1001", "reason": "product_not_received", "funds_withdrawn": True}
        special: dict[str, dict[str, Any]] = {
            "CustomerActionRequired": {
                "attempt": 2,
                "transaction_id": "pi_3PqA1002b",
                "kind": ActionKind.REDIRECT,
                "url": "https://bank.example/confirm/3PqA1002b",
                "expires_at": self._after(121 + self._rules.action_timeout_s),
            },
            "PaymentAuthorized": {"captured": False, "authorization_expires_at": self._after(7 * 86_400)},
            "ItemsReserved": {"expires_at": self._after(2 + self._rules.reservation_ttl_s)},
            "ReservationFailed": {
                "reason": ShortageReason.SHORT,
                "missing": [{"sku": MUG, "requested": 1, "available": 0}],
            },
            "PaidAndConfirmed": {"captured_at": self._after(3)},
            "PaymentFailed": {"stage": Stage.AUTHORIZE, **failure},
            "CustomerNotificationRequested": {"kind": NotificationKind.PAYMENT_FAILED, "missing": (), **failure},
            "OrderCancelled": {"request_id": "cancel-1", "money": MoneyState.RETURNED},
            "CancellationRefused": {"request_id": "cancel-2", "reason": CancellationRefusal.PREPARATION_STARTED},
            "PaymentRefunded": refund,
            "PaymentRefundFailed": refund | {"reason": "lost_or_stolen_card"},
            "RefundRefused": {"request_id": "refund-2", "reason": RefundRefusal.EXCEEDS_KEPT},
            "ItemsRestocked": {"request_id": "refund-1", "lines": [{"sku": TEA, "quantity": 1}]},
            "PaymentDisputed": dispute,
            "PaymentDisputeClosed": dispute | {"outcome": DisputeOutcome.WON, "funds_withdrawn": False},
            "PaymentReviewRequired": {
                "operation": ReviewOperation.CAPTURE,
                "reason": "capture_unknown",
                "money": ReviewMoney.UNKNOWN,
            },
        }
        return special.get(event_type, {})

    def _after(self, seconds: float) -> datetime:
        return self._at + timedelta(seconds=seconds)


_ASKED: Final[dict[str, tuple[OrderId, int, dict[str, Any]]]] = {
    "PaymentRetryRequested": (
        DECLINED,
        120,
        {"after_attempt": 1, "payment_method": {"kind": "CARD", "token": "pm_card_mastercard"}},
    ),
    "OrderCancelRequested": (
        CANCELLED,
        60,
        {"request_id": "cancel-1", "reason": "changed my mind", "requested_by": "c-9"},
    ),
    "RefundRequested": (
        PAID,
        3_600,
        {
            "request_id": "refund-1",
            "amount_minor": _BACK,
            "reason": "one tin was damaged",
            "lines": [{"sku": TEA, "quantity": 1}],
            "requested_by": "agent-12",
        },
    ),
    "PreparationStarted": (PAID, 1_800, {}),
}
"""What others say about an order: which one, seconds since the first event, and the event's own fields."""
Cause = str | tuple[int, int, str]
_PLACES: Final[dict[str, tuple[OrderId, int, int, Cause, int]]] = {
    "PaymentAuthorized": (PAID, 1, 0, "OrderConfirmed", 1),
    "ItemsReserved": (PAID, 2, 0, (1, 0, "PaymentAuthorized"), 2),
    "PaidAndConfirmed": (PAID, 3, 0, (2, 0, "ItemsReserved"), 3),
    "ItemsRestocked": (PAID, 4, 0, "RefundRequested", 3_601),
    "PaymentRefunded": (PAID, 5, 0, "RefundRequested", 3_602),
    "CancellationRefused": (PAID, 6, 0, "OrderCancelRequested", 3_700),
    "RefundRefused": (PAID, 7, 0, "RefundRequested", 4_000),
    "PaymentDisputed": (PAID, 8, 0, (3, 0, "PaidAndConfirmed"), 86_400),
    "PaymentDisputeClosed": (PAID, 9, 0, (8, 0, "PaymentDisputed"), 864_000),
    "PaymentRefundFailed": (PAID, 10, 0, (5, 0, "PaymentRefunded"), 950_400),
    "PaymentFailed": (DECLINED, 1, 0, "OrderConfirmed", 1),
    "CustomerNotificationRequested": (DECLINED, 1, 1, "OrderConfirmed", 1),
    "CustomerActionRequired": (DECLINED, 2, 0, "PaymentRetryRequested", 121),
    "ReservationFailed": (SHORT, 2, 0, (1, 0, "PaymentAuthorized"), 2),
    "PaymentVoided": (SHORT, 3, 0, (2, 0, "ReservationFailed"), 3),
    "OrderCancelled": (CANCELLED, 4, 1, "OrderCancelRequested", 61),
    "PaymentReviewRequired": (REVIEWED, 3, 0, (2, 0, "ItemsReserved"), 83_000),
    "ReservationReleased": (REVIEWED, 5, 0, (4, 0, "PaymentFailed"), 90_000),
}
"""Where the example of each event of ours stands: order, version, ordinal, what caused it, seconds since the first."""


def _customer(order_id: OrderId) -> str:
    return {PAID: "c-7", DECLINED: "c-8"}.get(order_id, "c-9")


def _transaction(order_id: OrderId) -> str:
    return "pi_3Pq" + order_id.replace("-", "")


def _upstream_id(event_type: str, subject: str) -> UUID:
    return uuid5(_UPSTREAM, f"{event_type} of {subject}")
