"""Alarms: one place rings them, every reason has its row, and the README shows the rows as they are."""

import re
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
    assert rung
    assert rung <= ALARMS.keys()


@pytest.mark.parametrize("reason", sorted(ALARMS))
def test_the_readme_shows_every_alarm_with_what_to_do(reason: str) -> None:
    alarm = ALARMS[reason]
    assert f"| `{reason}` | {alarm.meaning} | {alarm.todo} |" in (ROOT / "deploy/README.md").read_text()
