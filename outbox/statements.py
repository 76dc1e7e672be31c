"""Set-based statements: one for a whole batch, its rows passed as one array a column.

No statement compares a column with a constant beside the array join: on a fresh database, without statistics, the
planner would expect hardly a row and scan the whole table once for every array element (measured: ten times slower).
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, LiteralString, NamedTuple

from outbox import binary
from outbox.binary import ARRAYS, Array

COPY_FROM: Final = 20
"""From so many rows on COPY costs less than an INSERT over arrays; below, its extra round trips cost more."""


class Column(NamedTuple):
    """A column, the type of its array elements, what they are cast to, and how they are written (its type, mostly)."""

    name: LiteralString
    type: LiteralString = "text"
    cast: LiteralString = ""
    kind: str = ""

    @property
    def written(self) -> str:
        """Name the writer, see binary.WRITERS."""
        return self.kind or self.type


def word(name: LiteralString) -> Column:
    """Describe a column of texts that come again."""
    return Column(name, kind="word")


class Batch(NamedTuple):
    """A statement over arrays; `arrays` turns rows, one tuple a row in the order of the columns, into parameters."""

    sql: LiteralString
    types: tuple[type[Array], ...]

    def arrays(self, rows: Sequence[Sequence[Any]]) -> list[Array]:
        """Turn rows into columns. There is at least one row."""
        return [make(column) for make, column in zip(self.types, zip(*rows, strict=True), strict=True)]


class Insert(NamedTuple):
    """Two ways to insert many rows: an INSERT over arrays, and a COPY."""

    batch: Batch
    copy: LiteralString
    writers: tuple[Callable[[Any], bytes], ...]

    def body(self, rows: Sequence[Sequence[Any]]) -> bytes:
        """Return what the COPY sends."""
        return binary.copy_rows(self.writers, rows)


def _unnest(columns: Sequence[Column]) -> LiteralString:
    """Turn arrays into rows. In a select list, they come one by one; FROM unnest(a, b) would keep each column first."""
    arrays: LiteralString = ", ".join([f"unnest(%s::{c.type}[]) AS {c.name}" for c in columns])
    return f"(SELECT {arrays}) AS u"


def _types(columns: Sequence[Column]) -> tuple[type[Array], ...]:
    return tuple(ARRAYS[c.written] for c in columns)


def _value(column: Column) -> LiteralString:
    return f"u.{column.name}{column.cast}"


def insert(table: LiteralString, columns: Sequence[Column], suffix: LiteralString = "") -> Insert:
    """Build an insert of many rows. The COPY knows no suffix."""
    names: LiteralString = ", ".join([c.name for c in columns])
    values: LiteralString = ", ".join([_value(c) for c in columns])
    batch = Batch(f"INSERT INTO {table} ({names}) SELECT {values} FROM {_unnest(columns)} {suffix}", _types(columns))
    writers = tuple(binary.jsonb if c.cast == "::jsonb" else binary.WRITERS[c.written] for c in columns)
    return Insert(batch, f"COPY {table} ({names}) FROM STDIN (FORMAT BINARY)", writers)


def update(table: LiteralString, keys: Sequence[Column], columns: Sequence[Column]) -> Batch:
    """Build an UPDATE of many rows by key; the keys come first in a row."""
    sets: LiteralString = ", ".join([f"{c.name} = {_value(c)}" for c in columns])
    where: LiteralString = " AND ".join([f"t.{k.name} = u.{k.name}" for k in keys])
    every = [*keys, *columns]
    return Batch(f"UPDATE {table} AS t SET {sets} FROM {_unnest(every)} WHERE {where}", _types(every))


TIME: LiteralString = "timestamptz"

ORDER_KEY = (word("order_id"),)
NUMBER = Column("order_number", "bigint")
ORDER_FIXED = (
    Column("customer_id"),
    Column("correlation_id"),
    word("currency"),
    Column("total_minor", "bigint"),
    Column("lines", "text", "::jsonb"),
    Column("content_hash", "bytea"),
    Column("created_at", TIME),
    NUMBER,
)
ORDER_STATE = (
    word("status"),
    Column("version", "bigint"),
    Column("attempt", "integer"),
    Column("retryable", "boolean"),
    Column("retry_until", TIME),
    word("reviewed"),
    word("review_reason"),
    Column("missing", "text", "::jsonb"),
    Column("delay_notified", "boolean"),
    Column("resends", "integer"),
    Column("updated_at", TIME),
)
ATTEMPT_KEY = (NUMBER, Column("attempt", "integer"))
ATTEMPT_FIXED = ORDER_KEY
ATTEMPT_STATE = (
    word("method_kind"),
    Column("token"),
    Column("transaction_id"),
    Column("authorized_minor", "bigint"),
    Column("captured_minor", "bigint"),
    Column("refunded_minor", "bigint"),
    Column("voided", "boolean"),
    Column("authorization_expires_at", TIME),
    Column("captured_at", TIME),
    Column("livemode", "boolean"),
    Column("refund_id"),
    word("failure_code"),
)
OPERATION_KEY = (NUMBER, Column("attempt", "integer"), word("kind"), Column("try_number", "integer"))
OPERATION_FIXED = (
    *ORDER_KEY,
    Column("operation_id", "uuid"),
    word("reaction"),
    Column("causation_id", "uuid"),
    Column("amount_minor", "bigint"),
    word("currency"),
    Column("opened_at", TIME),
)
OPERATION_STATE = (
    word("state"),
    Column("transaction_id"),
    Column("reference"),
    Column("tries", "integer"),
    Column("due_at", TIME),
    Column("unknown_since", TIME),
    Column("replayed", "boolean"),
    Column("settled_at", TIME),
    Column("detail"),
    Column("by"),
    Column("reason"),
)
HOLD_KEY = (NUMBER, Column("attempt", "integer"))
HOLD_FIXED = (*ORDER_KEY, Column("reservation_id", "uuid"))
HOLD_STATE = (word("state"), Column("expires_at", TIME), Column("pinned", "boolean"))

INSERT_ORDERS = insert("orders", [*ORDER_KEY, *ORDER_FIXED, *ORDER_STATE])
UPDATE_ORDERS = update("orders", ORDER_KEY, ORDER_STATE)
INSERT_ATTEMPTS = insert("attempt", [*ATTEMPT_KEY, *ATTEMPT_FIXED, *ATTEMPT_STATE])
UPDATE_ATTEMPTS = update("attempt", ATTEMPT_KEY, ATTEMPT_STATE)
INSERT_OPERATIONS = insert("operation", [*OPERATION_KEY, *OPERATION_FIXED, *OPERATION_STATE])
UPDATE_OPERATIONS = update("operation", OPERATION_KEY, OPERATION_STATE)
INSERT_HOLDS = insert("reservation", [*HOLD_KEY, *HOLD_FIXED, *HOLD_STATE])
UPDATE_HOLDS = update("reservation", HOLD_KEY, HOLD_STATE)
INSERT_NOTIFICATIONS = insert(
    "notification",
    [
        Column("event_id", "uuid"),
        Column("order_id"),
        Column("customer_id"),
        word("kind"),
        Column("text"),
        Column("occurred_at", TIME),
        Column("stale", "boolean"),
    ],
    "ON CONFLICT DO NOTHING",
)

BEGIN: LiteralString = """
    SELECT now(), pg_current_xact_id()::xid, NULL AS order_id, NULL::bigint AS order_number, NULL::xid AS xmin
    UNION ALL
    SELECT NULL, NULL, o.order_id, o.order_number, o.xmin
      FROM (SELECT order_id, order_number, xmin FROM orders WHERE order_id = ANY(%s)
             ORDER BY order_id FOR UPDATE) o"""
"""The clock and the transaction's id, in a row of their own, for a time is dear to read; the orders, locked."""
LOAD_ORDERS: LiteralString = """
    SELECT order_id, status, version, attempt, customer_id, correlation_id, currency, total_minor, lines,
           content_hash, retryable, retry_until, reviewed, review_reason, missing, delay_notified, resends, created_at
      FROM orders WHERE order_id = ANY(%s)"""
LOAD_ATTEMPTS: LiteralString = """
    SELECT order_id, attempt, method_kind, token, transaction_id, authorized_minor, captured_minor, refunded_minor,
           voided, authorization_expires_at, captured_at, livemode, refund_id, failure_code
      FROM attempt WHERE order_number = ANY(%s) ORDER BY order_number, attempt"""
OPERATION_COLUMNS: LiteralString = """o.operation_id, o.order_id, o.attempt, o.kind, o.try_number, o.reaction,
    o.causation_id, o.amount_minor, o.currency, o.opened_at, o.due_at, o.transaction_id, o.reference, o.state, o.tries,
    o.unknown_since, o.replayed, o.settled_at, o.detail, o.by, o.reason"""
LOAD_OPERATIONS: LiteralString = f"""
    SELECT {OPERATION_COLUMNS} FROM operation o
     WHERE o.order_number = ANY(%s) AND CASE WHEN o.state IN ('open', 'pending', 'unknown') THEN true ELSE false END"""
LOAD_HOLDS: LiteralString = """
    SELECT order_id, reservation_id, attempt, state, expires_at, pinned
      FROM reservation WHERE order_number = ANY(%s) ORDER BY order_number, attempt"""
DRAW_ORDER_NUMBERS: LiteralString = "SELECT nextval('order_number_seq')"
"""The first of as many as the sequence goes on by."""

CLAIM_DUE: LiteralString = f"""
    WITH due AS (
      SELECT order_number, attempt, kind, try_number FROM operation
       WHERE state IN ('open', 'pending', 'unknown') AND kind <> 'release' AND due_at <= now()
       ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED)
    UPDATE operation o SET due_at = now() + make_interval(secs => %s)
      FROM due
     WHERE o.order_number = due.order_number AND o.attempt = due.attempt AND o.kind = due.kind
       AND o.try_number = due.try_number
    RETURNING {OPERATION_COLUMNS},
      (SELECT t.token FROM attempt t WHERE t.order_number = o.order_number AND t.attempt = o.attempt)"""
_LEASE = (*ORDER_KEY, Column("operation_id", "uuid"), Column("due_at", TIME))
GIVE_BACK = Batch(
    # A lease is known by its end: that of another, who has claimed the operation since, ends at another time.
    f"""
    UPDATE operation p SET due_at = now()
      FROM {_unnest(_LEASE)} JOIN orders o USING (order_id)
     WHERE p.order_number = o.order_number AND p.operation_id = u.operation_id AND p.due_at = u.due_at
       AND CASE WHEN p.state IN ('open', 'pending', 'unknown') THEN p.due_at > now() ELSE false END""",
    _types(_LEASE),
)
OPERATION_STATES: LiteralString = """
    SELECT p.operation_id, p.state FROM orders o JOIN operation p USING (order_number)
     WHERE o.order_id = ANY(%s) AND p.operation_id = ANY(%s)"""
HISTORY: LiteralString = f"""
    SELECT {OPERATION_COLUMNS} FROM operation o WHERE o.order_number = %s
     ORDER BY o.opened_at, o.attempt, o.try_number, o.kind"""
INSERT_RESOLUTION: LiteralString = """
    INSERT INTO resolution (order_id, review_reason, word, reference, reason, by) VALUES (%s, %s, %s, %s, %s, %s)"""
SEND_AGAIN: LiteralString = """
    INSERT INTO outbox (event_ids)
    SELECT array_agg(e.id ORDER BY e.id) FROM orders o JOIN event e USING (order_number)
     WHERE o.order_id = ANY(%s)
       AND NOT EXISTS (SELECT FROM (SELECT unnest(event_ids) AS id FROM outbox) u WHERE u.id = e.id)
     GROUP BY order_number ORDER BY order_number"""
EVENT_COLUMNS = (
    Column("event_id", "uuid"),
    *ORDER_KEY,
    NUMBER,
    Column("order_version", "bigint"),
    Column("ordinal", "integer"),
    word("topic"),
    Column("body", "bytea"),
    Column("occurred_at", TIME),
    Column("causation_id", "uuid"),
)
OUTBOX_ROW: Final = 200
"""Messages in a row of the outbox at most: so many fit without being moved out of line."""
ENTER_OUTBOX: LiteralString = f"""
    WITH drawn AS (SELECT nextval('event_id_seq') AS id FROM generate_series(1, %s)),
      sent AS (
        INSERT INTO outbox (event_ids)
        SELECT array_agg(id ORDER BY id) FROM (SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM drawn) d
         GROUP BY n / {OUTBOX_ROW} ORDER BY n / {OUTBOX_ROW})
    SELECT id FROM drawn"""
"""Draws the ids of so many events that follow, and puts them into the outbox."""
COPY_EVENTS = insert("event", [Column("id", "bigint", kind="number"), *EVENT_COLUMNS])
_EVENT_NAMES: LiteralString = ", ".join([c.name for c in EVENT_COLUMNS])
_EVENT_ARRAYS: LiteralString = ", ".join([f"%s::{c.type}[]" for c in EVENT_COLUMNS])
APPEND_EVENTS = Batch(
    # Few events: one statement in place of drawing ids and a COPY. Ids are drawn in the order of the rows.
    f"""
    WITH appended AS (
      INSERT INTO event ({_EVENT_NAMES})
      SELECT {_EVENT_NAMES} FROM unnest({_EVENT_ARRAYS}) WITH ORDINALITY AS u({_EVENT_NAMES}, n) ORDER BY n
      RETURNING id),
      sent AS (INSERT INTO outbox (event_ids) SELECT array_agg(id ORDER BY id) FROM appended)
    SELECT pg_notify('payments_outbox', '')""",
    _types(EVENT_COLUMNS),
)
INSERT_LETTER: LiteralString = """
    INSERT INTO event (id, event_id, order_id, order_version, ordinal, topic, key, body, header_names, header_values,
                       occurred_at, causation_id) OVERRIDING SYSTEM VALUE
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""
