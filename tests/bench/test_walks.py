"""What the benchmark says of walks over dead rows follows from PostgreSQL's counts."""

from dataclasses import dataclass, field

from tests.bench.history.statements import Spent, Statements
from tests.bench.pressure.walks import NOTHING, Touched, Updates, growing, touched_an_order, walks_table


@dataclass
class Part:
    """A part of a phase."""

    phase: str
    statements: Statements = field(default_factory=dict)
    touched: Touched = NOTHING


def part(phase: str, claim: float, insert: float) -> Part:
    """Return a part in which a claim and an insert touched so many blocks an order, the claim in half a call."""
    return Part(
        phase,
        {"CLAIM": Spent(0.5, 0.01, claim - 1, 1), "INSERT": Spent(1, 0.02, insert)},
        Touched({"orders_pkey": claim, "orders (rows)": insert}, {"orders": Updates(4, insert)}),
    )


def test_what_was_touched_is_told_an_order() -> None:
    before = Touched({"orders_pkey": 10}, {"orders": Updates(2, 1)})
    after = Touched({"orders_pkey": 30, "stock (rows)": 5}, {"orders": Updates(12, 6), "stock": Updates(10, 5)})
    found = touched_an_order(before, after, 10)
    assert found.blocks == {"orders_pkey": 2, "stock (rows)": 0.5}
    assert found.updates == {"orders": Updates(1, 0.5), "stock": Updates(1, 0.5)}


def test_the_statement_that_grew_most_comes_first() -> None:
    before, end = [part("before", 10, 5)], [part("held", 20, 4), part("held", 40, 4)]
    assert growing(before, end) == ["CLAIM", "INSERT"]
    assert growing(end, before) == ["INSERT", "CLAIM"]


def test_a_statement_that_was_not_there_before_has_grown() -> None:
    assert growing([Part("before")], [part("held", 1, 0)])[0] == "CLAIM"


def test_the_table_has_the_phase_before_and_each_part_under_the_snapshot() -> None:
    parts = [part("before", 10, 5), part("held", 20, 4), part("held", 40, 4), part("after", 99, 99)]
    lines = walks_table(parts, 1).splitlines()
    assert "| CLAIM | 0.5000, 0.5000 | 20; 40 80 | 0.0100, 0.0100 |" in lines
    assert "| orders_pkey | 10.0; 20.0 40.0 |" in lines
    assert "| orders | 4.00, 5.00 | 4.00, 4.00 |" in lines


def test_a_run_that_counted_no_statements_shows_none() -> None:
    assert walks_table([Part("before"), Part("held")], 3) == ""
    assert walks_table([part("held", 1, 1)], 3) == ""
