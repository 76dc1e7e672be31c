"""An operation: one call at the gateway or the inventory. Its row exists before the call is made."""

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from domain.ids import EventId, Namespace, OperationId, OrderId
from domain.lines import OrderLine
from domain.tracing import Trace
from domain.values import Value

OPERATIONS = Namespace(UUID("5b0b3e0c-5a3b-5f86-9d3c-0f5f0a1d7c11"))
FIRST_FORMAT: Final = 1
"""Rows of releases that kept no format: their requests hold nothing of the settings."""
REQUEST_FORMAT: Final = 3
"""How this release makes the request of a new operation. Raise it when the same operation gives other parameters."""


class OperationKind(StrEnum):
    """What the gateway or the inventory is asked to do."""

    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"
    RESERVE = "reserve"
    CONFIRM = "confirm"
    RELEASE = "release"
    EXTEND = "extend"
    RESTOCK = "restock"


GATEWAY_KINDS = frozenset({OperationKind.AUTHORIZE, OperationKind.CAPTURE, OperationKind.VOID, OperationKind.REFUND})
INVENTORY_KINDS = frozenset(
    {
        OperationKind.RESERVE,
        OperationKind.CONFIRM,
        OperationKind.RELEASE,
        OperationKind.EXTEND,
        OperationKind.RESTOCK,
    }
)
BESIDE_OTHERS: Final = frozenset({OperationKind.RELEASE, OperationKind.EXTEND, OperationKind.RESTOCK})
"""These may be unfinished while another operation of the order is: they move no money and take no goods."""


class OperationState(StrEnum):
    """Open, pending and unknown are unfinished; the others are definite."""

    OPEN = "open"
    APPROVED = "approved"
    DECLINED = "declined"
    PENDING = "pending"
    UNKNOWN = "unknown"
    NOT_EXECUTED = "not_executed"


_DIGITS: Final = 32
"""Of the digest of a request's id: 128 bits. The key must stay below the gateway's 255 characters."""
UNFINISHED = frozenset({OperationState.OPEN, OperationState.PENDING, OperationState.UNKNOWN})


class Frozen(Value, frozen=True, omit_defaults=True):
    """What enters a request besides the operation, as it was when the operation was opened.

    The gateway refuses a key that comes again with other parameters, and settings may change before a call is repeated.
    A new value is a line here, one in `wording.freeze`, and one where the adapter makes the request.

    statement_suffix, description, return_url: made from the settings' templates. customer_id: the gateway's id of the
    customer whose saved method it is. off_session: the customer is away. method_kind: only if it is no card.
    lines, until: what an inventory elsewhere is asked to hold or put back, and until when a hold shall last (UTC).
    """

    statement_suffix: str | None = None
    description: str | None = None
    return_url: str | None = None
    customer_id: str | None = None
    off_session: bool = False
    method_kind: str | None = None
    lines: tuple[OrderLine, ...] = ()
    until: datetime | None = None

    def __repr__(self) -> str:
        """Show all fields except the customer's id, which no log may contain."""
        shown = ((name, getattr(self, name)) for name in self.__struct_fields__ if name != "customer_id")
        return f"Frozen({', '.join(f'{name}={value!r}' for name, value in shown)})"


class Operation(Value, frozen=True):
    """One call at the gateway or the inventory, owned by this row until it has a definite outcome.

    due_at: the end of the lease while somebody works on it, else the time of the next try; then the sweep may claim it.
    tries: counts calls, not claims (see operating.count_answer). unknown_since: since when we do not know the outcome.
    replayed: the gateway repeats a stored failure. by, reason: of the operator who settled it.
    request_format, frozen: what its request is made from, besides the operation itself. request_id: the gateway's id of
    the last request about it that had an answer, as its support asks for it. for_request: the id of the refund that
    somebody asked for; None for one that the pipeline makes by itself. trace: the context of what opened it.
    """

    operation_id: OperationId
    order_id: OrderId
    attempt: int
    kind: OperationKind
    try_number: int
    reaction: str
    causation_id: EventId | None
    amount_minor: int
    currency: str
    opened_at: datetime
    due_at: datetime | None
    transaction_id: str | None = None
    reference: str | None = None
    state: OperationState = OperationState.OPEN
    tries: int = 0
    unknown_since: datetime | None = None
    replayed: bool = False
    settled_at: datetime | None = None
    detail: str | None = None
    by: str | None = None
    reason: str | None = None
    request_format: int = REQUEST_FORMAT
    frozen: Frozen | None = None
    request_id: str | None = None
    for_request: str | None = None
    trace: Trace | None = None

    @property
    def unfinished(self) -> bool:
        """Whether the outcome is still to come."""
        return self.state in UNFINISHED

    @property
    def blocks(self) -> bool:
        """Whether no other operation of the order may start before its outcome is known.

        A pending refund blocks nothing: the gateway has accepted it, and its amount counts as returned.
        """
        if self.kind in BESIDE_OTHERS:
            return False
        pending_refund = self.state is OperationState.PENDING and self.kind is OperationKind.REFUND
        return self.state in UNFINISHED and not pending_refund


class GatewayCall(Value, frozen=True):
    """All parameters of a call at the gateway. The same key always has the same parameters.

    amount_minor: in ISO 4217 minor units. token: for authorize only. transaction_id: for all other kinds. reference:
    the refund id, once it is known. opened_at: limits the search of a look-up. request_format, frozen: see Operation.
    trace: no part of the request; who records traces tells the call under it.
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
    request_format: int = REQUEST_FORMAT
    frozen: Frozen | None = None
    trace: Trace | None = None


def idempotency_key(
    order_id: OrderId, attempt: int, kind: OperationKind, try_number: int, for_request: str | None = None
) -> str:
    """Derive the key under which the gateway stores this operation. It never depends on a delivery, time or trace.

    That of a refund on request begins otherwise. All before its order id is of a form that has one reading, so no two
    keys are equal, whatever ids are given.
    """
    if for_request is None:
        return f"payments:{order_id}:{attempt}:{kind}:{try_number}"
    digest = hashlib.sha256(for_request.encode()).hexdigest()[:_DIGITS]
    return f"payments-{kind}:{digest}:{try_number}:{attempt}:{order_id}"


def operation_id(
    order_id: OrderId, attempt: int, kind: OperationKind, try_number: int, for_request: str | None = None
) -> OperationId:
    """Derive the operation's id from what makes it unique: planning twice gives the same row."""
    return OperationId(OPERATIONS.derive(idempotency_key(order_id, attempt, kind, try_number, for_request)))
