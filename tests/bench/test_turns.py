"""Rounds in turn: who is first, what is compared, and how a run that was stopped goes on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.bench.contestants import CONTESTANTS, Contestant
from tests.bench.goals import judge
from tests.bench.turns import OtherRun, Turns, in_turn, ratios_of, take_turns, turns_table

SETTINGS = {"PAYMENTS_METRICS_LISTEN": "127.0.0.1:0"}
OURS = [CONTESTANTS["ours"]]
ASKED = {"orders": 100}
BASE_MS = 0.4
WITH_MS = 0.41


class Meter:
    """Measures nothing: it notes what it was asked for. stops_after: it is interrupted then."""

    def __init__(self, stops_after: int = 1_000, failures: Mapping[int, str] | None = None) -> None:
        self.asked: list[bool] = []
        self._stops_after = stops_after
        self._failures = failures or {}

    def __call__(self, contestant: Contestant, more: Mapping[str, str]) -> dict[str, Any]:
        assert contestant.ours
        assert more in ({}, SETTINGS)
        if len(self.asked) == self._stops_after:
            raise KeyboardInterrupt
        self.asked.append(bool(more))
        cpu = {"python": WITH_MS if more else BASE_MS, "postgresql": 0.2}
        failed = self._failures.get(len(self.asked))
        return {"orders_per_s": 1000.0, "cpu_ms_per_order": cpu, "failures": [failed] if failed else []}


def taken(meter: Meter, turns: Turns, asked: Mapping[str, Any] = ASKED) -> list[dict[str, Any]]:
    return take_turns(meter, OURS, turns, asked, lambda _: None)


def test_each_is_first_in_every_other_round() -> None:
    meter = Meter()
    taken(meter, Turns(4, SETTINGS))
    assert meter.asked == [False, True, True, False, False, True, True, False]
    assert [in_turn(number)[0] for number in range(2)] == [False, True]


def test_a_run_that_was_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    turns = Turns(3, SETTINGS, tmp_path / "turns.json")
    first = Meter(stops_after=3)
    with pytest.raises(KeyboardInterrupt):
        taken(first, turns)
    second = Meter()
    results = taken(second, turns)
    assert first.asked + second.asked == [False, True, True, False, False, True]
    assert [(one["round"], one["with"]) for one in results] == [
        (0, False),
        (0, True),
        (1, True),
        (1, False),
        (2, False),
        (2, True),
    ]
    assert list(tmp_path.iterdir()) == [turns.kept]


def test_the_rounds_of_another_run_are_not_mixed_in(tmp_path: Path) -> None:
    turns = Turns(1, SETTINGS, tmp_path / "turns.json")
    taken(Meter(), turns)
    with pytest.raises(OtherRun, match="delete it"):
        taken(Meter(), turns, {"orders": 101})


def test_the_ratio_is_that_of_rounds_in_which_both_were_right_and_the_goal_judges_it() -> None:
    results = taken(Meter(failures={1: "an order is missing"}), Turns(3, SETTINGS))
    by = ratios_of(results)["ours", "Python's CPU ms an order"]
    assert by.median == pytest.approx(WITH_MS / BASE_MS)
    table = turns_table(results, SETTINGS)
    assert "| Python's CPU ms an order | 0.400 (0.400-0.400) | 0.410 (0.410-0.410) | 1.025 (1.025-1.025) | 2 |" in table
    assert "an order is missing" in table
    (goal,) = judge("turns", results)
    assert goal.reached
