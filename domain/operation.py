"""An operation: one call at the gateway or at an external inventory, owned by its row until it has an outcome."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from domain.ids import Namespace, OperationId, OrderId
from domain.values import Value

OPERATIONS = Namespace(UUID("5b0b3e0c-5a3b-5f86-9d3c-0f5f0a1d7c11"))


class OperationKind(StrEnum):
    """What is asked for at the edge."""

    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"
    RESERVE = "reserve"
    CONFIRM = "confirm"
    RELEASE = "release"


GATEWAY_KINDS = frozenset({OperationKind.AUTHORIZE, OperationKind.CAPTURE, OperationKind.VOID, OperationKind.REFUND})
INVENTORY_KINDS = frozenset({OperationKind.RESERVE, OperationKind.CONFIRM, OperationKind.RELEASE})


class OperationState(StrEnum):
    """Open, pending and unknown are unfinished; the others are definite."""

    OPEN = "open"
    APPROVED = "approved"
    DECLINED = "declined"
    PENDING = "pending"
    UNKNOWN = "unknown"
    NOT_EXECUTED = "not_executed"


UNFINISHED = frozenset({OperationState.OPEN, OperationState.PENDING, OperationState.UNKNOWN})


class GatewayCall(Value, frozen=True):
    """Everything that the gateway is asked, complete and unchanging: the same key always carries the same parameters.

    amount_minor is in ISO 4217 minor units. token is set for authorize only, transaction_id for all others.
    reference is the refund id once the gateway has told it. opened_at bounds the search of a look-up.
    """

    operation_id: OperationId
    kind: OperationKind
    idempotency_key: str
    order_id: OrderId
    attempt: int
    amount_minor: int
    currency: str
    token: str | None
    transaction_id: str | None
    reference: str | None
    opened_at: datetime


def idempotency_key(order_id: OrderId, attempt: int, kind: OperationKind, try_number: int) -> str:
    """Derive the key under which the gateway remembers this operation; never from a delivery, time or trace."""
    return f"payments:{order_id}:{attempt}:{kind}:{try_number}"


def operation_id(order_id: OrderId, attempt: int, kind: OperationKind, try_number: int) -> OperationId:
    """Derive the operation's id from what makes it unique, so that planning twice names the same row."""
    return OperationId(OPERATIONS.derive(idempotency_key(order_id, attempt, kind, try_number)))
