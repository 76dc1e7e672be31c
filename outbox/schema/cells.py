"""How values of the domain stand in cells: what writes them and reads them, for the declarations of tables."""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any

import msgspec
import orjson

from domain.operation import Frozen
from domain.order import OrderLine
from domain.outcome import Missing


def member(kind: type[StrEnum]) -> Callable[[str], StrEnum]:
    """Make a function that returns a member by its text. A dict takes a third of the time of the enum's call."""
    return {str(member): member for member in kind}.__getitem__


def write_lines(lines: Iterable[OrderLine]) -> str:
    """Write lines of an order."""
    return orjson.dumps([(line.sku, line.quantity) for line in lines]).decode()


def read_lines(lines: Iterable[Any]) -> tuple[OrderLine, ...]:
    """Read lines of an order."""
    return tuple(OrderLine(sku, quantity) for sku, quantity in lines)


def write_missing(missing: Iterable[Missing]) -> str | None:
    """Write what is missing; null for nothing."""
    return orjson.dumps([(m.sku, m.requested, m.available) for m in missing]).decode() if missing else None


def read_missing(missing: Iterable[Any]) -> tuple[Missing, ...]:
    """Read what is missing."""
    return tuple(Missing(*item) for item in missing)


def write_frozen(frozen: Frozen | None) -> str | None:
    """Write what was frozen with an operation."""
    return None if frozen is None else msgspec.json.encode(frozen).decode()


def read_frozen(cell: object) -> Frozen:
    """Read what was frozen. Values that only a newer release knows are left out."""
    return msgspec.convert(cell, Frozen)


def write_name(name: str | None) -> str:
    """Write a name that is part of a key; empty: none."""
    return name or ""


def read_name(cell: str) -> str | None:
    """Read a name that is part of a key."""
    return cell or None
