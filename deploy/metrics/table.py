"""Every metric that there is.

`deploy/METRICS.md` has the same table, and a test compares. Names are promises: alerts and dashboards use them.
"""

from typing import Final

from deploy.metrics.of_process import OF_PROCESS
from deploy.metrics.of_state import OF_STATE

METRICS: Final = (*OF_PROCESS, *OF_STATE)
BY_NAME: Final = {metric.name: metric for metric in METRICS}


def markdown() -> str:
    """Return the table of deploy/METRICS.md."""
    lines = ["| metric | type | labels | exported by | from | meaning |", "|---|---|---|---|---|---|"]
    for m in METRICS:
        labels = ", ".join(f"`{label}`" for label in m.labels)
        lines.append(f"| `{m.name}` | {m.kind} | {labels} | {m.by} | {m.source} | {m.meaning} |")
    return "\n".join(lines)
