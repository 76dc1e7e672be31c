"""Every case, and the alerts that only promtool proves."""

import re
from typing import Final

from deploy.alerts.alert import UNITS
from deploy.alerts.table import ALERTS
from tests.alerts.running import outside, processes, standing
from tests.alerts.running.case import Case

CASES: Final[tuple[Case, ...]] = (*standing.CASES, *outside.CASES, *processes.CASES, *outside.ELSEWHERE)
"""In this order: the last ones leave the stock elsewhere."""
_HOUR_S: Final = 3600


def windows_s(expression: str) -> list[int]:
    """Return the windows of an expression, in seconds."""
    return [int(number) * UNITS[unit] for number, unit in re.findall(r"\[(\d+)([smhd])\]", expression)]


BY_PROMTOOL: Final = tuple(alert.name for alert in ALERTS if max(windows_s(alert.expression), default=0) > _HOUR_S)
"""Alerts with a window over an hour: even a sixtieth of it is too long here. promtool's cases make them fire."""


def without_case() -> list[str]:
    """Return the alerts that neither a case makes fire nor promtool alone may prove."""
    fired = {one.name for case in CASES for one in case.fires}
    return [alert.name for alert in ALERTS if alert.name not in {*fired, *BY_PROMTOOL}]
