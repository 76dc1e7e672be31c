"""One declaration for each table that keeps values of the domain. All statements over its columns are made from it.

A new column is a line here and a migration. `tables.py` makes SQLAlchemy's tables from these declarations.
"""

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from operator import attrgetter
from typing import Any, Final, Generic, LiteralString, TypeVar

import msgspec
import orjson

from domain.disputing import KnownDispute
from domain.failure_codes import FailureCode
from domain.operation import FIRST_FORMAT, Frozen, Operation, OperationKind, OperationState
from domain.order import Attempt, Hold, HoldState, Order, OrderLine, Status
from domain.outcome import Missing
from domain.values import Value
from outbox.driver.batches import JSONB, Column, Row, insert, update, word

V = TypeVar("V", bound=Value)
TIME: Final = "timestamptz"


class Table(Generic[V]):
    """One table and its type of values.

    Columns of the value: key finds a row, fixed never changes, state changes. Columns that the value has not: given is
    part of the key, also is written once, stamp is written at every change. The caller passes these, in this order.
    """

    def __init__(
        self,
        name: LiteralString,
        value: type[V],
        *,
        key: Sequence[Column],
        fixed: Sequence[Column] = (),
        state: Sequence[Column],
        given: Sequence[Column] = (),
        also: Sequence[Column] = (),
        stamp: Sequence[Column] = (),
    ) -> None:
        self.name = name
        self._value = value
        self.key = tuple(column.name for column in (*given, *key))
        self.state = tuple(state)
        self.columns = (*given, *also, *stamp, *key, *fixed, *state)
        self.insert = insert(name, self.columns)
        self.update = update(name, [*given, *key], [*stamp, *state])
        self._row = _reader([*key, *fixed, *state])
        self._key, self._state = _reader(key), _reader(state)

        fields = {column.field or column.name: column for column in (*key, *fixed, *state)}
        every = value.__struct_fields__
        loaded = [fields[name] for name in every if name in fields]
        self._names = tuple(column.name for column in loaded)
        self._reads = tuple((n, column.read, column.null) for n, column in enumerate(loaded) if column.read is not None)
        self._parts_at = next((n for n, name in enumerate(every) if name not in fields), None)

    def select(self, alias: LiteralString) -> LiteralString:
        """Return the list of columns that `load` expects."""
        return ", ".join([f"{alias}.{name}" for name in self._names])

    def load(self, row: Sequence[Any], *parts: object) -> V:
        """Make a value from a row. parts: from other tables. The row may have further cells at its end."""
        cells = list(row)
        del cells[len(self._names) :]
        for n, read, null in self._reads:
            cells[n] = null if cells[n] is None else read(cells[n])
        if parts:
            cells[self._parts_at : self._parts_at] = parts
        return self._value(*cells)

    def by_order(self, rows: Iterable[Row]) -> dict[str, list[V]]:
        """Make values from rows that begin with the order's id; group them by it."""
        grouped: dict[str, list[V]] = {}
        for order_id, *row in rows:
            grouped.setdefault(order_id, []).append(self.load(row))
        return grouped

    def row(self, value: V, *others: object) -> Row:
        """Return the row of a new value. others: the columns that the value has not."""
        return (*others, *self._row(value))

    def change(self, value: V, given: Row = (), stamp: Row = ()) -> Row:
        """Return the row of an update."""
        return (*given, *self._key(value), *stamp, *self._state(value))


def _reader(columns: Sequence[Column]) -> Callable[[Any], Row]:
    """Make a function that reads these columns' attributes."""
    names = [column.field or column.name for column in columns]
    read = attrgetter(*names)
    return read if len(names) > 1 else lambda value: (read(value),)


def _member(kind: type[StrEnum]) -> Callable[[str], StrEnum]:
    """Make a function that returns a member by its text. A dict takes a third of the time of the enum's call."""
    return {str(member): member for member in kind}.__getitem__


def _write_lines(lines: Iterable[OrderLine]) -> str:
    return orjson.dumps([(line.sku, line.quantity) for line in lines]).decode()


def _read_lines(lines: Iterable[Any]) -> tuple[OrderLine, ...]:
    return tuple(OrderLine(sku, quantity) for sku, quantity in lines)


def _write_missing(missing: Iterable[Missing]) -> str | None:
    return orjson.dumps([(m.sku, m.requested, m.available) for m in missing]).decode() if missing else None


def _read_missing(missing: Iterable[Any]) -> tuple[Missing, ...]:
    return tuple(Missing(*item) for item in missing)


def _write_frozen(frozen: Frozen | None) -> str | None:
    return None if frozen is None else msgspec.json.encode(frozen).decode()


def _read_frozen(cell: object) -> Frozen:
    """Read what was frozen. Values that only a newer release knows are left out."""
    return msgspec.convert(cell, Frozen)


NUMBER: Final = Column("order_number", "bigint", "orders.order_number: what the rows of an order are found by")
BLOCK: Final = 1000
"""How many order numbers one value of the sequence stands for: its increment."""
OWNER: Final = word("order_id", "the order")
MISSING: Final = Column(
    "missing",
    JSONB,
    "[[sku, requested, available or null], ...]",
    nullable=True,
    write=_write_missing,
    read=_read_missing,
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
            "lines", JSONB, "[[sku, quantity], ...], a SKU once, sorted", write=_write_lines, read=_read_lines, null=()
        ),
        Column(
            "content_hash", "bytea", "SHA-256 over what makes two OrderConfirmed the same; kept for good", read=bytes
        ),
        Column("created_at", TIME, "when we first saw it"),
    ),
    state=(
        word("status", "see domain.order.Status", read=_member(Status)),
        Column("version", "bigint", "raised by one by every decision that emits, without gaps"),
        Column("attempt", "integer", "number of the attempt that counts, from 1"),
        Column("retryable", "boolean", "failed, and another method may help"),
        Column("retry_until", TIME, "a retry must have occurred before", nullable=True),
        word("reviewed", "under manual review: the status before", nullable=True, read=_member(Status)),
        word("review_reason", "under manual review: why", nullable=True),
        MISSING._replace(comment="[[sku, requested, available or null], ...] of the last failed reservation"),
        Column("delay_notified", "boolean", "the customer was told that it takes long"),
        Column("resends", "integer", "how often the sweep sent the last event again"),
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
        word("failure_code", "see domain.failure_codes", nullable=True, read=_member(FailureCode)),
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
            read=_member(OperationKind),
        ),
        Column("try_number", "integer", "part of the idempotency key; below 0: made by somebody else, without a key"),
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
            write=_write_frozen,
            read=_read_frozen,
        ),
    ),
    state=(
        word("state", "open, approved, declined, pending, unknown, not_executed", read=_member(OperationState)),
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

HOLDS: Final = Table(
    "reservation",
    Hold,
    given=(NUMBER,),
    also=(word("order_id", "the order, whose lines it holds"),),
    key=(Column("attempt", "integer", "the attempt"),),
    fixed=(Column("reservation_id", "uuid", "uuid5 of order and attempt"),),
    state=(
        word("state", "held, sold, released, expired", read=_member(HoldState)),
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
