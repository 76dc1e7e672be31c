"""A history beside an empty database: what is compared, and what the goal judges."""

from typing import Any

import pytest

from tests.bench.goals import judge
from tests.bench.history.compared import COST, differences, full_by_empty, history_table
from tests.bench.history.statements import Spent, per_order, total

MADE = {"history": 5_000_000, "history_bytes": 25 * 2**30, "seconds": 1_000.0, "copying_s": 800.0}
LOOK, INSERT = "SELECT one\n  FROM a", "INSERT INTO b"


def result(number: int, *, full: bool, python: float, failed: bool = False) -> dict[str, Any]:
    postgresql = 0.25 if full else 0.2
    spent = Spent(calls=1.0, ms=postgresql, hit=10.0, read=2.0 if full else 0.0, images=1.5)
    return {
        "contestant": "ours",
        "round": number,
        "full": full,
        "latency_ms": 0.0,
        "made": MADE,
        "orders_per_s": 1_000.0,
        "cpu_ms_per_order": {"python": python, "postgresql": postgresql, "kafka": 0.1},
        "wal_bytes_per_order": 9_000.0,
        "blocks": spent._asdict(),
        "statements": {LOOK: spent._asdict(), INSERT: Spent(ms=0.1)._asdict()},
        "failures": ["an order is missing"] if failed else [],
    }


def rounds() -> list[dict[str, Any]]:
    return [
        result(0, full=False, python=0.4),
        result(0, full=True, python=0.4),
        result(1, full=True, python=0.38),
        result(1, full=False, python=0.4),
        result(2, full=False, python=0.4),
        result(2, full=True, python=4.0, failed=True),
    ]


def test_the_ratio_is_of_python_and_postgresql_together_in_rounds_that_were_right() -> None:
    compared = full_by_empty(rounds(), "ours", COST)
    assert compared is not None
    assert [compared.least, compared.most] == pytest.approx([0.63 / 0.6, 0.65 / 0.6])


def test_the_goal_is_reached_within_a_tenth_either_way() -> None:
    (goal,) = judge("history", rounds())
    assert goal.reached
    assert goal.what == "ours, 5,000,000 orders of history / empty: CPU an order"
    (slower,) = judge("history", [result(0, full=False, python=0.4), result(0, full=True, python=0.42)])
    assert not slower.reached


def test_the_table_shows_the_figures_the_ratio_and_what_was_wrong() -> None:
    table = history_table(rounds())
    assert "A history of 5,000,000 orders, 25.0 GiB" in table
    assert (
        "| ours | PostgreSQL's CPU ms an order | 0.200 (0.200-0.200) | 0.250 (0.250-0.250) | 1.25 (1.25-1.25) | 2 |"
        in table
    )
    assert "an order is missing" in table
    assert "| SELECT one FROM a | 0.2000, 0.2500 | 10.00, 12.00 | 0.000, 2.000 | 1.500, 1.500 |" in table


def test_a_run_in_which_nothing_was_right_still_has_a_table() -> None:
    assert "| - | - | - | 0 |" in history_table([result(0, full=True, python=1.0, failed=True)])
    assert judge("history", [result(0, full=True, python=1.0, failed=True)]) == []


def test_the_statement_that_differs_most_comes_first() -> None:
    assert [query for query, _, _ in differences(rounds())] == [LOOK, INSERT]


def test_statements_are_those_that_ran_meanwhile_an_order() -> None:
    before = {LOOK: Spent(10, 5.0, 100, 0, 0), INSERT: Spent(1, 1.0, 1, 1, 1)}
    after = {LOOK: Spent(30, 9.0, 300, 20, 2), INSERT: before[INSERT], "new": Spent(2, 2.0, 2, 2, 2)}
    found = per_order(before, after, 2)
    assert found == {LOOK: Spent(10, 2.0, 100, 10, 1), "new": Spent(1, 1.0, 1, 1, 1)}
    assert total(found) == Spent(11, 3.0, 101, 11, 2)
    assert total({}) == Spent()
