"""Which statements, tables and indexes take more blocks an order under pressure than before it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from tests.bench.checks import Connection
from tests.bench.history.statements import Spent, Statements

STATEMENTS_SHOWN: Final = 10
RELATIONS_SHOWN: Final = 10
QUERY_SHOWN: Final = 100
_RELATIONS: Final = """
    SELECT t.relname || ' (rows)', t.relname, t.heap_blks_read + t.heap_blks_hit FROM pg_statio_user_tables t
    UNION ALL
    SELECT i.indexrelname, i.relname, i.idx_blks_read + i.idx_blks_hit FROM pg_statio_user_indexes i"""
_UPDATES: Final = "SELECT relname, n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE n_tup_upd > 0"


class Updates(NamedTuple):
    """Rows of a table that were updated. hot: of them without a new entry in an index."""

    rows: float = 0
    hot: float = 0


class Touched(NamedTuple):
    """What was touched up to a moment: blocks by table (its rows) and index, updated rows by table."""

    blocks: Mapping[str, float]
    updates: Mapping[str, Updates]


NOTHING: Final = Touched({}, {})


class Looked(Protocol):
    """A part of a phase. statements, touched: an order."""

    @property
    def phase(self) -> str:
        """before, held or after."""

    @property
    def statements(self) -> Statements:
        """By text."""

    @property
    def touched(self) -> Touched:
        """By name."""


def read_touched(connection: Connection) -> Touched:
    """Read it. PostgreSQL's own count lags by a second or two. Days of the inbox count as one."""
    blocks: dict[str, float] = {}
    for name, table, count in connection.execute(_RELATIONS).fetchall():
        shown = _without_day(str(name), str(table))
        blocks[shown] = blocks.get(shown, 0.0) + float(str(count))
    updates = {
        str(table): Updates(float(str(rows)), float(str(hot)))
        for table, rows, hot in connection.execute(_UPDATES).fetchall()
    }
    return Touched(blocks, updates)


def _without_day(name: str, table: str) -> str:
    return name.replace(table, "inbox") if table.startswith("inbox_") else name


def touched_an_order(before: Touched, after: Touched, orders: int) -> Touched:
    """Return what was touched meanwhile, an order."""
    return Touched(
        {name: (count - before.blocks.get(name, 0.0)) / orders for name, count in after.blocks.items()},
        {
            table: Updates(*((now - then) / orders for now, then in zip(made, _made(before, table), strict=True)))
            for table, made in after.updates.items()
        },
    )


def _made(touched: Touched, table: str) -> Updates:
    return touched.updates.get(table, Updates())


def blocks_of(spent: Spent) -> float:
    """Return blocks from the cache and read."""
    return spent.hit + spent.read


def mean(parts: Sequence[Looked], query: str) -> Spent:
    """Return what the statement took an order, the mean of the parts."""
    each = [part.statements.get(query, Spent()) for part in parts]
    return Spent(*(sum(values) / len(each) for values in zip(*each, strict=True))) if each else Spent()


def growing(before: Sequence[Looked], ends: Sequence[Looked], by: Callable[[Spent], float] = blocks_of) -> list[str]:
    """Return the statements, first the one whose figure an order grew most from the one phase to the other."""
    queries = dict.fromkeys(query for part in (*before, *ends) for query in part.statements)
    return sorted(queries, key=lambda query: by(mean(before, query)) - by(mean(ends, query)))


def walks_table(parts: Sequence[Looked], ends: int) -> str:
    """Show what grew most: the phase before, the held parts one by one, of which the last are compared."""
    before = [part for part in parts if part.phase == "before"]
    held = [part for part in parts if part.phase == "held"]
    if not before or not held or not any(part.statements for part in held):
        return ""
    lines = [
        "| statement | calls an order: before, end | blocks a call: before; under the snapshot | ms an order |",
        "|---|---|---|---|",
    ]
    for query in growing(before, held[-ends:])[:STATEMENTS_SHOWN]:
        then, now = mean(before, query), mean(held[-ends:], query)
        calls = " ".join(f"{_a_call(mean([part], query)):,.0f}" for part in held)
        text = " ".join(query.split()).replace("|", r"\|")[:QUERY_SHOWN]
        cells = (f"{then.calls:.4f}, {now.calls:.4f}", f"{_a_call(then):,.0f}; {calls}", f"{then.ms:.4f}, {now.ms:.4f}")
        lines.append(f"| {text} | {' | '.join(cells)} |")
    lines += ["", "| table or index | blocks an order: before; under the snapshot |", "|---|---|"]
    names = dict.fromkeys(name for part in (*before, *held) for name in part.touched.blocks)
    for name in sorted(names, key=lambda name: _blocks(before, name) - _blocks(held[-ends:], name))[:RELATIONS_SHOWN]:
        lines.append(f"| {name} | {_blocks(before, name):.1f}; {' '.join(f'{_blocks([p], name):.1f}' for p in held)} |")
    lines += ["", "| table | updates an order, of them hot: before | under the snapshot |", "|---|---|---|"]
    for table in sorted({table for part in held for table, made in part.touched.updates.items() if made.rows >= 0.01}):
        lines.append(f"| {table} | {_updates(before, table)} | {_updates(held[-ends:], table)} |")
    return "\n".join(lines)


def _a_call(spent: Spent) -> float:
    return blocks_of(spent) / spent.calls if spent.calls else 0.0


def _blocks(parts: Sequence[Looked], name: str) -> float:
    return sum(part.touched.blocks.get(name, 0.0) for part in parts) / len(parts)


def _updates(parts: Sequence[Looked], table: str) -> str:
    each = [_made(part.touched, table) for part in parts]
    return ", ".join(f"{sum(values) / len(each):.2f}" for values in zip(*each, strict=True))
