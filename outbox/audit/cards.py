"""Invariant 11: no card number anywhere.

Ids of orders, customers and events, SKUs, times, amounts and offsets are not searched: a tenth of them would pass for a
card number. Every other column of text or bytes is searched, also one that is added later. We cannot remove what
upstream published: card numbers on its topics are notes, not violations. No finding quotes what it found.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final, LiteralString

from psycopg import sql
from pydantic import BaseModel

from outbox.audit.books import Books
from schemas.cards import contains_card_number
from schemas.codec import Codec
from schemas.models import EVENTS
from schemas.rejection import Reason, Rejected
from schemas.topics import CONSUMED, TOPICS

IDS: Final = frozenset({"order_id", "customer_id", "correlation_id", "sku"})
"""Fields and columns with ids that others chose."""
UNCHECKED_COLUMNS: Final = IDS | {"lines", "missing", "content_hash", "topic_id", "trace_context"}
"""Lines and missing items are SKUs and quantities. A topic's id is 32 random hexadecimal digits, and so is a trace's;
who keeps a trace's context has searched the rest of it (domain.tracing)."""
BY_ROW: Final = frozenset({"event", "dead_letter", "early_message"})
"""Tables of messages: these must be decoded to know what is an id."""
UNCHECKED_HEADERS: Final = frozenset(
    {
        "ce_id",
        "ce_subject",
        "ce_time",
        "traceparent",
        "kafka_dlt-original-partition",
        "kafka_dlt-original-offset",
        "kafka_dlt-original-timestamp",
        "payments_topic_id",
    }
)
CUT: Final = "payments_length"
"""The header of a copy that was cut: its body cannot be decoded, and the table has the whole."""

AFTER_THE_KEY: Final = frozenset(
    {Reason.TOTAL_MISMATCH, Reason.UNKNOWN_CURRENCY, Reason.AMOUNT_LIMIT, Reason.CARD_NUMBER}
)
"""The codec finds these only after it found that the key is the order id."""

_LONG_NUMBER: Final[LiteralString] = "[0-9]([ -]?[0-9]){13}"
_MAY_BE_ONE: Final = re.compile(_LONG_NUMBER.encode())
_COLUMNS: Final[LiteralString] = """
    SELECT c.relname, array_agg(a.attname ORDER BY a.attnum), array_agg(format_type(a.atttypid, NULL) ORDER BY a.attnum)
      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
     WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
       AND a.attnum > 0 AND NOT a.attisdropped
     GROUP BY c.relname ORDER BY c.relname"""
_TEXTS: Final = frozenset({"text", "character varying", "json", "jsonb", "text[]"})
_BYTES: Final = frozenset({"bytea"})
_PARTS: Final[Mapping[tuple[str, str], LiteralString]] = {
    # The rest of it is from templates of the settings, with the order's id inside.
    ("operation", "frozen"): "frozen->>'customer_id'",
}
_ROWS: Final[Mapping[tuple[str, str], LiteralString]] = {
    # An inventory's detail names SKUs.
    ("operation", "detail"): "kind NOT IN ('reserve', 'confirm', 'release', 'extend', 'restock')",
}
_EVENTS: Final[LiteralString] = """
    SELECT id, topic, CASE WHEN header_names IS NULL THEN convert_to(order_id, 'UTF8') ELSE key END, body,
           header_names, header_values FROM event
     WHERE order_version = 0 OR encode(body, 'escape') ~ %(number)s"""
_LETTERS: Final[LiteralString] = """
    SELECT consumer_group, topic, partition, message_offset, key, coalesce(original, body), header_names, header_values,
           detail
      FROM dead_letter"""

_EARLY: Final[LiteralString] = "SELECT id, topic, key, body, header_names, header_values FROM early_message"


async def check_tables(books: Books) -> None:
    """Search every table: the database finds long numbers, and this module judges them."""
    for table, names, types in await books.rows(_COLUMNS):
        if table not in BY_ROW:
            await _check_table(books, table, dict(zip(names, types, strict=True)))
    async with AsyncExitStack() as stack:
        async for row in await books.stream(stack, _EVENTS, {"number": _LONG_NUMBER}):
            row_id, topic, key, body, header_names, values = row
            headers = list(zip(header_names or (), values or (), strict=True))
            _record(books, f"journal row {row_id}", list(_parts_with_card(books, topic, key, body, headers)))
    async with AsyncExitStack() as stack:
        async for row in await books.stream(stack, _LETTERS):
            group, topic, partition, offset, key, body, header_names, values, detail = row
            headers = [*zip(header_names, values, strict=True), ("detail", detail.encode())]
            where = f"dead letter {group} {topic}-{partition} offset {offset}"
            _record(books, where, list(_parts_with_card(books, f"{topic}.dlt", key, body, headers)))
    for row_id, topic, key, body, header_names, values in await books.rows(_EARLY):
        headers = list(zip(header_names, values, strict=True))
        _record(books, f"early message {row_id}", list(_parts_with_card(books, topic, key, body, headers)))


def check_message(
    books: Books, topic: str, key: bytes | None, body: bytes | None, headers: Sequence[tuple[str, bytes | None]]
) -> None:
    """Search one message of a topic."""
    findings = books.findings[11]
    findings.checked += 1
    parts = [key, body, *(value for _, value in headers), *(_name_bytes(name) for name, _ in headers)]
    if not any(part is not None and _MAY_BE_ONE.search(part) for part in parts):
        return
    found = list(_parts_with_card(books, topic, key, body, headers))
    event_type = topic.removeprefix(books.scope.prefix)
    if found and event_type in TOPICS and not TOPICS[event_type].ours:
        note = f"{topic} holds messages of upstream with card numbers: tell who publishes them"
        if note not in findings.notes:
            findings.notes.append(note)
    elif found:
        findings.add_violations(f"a message of {topic} has a card number in its {' and '.join(found)}")


async def _check_table(books: Books, table: str, columns: Mapping[str, str]) -> None:
    """Search one table: the database returns the rows with a long number."""
    wanted = {name: kind for name, kind in columns.items() if kind in _TEXTS | _BYTES and name not in UNCHECKED_COLUMNS}
    if not wanted:
        return
    texts = [_as_text(table, name, kind) for name, kind in wanted.items()]
    name_of_row = sql.Identifier("order_id") if "order_id" in columns else sql.SQL("ctid::text")
    query = sql.SQL("SELECT {}, {} FROM {} WHERE concat_ws(E'\\n', {}) ~ %s").format(
        name_of_row, sql.SQL(", ").join(texts), sql.Identifier(table), sql.SQL(", ").join(texts)
    )
    count = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
    findings = books.findings[11]
    findings.checked += (await books.rows(count))[0][0] * len(wanted)
    for row_name, *values in await books.rows(query, [_LONG_NUMBER]):
        found = [name for name, value in zip(wanted, values, strict=True) if value and contains_card_number(value)]
        _record(books, f"table {table}, row {row_name}", found)


def _as_text(table: str, name: str, kind: str) -> sql.Composable:
    part = _PARTS.get((table, name))
    column: sql.Composable = sql.Identifier(name) if part is None else sql.SQL(part)
    text = sql.SQL("encode({}, 'escape')" if kind in _BYTES else "({})::text").format(column)
    condition = _ROWS.get((table, name))
    return text if condition is None else sql.SQL("CASE WHEN {} THEN {} END").format(sql.SQL(condition), text)


def _record(books: Books, where: str, found: Sequence[str]) -> None:
    findings = books.findings[11]
    findings.checked += 1
    if found:
        findings.add_violations(f"{where} has a card number in its {' and '.join(found)}")


def _parts_with_card(
    books: Books, topic: str, key: bytes | None, body: bytes | None, headers: Sequence[tuple[str, bytes | None]]
) -> Iterator[str]:
    """Name the parts of a message that hold a card number."""
    event_type = topic.removeprefix(books.scope.prefix).removesuffix(".dlt")
    names = {name for name, _ in headers}
    order_id = _order_id(body, key, event_type, books.scope.codec)
    if order_id is None and key is not None and contains_card_number(key):
        yield "key"
    if body is not None and CUT not in names and _body_has_card(event_type, key, body, books.scope.codec):
        yield "body"
    for name, value in headers:
        if contains_card_number(_name_bytes(name)):
            # The finding must not quote the name, so the value gets no finding of its own.
            yield "header names"
            continue
        if value is None:
            continue
        # Headers of ours may name the order.
        text = value if order_id is None else value.replace(order_id, b"")
        if name not in UNCHECKED_HEADERS and contains_card_number(text):
            yield f"header {name}" if name != "detail" else name


def _name_bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")


def _order_id(body: bytes | None, key: bytes | None, event_type: str, codec: Codec) -> bytes | None:
    """Return the key if it is the order id of the body: then it is no card number."""
    if key is None or event_type not in EVENTS:
        return None
    try:
        codec.decode(event_type, key, body)
    except Rejected as rejected:
        return key if rejected.reason in AFTER_THE_KEY else None
    return key


def _body_has_card(event_type: str, key: bytes | None, body: bytes, codec: Codec) -> bool:
    """Whether a card number is in a field that is no id; in a body that cannot be decoded, anywhere."""
    if event_type in CONSUMED and codec.mask(event_type, body)[1]:
        return True
    if event_type not in EVENTS:
        return contains_card_number(body)
    try:
        event = codec.decode(event_type, key, body)
    except Rejected:
        return event_type not in CONSUMED and contains_card_number(body)
    return any(contains_card_number(text) for text in _texts(event))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            if name not in IDS:
                yield from _texts(getattr(value, name))
    elif isinstance(value, tuple):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, str):
        yield value
