"""Dead letters and work in quarantine: as JSON shows them, and for people."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from deploy.views.tables import table
from deploy.views.times import ago
from outbox.operators.queries import Record
from schemas.texts import counted

DETAIL_MAX = 80
SHOWN = ("id", "topic", "partition", "offset", "order_id", "event_id", "reason", "detail", "at", "count", "redriven")
"""The fields of CONTRACT. BESIDES are fields of our own."""
BESIDES = ("group", "kind", "sku", "waits", "behind", "masked", "given_up", "erased_at")
LEFT_LINES_MAX: Final = 20


def document(record: Record, **more: object) -> dict[str, object]:
    """Return a letter as JSON. more: further fields."""
    return {name: record[name] for name in (*SHOWN, *BESIDES)} | more


def state_of(record: Record) -> str:
    """Return the state of a letter in words."""
    if record["given_up"]:
        return "given up"
    if record["redriven_at"] is not None:
        return "redriven"
    if record["erased_at"] is not None:
        return "not redrivable, waits" if record["waits"] else "not redrivable"
    if record["waits"]:
        return "waits behind" if record["behind"] else "in quarantine"
    return "refused" if record["count"] == 1 else f"refused {record['count']} times"


def place_of(record: Record) -> str:
    """Return the topic, partition and offset of a letter, or what kind of work it is."""
    if record["topic"] is None:
        return f"({record['kind']})"
    return f"{record['topic']}[{record['partition']}]@{record['offset']}"


def letter_lines(records: Iterable[Record], now: datetime) -> Iterator[str]:
    """Show letters as a table."""
    rows = [
        (
            str(record["id"]),
            record["reason"],
            state_of(record),
            _about(record),
            place_of(record),
            ago(now - record["at"]),
            _short(record["detail"]),
        )
        for record in records
    ]
    yield from table(("id", "reason", "state", "about", "from", "when", "detail"), rows, right=frozenset({0}))


def _about(record: Record) -> str:
    """Return the order that a letter is about, or the SKU, if its message had one for a key."""
    if record["order_id"]:
        return str(record["order_id"])
    return f"SKU {record['sku']}" if record["sku"] else "-"


def _short(text: str) -> str:
    return text if len(text) <= DETAIL_MAX else f"{text[: DETAIL_MAX - 3]}..."


def whole_letter(record: Record, more: dict[str, Any]) -> Iterator[str]:
    """Show one letter with all its fields."""
    yield f"{record['id']}  {place_of(record)}  {record['reason']}, {state_of(record)}"
    shown = document(record, **more)
    for name, value in shown.items():
        if name in {"id", "topic", "partition", "offset", "redriven", "trace"} or value is None:
            continue
        if isinstance(value, dict):
            yield f"  {name}"
            yield from (f"    {field}: {part}" for field, part in value.items() if part is not None)
        elif isinstance(value, list):
            yield f"  {name}"
            yield from (f"    {field}: {'(null)' if part is None else part}" for field, part in value)
        else:
            yield f"  {name}: {value}"
    for redriven in record["redriven"]:
        yield f"  redriven {redriven['at']:%Y-%m-%d %H:%M:%S} UTC by {redriven['by']}: {redriven['result']}"
    if more.get("trace"):
        yield from str(more["trace"]).rstrip().splitlines()


def left_lines(left: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Show which orders still wait, and the command for each."""
    for one in left[:LEFT_LINES_MAX]:
        yield f"order {one['order_id']} has {one['waiting']} more in quarantine, and waits: `{one['command']}`"
    if len(left) > LEFT_LINES_MAX:
        more = counted(len(left) - LEFT_LINES_MAX, "more order waits", "more orders wait")
        yield f"... and {more}: `payments dlq redrive --all`"
