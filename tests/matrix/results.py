"""What a run of the matrix found: one table, or one JSON document."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.matrix.versions import Cell


@dataclass(frozen=True, slots=True)
class Result:
    """A cell's. found: what it tells of itself; None: it failed, and why says how."""

    cell: Cell
    found: dict[str, Any] | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Unit:
    """The tests without a server on one Python. why: nothing if all passed. said: pytest's last line."""

    python: str
    said: str
    why: str = ""


def document(results: Sequence[Result], units: Sequence[Unit], missing: Sequence[str]) -> dict[str, Any]:
    """Return all of it for programs."""
    return {
        "cells": [
            {
                "kafka": result.cell.kafka,
                "postgres": result.cell.postgres,
                "python": result.cell.python,
                "passed": result.found is not None,
                "found": result.found,
                "why": result.why,
            }
            for result in results
        ],
        "units": [{"python": unit.python, "passed": not unit.why, "said": unit.said} for unit in units],
        "missing": list(missing),
        "passed": exit_code(results, units) == 0,
    }


def table(results: Sequence[Result], units: Sequence[Unit]) -> list[str]:
    """Return the lines of the table."""
    rows = [("Kafka", "Java", "PostgreSQL", "Python", "orders", "killed amid", "result"), *map(_row, results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += [f"Python {unit.python}, tests without a server: {unit.said}" for unit in units]
    if any(result.found and not result.found["java_named_by_kafka"] for result in results):
        lines.append("* a Java that this Kafka's project does not name; none that it names is on the PATH")
    return lines


def exit_code(results: Sequence[Result], units: Sequence[Unit]) -> int:
    """Return 0 if all passed, 1 if something failed, 2 if nothing ran."""
    if not results:
        return 2
    return 1 if any(result.found is None for result in results) or any(unit.why for unit in units) else 0


def _row(result: Result) -> tuple[str, ...]:
    cell, found = result.cell, result.found
    if found is None:
        return (cell.kafka, "", cell.postgres, cell.python, "", "", "FAILED")
    java = f"{found['java']}{'' if found['java_named_by_kafka'] else '*'}"
    orders = f"{found['demo']['orders']} + {found['kills']['orders']}"
    killed = " and ".join(str(count) for count in found["kills"]["unfinished_at_kill"])
    seconds = found["demo"]["seconds"] + found["kills"]["seconds"]
    return (found["kafka"], java, found["postgresql"], found["python"], orders, killed, f"passed in {seconds:.0f} s")
