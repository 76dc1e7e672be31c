"""An empty database beside one with a history: the tables, and the ratios of the rounds. Pure."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from tests.bench.figures import Spread, ratio, spread

Result = Mapping[str, Any]
Figure = Callable[[Result], float]
STATEMENTS_SHOWN: Final = 6
QUERY_SHOWN: Final = 90
STATEMENT_HEADS: Final = (
    "an order, empty and with the history: statement",
    "ms",
    "blocks",
    "of them read",
    "whole pages in the WAL",
)
GIB: Final = 2**30


def _cpu(names: Sequence[str], result: Result) -> float:
    return float(sum(result["cpu_ms_per_order"][name] for name in names))


def _block(name: str, result: Result) -> float:
    return float(result["blocks"][name])


COST: Final = "CPU ms an order, Python + PostgreSQL"
FIGURES: Final[Mapping[str, tuple[Figure, int]]] = {
    "orders/s": (lambda one: float(one["orders_per_s"]), 0),
    COST: (partial(_cpu, ("python", "postgresql")), 3),
    "Python's CPU ms an order": (partial(_cpu, ("python",)), 3),
    "PostgreSQL's CPU ms an order": (partial(_cpu, ("postgresql",)), 3),
    "Kafka's CPU ms an order": (partial(_cpu, ("kafka",)), 3),
    "WAL bytes an order": (lambda one: float(one["wal_bytes_per_order"]), 0),
    "whole pages in the WAL an order": (partial(_block, "images"), 2),
    "blocks from the cache an order": (partial(_block, "hit"), 1),
    "blocks read an order": (partial(_block, "read"), 3),
}


def by_round(results: Sequence[Result], name: str, figure: Figure, *, full: bool) -> dict[int, float]:
    """Return the figure of each round in which this contestant was measured and right."""
    return {
        one["round"]: figure(one)
        for one in results
        if one["contestant"] == name and one["full"] == full and not one["failures"]
    }


def full_by_empty(results: Sequence[Result], name: str, what: str) -> Spread | None:
    """Return a figure with the history by that without, of the rounds in which both were right."""
    figure, _ = FIGURES[what]
    full, empty = (by_round(results, name, figure, full=wanted) for wanted in (True, False))
    return ratio(full, empty)


def history_table(results: Sequence[Result]) -> str:
    """Show each figure without the history and with it, the ratio, and what differs most among the statements."""
    made = results[0]["made"]
    lines = [
        f"A history of {made['history']:,} orders, {made['history_bytes'] / GIB:.1f} GiB",
        f"filled in {made['seconds']:,.0f} s, of which {made['copying_s']:,.0f} s of COPY",
        "",
        "| contestant | figure | empty | with the history | ratio (least-most) | rounds | check |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(one["contestant"] for one in results):
        mine = [one for one in results if one["contestant"] == name]
        bad = "; ".join(dict.fromkeys(failure for one in mine for failure in one["failures"])) or "right"
        for what, (figure, digits) in FIGURES.items():
            empty, full = (by_round(mine, name, figure, full=wanted) for wanted in (False, True))
            cells = [spread(list(each.values())).text(digits) if each else "-" for each in (empty, full)]
            by = full_by_empty(mine, name, what)
            text, rounds = by.text(2) if by else "-", len(empty.keys() & full.keys())
            lines.append(f"| {name} | {what} | {' | '.join(cells)} | {text} | {rounds} | {bad} |")
        lines += ["", *_statement_lines(mine)]
    return "\n".join(lines)


def differences(results: Sequence[Result]) -> list[tuple[str, dict[str, float], dict[str, float]]]:
    """Return (statement, means without the history, means with it), what differs most in time first. An order each."""
    right = [one for one in results if not one["failures"]]
    means = []
    for full in (False, True):
        mine = [one["statements"] for one in right if one["full"] == full]
        means.append({query: _mean([each.get(query, {}) for each in mine]) for each in mine for query in each})
    empty, full_ = means
    both = [(query, empty.get(query, {}), full_.get(query, {})) for query in {**empty, **full_}]
    return sorted(both, key=lambda one: one[1].get("ms", 0.0) - one[2].get("ms", 0.0))


def _mean(each: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = {name for one in each for name in one}
    return {name: sum(one.get(name, 0.0) for one in each) / len(each) for name in names}


def _statement_lines(results: Sequence[Result]) -> list[str]:
    lines = [
        f"| {' | '.join(STATEMENT_HEADS)} |",
        "|" + "---|" * len(STATEMENT_HEADS),
    ]
    for query, empty, full in differences(results)[:STATEMENTS_SHOWN]:
        text = " ".join(query.split()).replace("|", r"\|")
        cells = [
            f"{empty.get('ms', 0.0):.4f}, {full.get('ms', 0.0):.4f}",
            f"{_blocks(empty):.2f}, {_blocks(full):.2f}",
            f"{empty.get('read', 0.0):.3f}, {full.get('read', 0.0):.3f}",
            f"{empty.get('images', 0.0):.3f}, {full.get('images', 0.0):.3f}",
        ]
        lines.append(f"| {text[:QUERY_SHOWN]} | {' | '.join(cells)} |")
    return lines


def _blocks(spent: Mapping[str, float]) -> float:
    return spent.get("hit", 0.0) + spent.get("read", 0.0)
