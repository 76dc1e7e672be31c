"""Plain text tables: columns as wide as their widest cell, numbers align to the right."""

from collections.abc import Sequence

from deploy.views.terminal import visible

GAP = "  "


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: frozenset[int] = frozenset()) -> list[str]:
    """Return the lines of a table with its heads; right: numbers of the columns that are align to the right."""
    return align([heads, *rows], right=right)


def align(rows: Sequence[Sequence[str]], *, right: frozenset[int] = frozenset()) -> list[str]:
    """Return the rows as lines: columns as wide as their widest cell, control characters made visible."""
    rows = [[visible(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(GAP.join(cells).rstrip())
    return lines
