"""The chart of a comparison: orders a second on a logarithmic scale, one bar a contestant and gateway latency. Pure."""

import math
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

from tests.bench import report
from tests.bench.contestants import CONTESTANTS
from tests.bench.figures import spread

WIDTH, LABEL, BAR, GAP, TOP, RIGHT = 860, 190, 18, 10, 58, 120
OURS, THEIRS, LIMIT = "#1b6ca8", "#9aa5b1", "#d98c21"


def svg(results: Sequence[dict[str, Any]], title: str) -> str:
    """Draw it. Whiskers are the least and the most of the rounds."""
    groups: dict[tuple[str, float], list[float]] = {}
    for one in results:
        if one.get("orders_per_s"):
            groups.setdefault((one["contestant"], one["latency_ms"]), []).append(one["orders_per_s"])
    ranked = sorted(groups.items(), key=lambda item: (item[0][1], spread(item[1]).median))
    most = max((max(values) for values in groups.values()), default=10.0)
    decades = max(1, math.ceil(math.log10(most)))
    height = TOP + len(ranked) * (BAR + GAP) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="12" y="24" font-size="15" font-weight="bold">{escape(title)}</text>',
    ]

    def x(value: float) -> float:
        return LABEL + (WIDTH - LABEL - RIGHT) * max(0.0, math.log10(max(value, 1.0))) / decades

    for decade in range(decades + 1):
        at = x(10**decade)
        parts.append(f'<line x1="{at:.1f}" y1="{TOP - 6}" x2="{at:.1f}" y2="{height - 14}" stroke="#e3e6ea"/>')
        parts.append(f'<text x="{at:.1f}" y="{TOP - 10}" font-size="11" text-anchor="middle">{10**decade:,}</text>')
    for place, ((name, latency_ms), values) in enumerate(ranked):
        y = TOP + place * (BAR + GAP)
        found, middle = spread(values), y + BAR / 2
        label = escape(f"{name}, {report.gateway_of(name, latency_ms)}")
        colour = OURS if CONTESTANTS[name].ours else LIMIT if name.startswith("limit") else THEIRS
        parts += [
            f'<text x="{LABEL - 8}" y="{middle + 4:.1f}" font-size="12" text-anchor="end">{label}</text>',
            f'<rect x="{LABEL}" y="{y}" width="{x(found.median) - LABEL:.1f}" height="{BAR}" fill="{colour}"/>',
            f'<line x1="{x(found.least):.1f}" y1="{middle}" x2="{x(found.most):.1f}" y2="{middle}" stroke="black"/>',
            f'<text x="{x(found.most) + 6:.1f}" y="{middle + 4:.1f}" font-size="12">{found.median:,.0f}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])
