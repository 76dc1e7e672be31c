r"""Rows of played orders as a template: what differs from copy to copy is found once, and filled in for each copy.

These differ: order ids (the demo's seed), UUIDs and the gateway's ids (eight of their digits), order and journal
numbers, offsets of dead letters, and times, in columns and within Avro bodies. Every one keeps its length. So a body
stays a right body, and refers to the same rows as the columns beside it.

The copies of a UUID are spread over all UUIDs, so that a new random one falls between any two of them, as among real
ones: the place in an index is what it costs. Those of version 7 grow with the copies.

What is a hash of a content stays that of the original, and ids that are derived from others are only distinct: nothing
that reads a database alone compares them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from tests.bench.history.played import SEED, Played, Rows

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
DIGITS: Final = 8
"""Hexadecimal digits that tell copies apart: more than there can be."""
SPREAD: Final = 0x9E3779B1
"""Odd, so that no two copies share their digits; by the golden ratio, so that they lie far apart."""
OFFSETS: Final = 1_000
"""Offsets of a copy's dead letters: more than a demo publishes to a partition that has any."""
ABOUT_NOW: Final = timedelta(days=60)
"""A number in a body that is a time so near to the play's is one."""
HEX: Final = "_hex"
"""Ends the name of a group of _TEXT that stands in digits."""
BYTES: Final = r"\\x"
"""A cell of bytes begins so, as COPY escapes it."""

_ORDER: Final = str(SEED)
_TEXT: Final = re.compile(
    rf"(?P<order>(?<=demo-){_ORDER})"
    rf"|(?P<order_hex>(?<={b'demo-'.hex()}){_ORDER.encode().hex()})"
    r"|(?P<grown>[0-9a-f]{8}-[0-9a-f]{4})(?=-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12})"
    r"|(?P<uuid>[0-9a-f]{8})(?=-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
    r"|\b(?:pi|re|du|evt|req)_[0-9a-z]{2}(?P<object>[0-9a-z]{8})"
    r"|(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.\d+)?\+00"
)
_BODY: Final = re.compile(
    rf"(?P<order>(?<=demo-){_ORDER})".encode()
    + rb"|(?P<grown>[0-9a-f]{8}-[0-9a-f]{4})(?=-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12})"
    + rb"|(?P<uuid>[0-9a-f]{8})(?=-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
    + rb"|(?:pi|re|du|evt|req)_[0-9a-z]{2}(?P<object>[0-9a-z]{8})"
    + rb"|(?P<moment>[\x80-\xff]{7}[\x01-\x7f])"
)


@dataclass(frozen=True, slots=True)
class Copy:
    """What a copy has of its own. number: from 0. shift_s: how much later it happened than the play, whole seconds."""

    number: int
    shift_s: int

    def digits(self, original: int) -> str:
        """Return the digits that tell an id from those of the other copies."""
        return f"{(original + self.number * SPREAD) % 16**DIGITS:0{DIGITS}x}"


class Hole(NamedTuple):
    """A place that differs. kind: what stands there; value: the original's number or time, where it matters.

    in_bytes: within a cell of bytes, where each letter is two digits.
    """

    kind: str
    value: int = 0
    step: int = 0
    in_bytes: bool = False


def fill(hole: Hole, copy: Copy) -> str:
    """Return what stands there in a copy."""
    text = _text(hole, copy)
    return text.encode().hex() if hole.in_bytes else text


def _text(hole: Hole, copy: Copy) -> str:
    match hole.kind:
        case "order":
            return f"{SEED + copy.number:09d}"
        case "uuid" | "object":
            return copy.digits(hole.value)
        case "grown":
            return _begin_of(hole.value + copy.number * hole.step)
        case "time":
            return f"{EPOCH + timedelta(seconds=hole.value + copy.shift_s):%Y-%m-%d %H:%M:%S}"
        case "moment":
            return _varint(hole.value + copy.shift_s * 1_000_000).hex()
        case "day":
            return f"{EPOCH + timedelta(seconds=hole.value + copy.shift_s):%Y-%m-%d}"
        case "number":
            return str(hole.value + copy.number * hole.step)
        case _:
            raise AssertionError(hole)


class Template:
    """The rows of one table, to be copied. began_s: the play's first second, since 1970."""

    def __init__(self, name: str, rows: Rows, numbers: Mapping[str, Mapping[str, int]], began_s: int) -> None:
        self.name, self.columns = name, rows.columns
        self._between: list[str] = [""]
        self._holes: dict[Hole, int] = {}
        self._at: list[int] = []
        self._numbers, self._began_s = numbers, began_s
        for row in rows.rows:
            for place, (column, cell) in enumerate(zip(rows.columns, row, strict=True)):
                self._between[-1] += "\t" if place else ""
                for part in self._parts(column, cell):
                    self._add(part)
            self._between[-1] += "\n"

    def copy(self, copy: Copy) -> str:
        """Return the rows of a copy, as COPY reads them."""
        values = [fill(hole, copy) for hole in self._holes]
        parts = [""] * (2 * len(self._at) + 1)
        parts[0::2] = self._between
        parts[1::2] = [values[number] for number in self._at]
        return "".join(parts)

    def _add(self, part: str | Hole) -> None:
        if isinstance(part, str):
            self._between[-1] += part
            return
        self._at.append(self._holes.setdefault(part, len(self._holes)))
        self._between.append("")

    def _parts(self, column: str, cell: str) -> Iterator[str | Hole]:
        each = len(self._numbers["orders"])
        if cell == r"\N":
            yield cell
        elif (self.name, column) == ("inbox", "day"):
            yield Hole("day", self._began_s)
        elif (self.name, column) == ("dead_letter", "message_offset"):
            yield Hole("number", int(cell), OFFSETS)
        elif (numbered := _numbered(self.name, column)) is not None:
            known = self._numbers[numbered]
            yield Hole("number", known[cell], len(known))
        elif cell.startswith(BYTES):
            yield BYTES
            yield from _parts_of_body(bytes.fromhex(cell.removeprefix(BYTES)), self._began_s, each)
        else:
            yield from _parts_of_text(cell, each)


def templates_of(played: Played) -> list[Template]:
    """Make the templates of all tables that hold rows. Those of the stock are not among them: it is one for all."""
    confirmed = [row[played["orders"].columns.index("created_at")] for row in played["orders"].rows]
    began_s = _seconds(min(confirmed)[:19]) - 1
    numbers = {
        "orders": _ranked(played["orders"], "order_number"),
        "event": _ranked(played["event"], "id"),
        "dead_letter": _ranked(played["dead_letter"], "id"),
    }
    return [
        Template(name, rows, numbers, began_s)
        for name, rows in played.items()
        if rows.rows and name not in {"stock", "stock_adjustment"}
    ]


def span_of(played: Played) -> tuple[int, int]:
    """Return the seconds since 1970 in which the play's events begin and end."""
    times = [row[played["event"].columns.index("occurred_at")] for row in played["event"].rows]
    return _seconds(min(times)[:19]) - 1, _seconds(max(times)[:19]) + 1


def _numbered(table: str, column: str) -> str | None:
    """Return whose numbers stand in this column."""
    if column == "order_number":
        return "orders"
    return table if column == "id" and table in {"event", "dead_letter"} else None


def _ranked(rows: Rows, column: str) -> dict[str, int]:
    """Return the values with their places from 1: a copy's numbers follow those of the one before."""
    at = rows.columns.index(column)
    return {value: rank for rank, value in enumerate(sorted({row[at] for row in rows.rows}, key=int), 1)}


def _parts_of_text(cell: str, each: int) -> Iterator[str | Hole]:
    end = 0
    for match in _TEXT.finditer(cell):
        kind = str(match.lastgroup)
        first, last = match.span(kind)
        yield cell[end:first]
        end = last
        hole = _hole(kind.removesuffix(HEX), match[kind], each)
        yield hole._replace(in_bytes=kind.endswith(HEX))
    yield cell[end:]


def _hole(kind: str, text: str, each: int) -> Hole:
    match kind:
        case "time":
            return Hole(kind, _seconds(text))
        case "uuid":
            return Hole(kind, int(text, 16))
        case "grown":
            return Hole(kind, int(text.replace("-", ""), 16), each)
        case _:
            return Hole(kind)


def _hex_hole(kind: str, found: bytes, each: int) -> Hole:
    if kind == "moment":
        return Hole(kind, _number(found))
    hole = _hole(kind, found.decode(), each)
    return hole._replace(in_bytes=True)


def _parts_of_body(body: bytes, began_s: int, each: int) -> Iterator[str | Hole]:
    """Find ids and times within a body; parts are in hexadecimal digits."""
    end = at = 0
    while match := _BODY.search(body, at):
        kind = str(match.lastgroup)
        first, last = match.span(kind)
        if kind == "moment" and not _is_near(_number(match[kind]), began_s):
            at = match.start() + 1
            continue
        yield body[end:first].hex()
        end = at = last
        yield _hex_hole(kind, match[kind], each)
    yield body[end:].hex()


def _is_near(moment_us: int, began_s: int) -> bool:
    return abs(moment_us / 1_000_000 - began_s) < ABOUT_NOW.total_seconds()


def _seconds(text: str) -> int:
    return int((datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC) - EPOCH).total_seconds())


def _varint(number: int) -> bytes:
    """Write a positive long as Avro does: zigzag, seven bits a byte, the lowest first."""
    left, found = number * 2, bytearray()
    while left > 0x7F:
        found.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*found, left])


def _begin_of(milliseconds: int) -> str:
    """Write the first 48 bits of a UUID of version 7."""
    digits = f"{milliseconds:012x}"
    return f"{digits[:8]}-{digits[8:]}"


def _number(varint: bytes) -> int:
    value = sum((byte & 0x7F) << (7 * place) for place, byte in enumerate(varint))
    return (value >> 1) ^ -(value & 1)
