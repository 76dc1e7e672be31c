"""A line that is no event ends a kit's publisher with 2 and one line that names it, before it asks for a broker."""

import json
import subprocess
from collections.abc import Callable, Iterable
from typing import Any, Final

from tests.neighbours.kits import Prepared
from tests.neighbours.publishing import write_orders
from tests.neighbours.running import environment
from tests.neighbours.settings import END_S, RIGHT

WRONG_LINE: Final = 2
TOKEN: Final = "pm_card_visa"
Line = dict[str, Any]


def _without(field: str) -> Callable[[Line], str]:
    return lambda line: json.dumps({name: value for name, value in line.items() if name != field})


def _with(field: str, value: object) -> Callable[[Line], str]:
    return lambda line: json.dumps({**line, field: value})


def _line_without_quantity(line: Line) -> str:
    return json.dumps({**line, "lines": [{"sku": "sku-1", "unit_price_minor": 500}]})


WRONG: Final[dict[str, Callable[[Line], str]]] = {
    "no JSON": lambda line: f"{TOKEN} {json.dumps(line)}",
    "half an event": lambda line: json.dumps(line)[:-20],
    "something behind the event": lambda line: f"{json.dumps(line)} {TOKEN}",
    "a number": lambda line: "7",
    "nothing": lambda line: "null",
    "a list": lambda line: json.dumps([line]),
    "no order id": _without("order_id"),
    "no total": _without("total_minor"),
    "no time": _without("occurred_at"),
    "an item without its quantity": _line_without_quantity,
    "a total of nothing": _with("total_minor", None),
    "no lines": _without("lines"),
    "lines that are null": _with("lines", None),
    "lines that are no list": _with("lines", {}),
    "a total that is true": _with("total_minor", True),
    "a total that is a time": _with("total_minor", "2026-01-31T12:00:00Z"),
    "half a cent": _with("total_minor", 1450.5),
    "an order id that is a number": _with("order_id", 7),
    "a time without a zone": _with("occurred_at", "2026-01-31T12:00:00.000001"),
    "a field that there is not": _with("totals_minor", 1450),
    "a word for true": _with("payment_method", {"kind": "CARD", "token": TOKEN, "off_session": "yes"}),
}


def check_lines(kit: Prepared, kinds: Iterable[str] = WRONG) -> None:
    """Give the publisher each of them as its third line, behind a right one and an empty one."""
    (right, *_) = write_orders("line", paid=1, declined=0).lines
    for what in kinds:
        _check(kit, what, f"{json.dumps(right)}\n\n{WRONG[what](right)}\n{json.dumps(right)}\n")


def _check(kit: Prepared, what: str, lines: str) -> None:
    done = subprocess.run(
        kit.publish,
        cwd=kit.folder,
        env=environment(**RIGHT),
        input=lines,
        capture_output=True,
        text=True,
        timeout=END_S,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == WRONG_LINE, f"{what}: it ended with {done.returncode}:\n{said[-2_000:]}"
    assert said.count("\n") == 1, f"{what}: it said more than a line:\n{said[-2_000:]}"
    assert said.startswith("line 3 is no OrderConfirmed ("), f"{what}: it said {said}"
    assert TOKEN not in said, f"{what}: it said what is in the line: {said}"
