"""One declaration for each table that keeps values of the domain.

A new column is a line here and a migration. `tables.py` makes SQLAlchemy's tables from these declarations.
"""

from typing import Final, LiteralString

from domain.disputing import KnownDispute
from domain.failure_codes import FailureCode
from domain.operation import FIRST_FORMAT, Operation, OperationKind, OperationState
from domain.order import Attempt, Hold, HoldState, Order, Status
from domain.requests import Request, RequestKind, RequestState
from outbox.driver.batches import JSONB, Column, word
from outbox.schema.cells import (
    member,
    read_frozen,
    read_lines,
    read_missing,
    read_name,
    write_frozen,
    write_lines,
    write_missing,
    write_name,
)
from outbox.schema.table import Table

__all__ = ["Table"]

TIME: Final = "timestamptz"
NUMBER: Final = Column("order_number", "bigint", "orders.order_number: what the rows of an order are found by")
BLOCK: Final = 1000
"""How many order numbers one value of the sequence stands for: its increment."""
OWNER: Final = word("order_id", "the order")
MISSING: Final = Column(
    "missing",
    JSONB,
    "[[sku, requested, available or null], ...]",
    nullable=True,
    write=write_missing,
    read=read_missing,
    null=(),
)

ORDERS: Final = Table(
    "orders",
    Order,
    key=(word("order_id", "checkout's id, 1 to 64 printable ASCII characters"),),
    also=(
        Column("order_number", "bigint", "ours, growing with time, with gaps: indexes of other tables begin with it"),
    ),
    stamp=(Column("updated_at", TIME, "when anything of it last changed"),),
    fixed=(
        Column("customer_id", comment="checkout's id of the customer"),
        Column("correlation_id", comment="the same for all events of the order"),
        word("currency", "ISO 4217"),
        Column("total_minor", "bigint", "what the customer pays, in minor units"),
        Column(
            "lines", JSONB, "[[sku, quantity], ...], a SKU once, sorted", write=write_lines, read=read_lines, null=()
        ),
        Column(
            "content_hash", "bytea", "SHA-256 over what makes two OrderConfirmed the same; kept for good", read=bytes
        ),
        Column("created_at", TIME, "when we first saw it"),
        Column("confirmed_at", TIME, "when its OrderConfirmed came onto its topic; null: before 0016", nullable=True),
    ),
    state=(
        word("status", "see domain.order.Status", read=member(Status)),
        Column("version", "bigint", "raised by one by every decision that emits, without gaps"),
        Column("attempt", "integer", "number of the attempt that counts, from 1"),
        Column("retryable", "boolean", "failed, and another method may help"),
        Column("retry_until", TIME, "a retry must have occurred before", nullable=True),
        word("reviewed", "under manual review: the status before", nullable=True, read=member(Status)),
        word("review_reason", "under manual review: why", nullable=True),
        MISSING._replace(comment="[[sku, requested, available or null], ...] of the last failed reservation"),
        Column("delay_notified", "boolean", "the customer was told that it takes long"),
        Column("resends", "integer", "how often the sweep sent the last event again"),
        Column(
            "requests",
            "integer",
            "rows of order_request; null: none, written before 0012",
            nullable=True,
            field="request_count",
        ),
        Column("paid_at", TIME, "when PaidAndConfirmed was said; null: it was not, or before 0012", nullable=True),
        Column("preparation_started_at", TIME, "when order preparation told us that it began", nullable=True),
        Column(
            "disputed",
            "boolean",
            "the gateway refuses refunds because of a dispute",
            nullable=True,
            read=bool,
            null=False,
        ),
    ),
)

ATTEMPTS: Final = Table(
    "attempt",
    Attempt,
    given=(NUMBER,),
    also=(OWNER,),
    key=(Column("attempt", "integer", "from 1 within the order", field="number"),),
    state=(
        word("method_kind", "CARD, WALLET, BANK, OTHER; NONE for an order without a total"),
        Column(
            "token",
            comment="the gateway's opaque token of the method, erased once the attempt is over",
            nullable=True,
        ),
        Column("transaction_id", comment="the gateway's id of the transaction", nullable=True),
        Column("authorized_minor", "bigint", "minor units that the issuer approved"),
        Column("captured_minor", "bigint", "minor units that we took"),
        Column("refunded_minor", "bigint", "minor units that we gave back"),
        Column("voided", "boolean", "the authorization is given up or has lapsed"),
        Column("authorization_expires_at", TIME, "null if unknown", nullable=True),
        Column("captured_at", TIME, "when the money was taken", nullable=True),
        Column("livemode", "boolean", "false for play money"),
        Column("refund_id", comment="the gateway's id of the refund", nullable=True),
        word("failure_code", "see domain.failure_codes", nullable=True, read=member(FailureCode)),
        Column("action_expires_at", TIME, "until when the customer may confirm it; null: never asked", nullable=True),
    ),
)

OPERATIONS: Final = Table(
    "operation",
    Operation,
    given=(NUMBER,),
    key=(
        Column("attempt", "integer", "the attempt"),
        word(
            "kind",
            "authorize, capture, void, refund; reserve, confirm, release, extend, restock",
            read=member(OperationKind),
        ),
        Column("try_number", "integer", "part of the idempotency key; below 0: made by somebody else, without a key"),
        word(
            "for_request",
            "the request that it serves, part of the idempotency key; empty: none",
            write=write_name,
            read=read_name,
        ),
    ),
    fixed=(
        OWNER,
        Column("operation_id", "uuid", "uuid5 of order, attempt, kind and try"),
        word("reaction", "whose settle function decides on the outcome"),
        Column("causation_id", "uuid", "the event that opened it", nullable=True),
        Column("amount_minor", "bigint", "minor units"),
        word("currency", "ISO 4217"),
        Column("opened_at", TIME, "when it was planned; the key lives from here"),
        Column(
            "request_format",
            "integer",
            "how its request is made from this row, see domain.operation; null: written before 0005",
            nullable=True,
            read=int,
            null=FIRST_FORMAT,
        ),
        Column(
            "frozen",
            JSONB,
            "what else enters its request, as it was when it was opened: texts, URL, the gateway's id of the customer",
            nullable=True,
            write=write_frozen,
            read=read_frozen,
        ),
        Column(
            "trace_context",
            comment="W3C trace context of what opened it, as event.trace_context; null: none",
            nullable=True,
            field="trace",
        ),
    ),
    state=(
        word("state", "open, approved, declined, pending, unknown, not_executed", read=member(OperationState)),
        Column("transaction_id", comment="the gateway's transaction it works on", nullable=True),
        Column("reference", comment="the gateway's id of what it made, a refund id", nullable=True),
        Column("tries", "integer", "calls that had an answer, or were given up without one"),
        Column("due_at", TIME, "end of the lease, or the time of the next try; null: not for the sweep", nullable=True),
        Column("unknown_since", TIME, "since when we wait for an answer", nullable=True),
        Column("replayed", "boolean", "the gateway repeats a stored failure: only look up"),
        Column("settled_at", TIME, "when it was settled", nullable=True),
        Column("detail", comment="what the gateway said, for operators", nullable=True),
        Column("by", comment="the operator who settled it", nullable=True),
        Column("reason", comment="why the operator did", nullable=True),
        Column("request_id", comment="the gateway's id of the last request about it that had an answer", nullable=True),
    ),
)

ONE_AT_A_TIME: Final[LiteralString] = """
    (state IN ('open', 'unknown') OR (state = 'pending' AND kind <> 'refund'))
    AND kind NOT IN ('release', 'restock', 'extend')"""
BESIDE: Final[LiteralString] = """
    (state = 'pending' AND kind = 'refund')
    OR (state IN ('open', 'pending', 'unknown') AND kind IN ('release', 'restock', 'extend'))"""
"""Unfinished operations: those of which an order has one at a time, and those that run beside others. Each has an index
of its own; a query over all of them names both, so that the planner uses these."""

HOLDS: Final = Table(
    "reservation",
    Hold,
    given=(NUMBER,),
    also=(word("order_id", "the order, whose lines it holds"),),
    key=(Column("attempt", "integer", "the attempt"),),
    fixed=(Column("reservation_id", "uuid", "uuid5 of order and attempt"),),
    state=(
        word("state", "held, sold, released, restocked, expired", read=member(HoldState)),
        Column("expires_at", TIME, "when it runs out unless pinned"),
        Column("pinned", "boolean", "a capture is under way: it cannot run out"),
        Column(
            "extensions",
            "integer",
            "how often an inventory elsewhere was asked to hold them for longer; null: written before 0014",
            nullable=True,
            read=int,
            null=0,
        ),
    ),
)

REQUESTS: Final = Table(
    "order_request",
    Request,
    given=(NUMBER,),
    also=(OWNER,),
    key=(
        Column("request_id", comment="the id that upstream or the operator gave it"),
        word("kind", "cancel, refund", read=member(RequestKind)),
    ),
    fixed=(
        Column("arrival", "integer", "place among the requests of its order, from 1"),
        Column("content_hash", "bytea", "SHA-256 of what was asked for", read=bytes),
        Column("noted_at", TIME, "when we first saw it"),
        Column("reason", comment="why, as it was asked for"),
        word("requested_by", "who asked, as upstream or the operator says"),
        word("operator", "the OS user or database role behind a command; null: upstream asked", nullable=True),
        Column("causation_id", "uuid", "the event that asked; null: a command", nullable=True),
        Column("amount_minor", "bigint", "of a refund, minor units; null: all that is kept", nullable=True),
        Column("lines", JSONB, "[[sku, quantity], ...] to be restocked", write=write_lines, read=read_lines, null=()),
        Column("asked_at", TIME, "when it was asked for, as its event says; null: before 0020", nullable=True),
    ),
    state=(
        word("state", "waiting, approval, taken, done, refused", read=member(RequestState)),
        Column("taken_minor", "bigint", "what it was taken for, minor units; null: not yet", nullable=True),
        word("refused", "why it was refused, as the event says", nullable=True),
        word("approved_by", "the OS user or database role that approved it", nullable=True),
        Column("approved_at", TIME, "when it was approved", nullable=True),
        Column("taken_at", TIME, "when it was taken", nullable=True),
        Column("ended_at", TIME, "when it was done or refused", nullable=True),
        Column("returned_minor", "bigint", "what went back for it so far, minor units"),
        Column("tries", "integer", "refunds that were sent for it, each under a key of its own"),
    ),
)

DISPUTES: Final = Table(
    "dispute",
    KnownDispute,
    given=(NUMBER,),
    also=(OWNER,),
    key=(Column("dispute_id", comment="the gateway's id; a payment may have several"),),
    fixed=(
        Column("attempt", "integer", "the attempt that paid"),
        Column("opened_at", TIME, "when, by the gateway's clock"),
    ),
    state=(
        word("status", "the gateway's word, see domain.disputing"),
        Column("amount_minor", "bigint", "what is disputed, minor units of the currency beside it"),
        word("currency", "ISO 4217"),
        word("reason", "the gateway's code"),
        Column("funds_withdrawn", "boolean", "the money has been taken from us and not given back"),
        Column("refundable", "boolean", "the payment may still be refunded; the gateway says so"),
        Column("closed_at", TIME, "when we saw that it had ended; null while it is open", nullable=True),
        Column("looked_at", TIME, "when the gateway was asked"),
        word("told", "what our events said last: OPEN, WITHDRAWN or the outcome; null: nothing yet", nullable=True),
    ),
)
