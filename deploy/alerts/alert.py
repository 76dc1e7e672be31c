"""What an alert is, and how its rule is made. A factor divides its times, so that a test need not wait for hours."""

import re
from enum import StrEnum
from typing import Any, Final, NamedTuple


class Severity(StrEnum):
    """PAGE: somebody gets up. TICKET: somebody looks in working hours."""

    PAGE = "page"
    TICKET = "ticket"


class Alert(NamedTuple):
    """One alert.

    expression: PromQL. A bound in seconds stands in angle brackets (`> <900>`), so that a factor finds it.
    for_s: so long the expression holds before the alert fires, in seconds.
    summary: what is wrong, one sentence; it may use Prometheus' `{{ $labels.x }}`.
    twin: the alert that fires when what the expression reads is not exported. Empty for twins themselves.
    look: commands and queries. todo, over: what to do, and when it is over.
    reasons: the alarms of `domain.alarms` that it tells. page: where they are explained; without it, `alerts.md`.
    """

    name: str
    expression: str
    for_s: int
    severity: Severity
    summary: str
    look: tuple[str, ...]
    todo: str
    over: str
    twin: str = ""
    reasons: tuple[str, ...] = ()
    page: str = ""

    @property
    def runbook(self) -> str:
        """Return the page and its section, as a path in this repository. A reason is the anchor of its section."""
        if self.page:
            return f"deploy/runbooks/{self.page}#{{{{ $labels.reason }}}}"
        return f"deploy/runbooks/alerts.md#{self.name.lower()}"


UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_WINDOW: Final = re.compile(r"(\[|offset )(\d+)([smhd])")
_SECONDS: Final = re.compile(r"<(\d+(?:\.0)?)>")


def scaled(expression: str, factor: int = 1) -> str:
    """Return PromQL with windows and bounds divided by factor."""

    def window(found: re.Match[str]) -> str:
        if factor == 1:
            return found[0]
        return f"{found[1]}{round(int(found[2]) * UNITS[found[3]] * 1000 / factor)}ms"

    def seconds(found: re.Match[str]) -> str:
        value = float(found[1]) / factor
        return f"{value}" if "." in found[1] else f"{value:g}"

    return _SECONDS.sub(seconds, _WINDOW.sub(window, expression))


def rule(alert: Alert, factor: int = 1) -> dict[str, Any]:
    """Return the rule for Prometheus."""
    for_ms = round(alert.for_s * 1000 / factor)
    return {
        "alert": alert.name,
        "expr": scaled(alert.expression, factor),
        "for": f"{for_ms // 1000}s" if for_ms % 1000 == 0 else f"{for_ms}ms",
        "labels": {"severity": alert.severity.value},
        "annotations": {"summary": alert.summary, "runbook": alert.runbook},
    }


def grew(series: str, window: str) -> str:
    """Return PromQL for series of a counter that have grown in a window.

    A series that is new has grown by its whole value. `increase` alone would not see its first step: it begins there.
    """
    return f"((({series} unless {series} offset {window}) > 0) or (increase({series}[{window}]) > 0))"
