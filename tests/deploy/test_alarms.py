"""Alarms: one place rings them, every reason has its row, and the README shows the rows as they are."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.alarms import ALARMS

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "domain", "outbox", "consumers", "producers", "deploy")
SOURCES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def test_only_the_table_of_alarms_writes_an_alarm() -> None:
    writers = [str(path.relative_to(ROOT)) for path in SOURCES if re.search(r"\balarm\s*=\s*True", path.read_text())]
    assert writers == ["domain/alarms.py"]


def test_every_reason_that_is_rung_by_name_has_a_row() -> None:
    rung = {
        reason for path in SOURCES for reason in re.findall(r"\bring\(\s*[\w.()\"]+,\s*\"([a-z_]+)\"", path.read_text())
    }
    lasting = {
        reason for path in SOURCES for reason in re.findall(r"\bLasting\(.+?, \"([a-z_]+)\"\)", path.read_text())
    }
    assert rung
    assert lasting
    assert rung | lasting <= ALARMS.keys()


def _alarms() -> Iterator[tuple[str, ast.Call]]:
    """Walk every place that rings: the function, or something that lasts."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            by_name = isinstance(node.func, ast.Name) and node.func.id == "ring"
            lasting = isinstance(node.func, ast.Attribute) and node.func.attr == "again"
            if by_name or lasting:
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def test_every_alarm_says_what_it_is_about() -> None:
    places = dict(_alarms())
    assert len(places) > 10
    assert [place for place, call in places.items() if not call.keywords] == []


@pytest.mark.parametrize("reason", sorted(ALARMS))
def test_the_readme_shows_every_alarm_with_what_to_do(reason: str) -> None:
    alarm = ALARMS[reason]
    assert f"| `{reason}` | {alarm.meaning} | {alarm.todo} |" in (ROOT / "deploy/README.md").read_text()
