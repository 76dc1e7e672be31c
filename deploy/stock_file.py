"""A file of stock, as CSV or JSON lines, read into changes.

CSV has a header line with `sku`, and `quantity` or `delta` or both, and perhaps `reason`; it is separated by commas,
semicolons or tabs. A JSON line is an object with the same names. `quantity`: have so many units free to reserve.
`delta`: so many more, or, negative, fewer. Each line has one of the two.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import orjson
from pydantic import TypeAdapter, ValidationError

from outbox.operators.stock import StockChange
from schemas.fields import SKU_LENGTH_MAX, SkuText

QUANTITY_MAX: Final = 10**12
"""More than any shop has; even with what is reserved and sold it fits into a bigint."""
REASON_LENGTH_MAX: Final = 500
LINE_LENGTH_MAX: Final = 10_000
NAMES: Final = ("sku", "quantity", "delta", "reason")
SKU_RULE: Final = f"a SKU is text of 1 to {SKU_LENGTH_MAX} characters, none of them a control character"
REASON_RULE: Final = f"a reason is one line of 1 to {REASON_LENGTH_MAX} printable characters"
_SEPARATORS: Final = ",;\t"
_SKU: Final = TypeAdapter(SkuText)


class BadLine(NamedTuple):
    """A line that cannot be used. number: from 1, as an editor counts. problem: what is wrong with it."""

    number: int
    problem: str


class StockFile(NamedTuple):
    """changes: what the file asks for. numbers: the line of each, from 1. bad: lines that cannot be used."""

    changes: list[StockChange]
    numbers: list[int]
    bad: list[BadLine]


class _Wrong(Exception):  # noqa: N818 - it never leaves this module
    """The line is wrong. The text says why."""


def read_stock_file(lines: Iterable[bytes]) -> StockFile:
    """Read all lines but blank ones. The first that is not blank says whether it is CSV or JSON lines."""
    found = StockFile([], [], [])
    first_lines: dict[str, int] = {}
    for number, fields in _fields(lines):
        try:
            change = _change(fields)
            _check_once(change.sku, first_lines)
        except _Wrong as wrong:
            found.bad.append(BadLine(number, str(wrong)))
            continue
        first_lines[change.sku] = number
        found.changes.append(change)
        found.numbers.append(number)
    return found


def is_reason(text: str) -> bool:
    """Whether this text can stand in the record as a reason."""
    return 0 < len(text) <= REASON_LENGTH_MAX and text.isprintable() and bool(text.strip())


def _fields(lines: Iterable[bytes]) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    """Yield each line's number with its fields, or with what is wrong with it as a whole."""
    columns: list[str] | None = None
    separator = ","
    is_json: bool | None = None
    for number, raw in enumerate(lines, start=1):
        try:
            line = _text(raw, first=is_json is None)
            if not line.strip():
                continue
            if is_json is None:
                is_json = line.lstrip().startswith("{")
                if not is_json:
                    separator, columns = _header(line)
                    continue
            yield number, _parse_json(line) if is_json else _parse_csv(line, separator, columns or [])
        except _Wrong as wrong:
            yield number, str(wrong)
            if is_json is not True and columns is None:
                return  # Without its header no line of a CSV file can be read.


def _text(raw: bytes, *, first: bool) -> str:
    if len(raw) > LINE_LENGTH_MAX:
        raise _Wrong(f"over {LINE_LENGTH_MAX} bytes: one SKU a line")
    try:
        # Spreadsheets put a byte order mark before the first line.
        return raw.decode("utf-8-sig" if first else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise _Wrong("is not UTF-8: save the file as UTF-8") from None


def _header(line: str) -> tuple[str, list[str]]:
    """Return the separator and the names of the columns."""
    separator = max(_SEPARATORS, key=line.count)
    columns = [name.strip().lower() for name in _cells(line, separator)]
    unknown = [name for name in columns if name not in NAMES]
    if unknown or "sku" not in columns or not {"quantity", "delta"} & set(columns) or len(set(columns)) < len(columns):
        raise _Wrong("the first line must name the columns: sku, quantity or delta, and reason if there is one")
    return separator, columns


def _cells(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator, strict=True), [])
    except csv.Error as error:
        raise _Wrong(f"cannot be read as CSV: {error}") from None


def _parse_csv(line: str, separator: str, columns: list[str]) -> Mapping[str, Any]:
    cells = _cells(line, separator)
    if len(cells) != len(columns):
        raise _Wrong(f"has {len(cells)} columns, and the first line has {len(columns)}")
    fields: dict[str, Any] = {name: cell.strip() for name, cell in zip(columns, cells, strict=True) if cell.strip()}
    for name in {"quantity", "delta"} & fields.keys():
        digits = fields[name].removeprefix("-").removeprefix("+")
        if not (digits.isascii() and digits.isdecimal() and len(digits) <= len(str(QUANTITY_MAX))):
            raise _Wrong(f"{name} must be a whole number up to {QUANTITY_MAX}")
        fields[name] = int(fields[name])
    return fields


def _parse_json(line: str) -> Mapping[str, Any]:
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise _Wrong(f"not JSON: {error.msg} (column {error.colno})") from None
    if not isinstance(fields, dict):
        raise _Wrong("must be a JSON object with sku, and quantity or delta")
    if unknown := sorted(set(fields) - set(NAMES)):
        raise _Wrong(f"has a field that nobody reads: {unknown[0]}")
    return {name: value for name, value in fields.items() if value is not None}


def _check_once(sku: str, first_lines: Mapping[str, int]) -> None:
    if sku in first_lines:
        raise _Wrong(f"SKU {sku} is in line {first_lines[sku]} already")


def _change(fields: Mapping[str, Any] | str) -> StockChange:
    """Return the change of a line. fields: what is wrong with the line, if it is text."""
    if isinstance(fields, str):
        raise _Wrong(fields)
    try:
        sku = _SKU.validate_python(fields.get("sku"))
    except ValidationError:
        raise _Wrong(SKU_RULE) from None
    given = [name for name in ("quantity", "delta") if name in fields]
    if len(given) != 1:
        raise _Wrong("needs quantity or delta" if not given else "has both quantity and delta: give one")
    (name,) = given
    units = fields[name]
    least = 0 if name == "quantity" else -QUANTITY_MAX
    if type(units) is not int or not least <= units <= QUANTITY_MAX:
        raise _Wrong(f"{name} must be a whole number from {least} to {QUANTITY_MAX}")
    reason = fields.get("reason")
    if reason is not None and not (isinstance(reason, str) and is_reason(reason)):
        raise _Wrong(REASON_RULE)
    return StockChange(sku, units, relative=name == "delta", reason=reason)
