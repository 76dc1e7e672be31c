"""Every alert, and the rules that Prometheus loads."""

from typing import Any, Final

from deploy.alerts.absences import TWINS
from deploy.alerts.alert import rule
from deploy.alerts.objectives import OBJECTIVES
from deploy.alerts.standing import STANDING
from deploy.alerts.working import WORKING

GROUPS: Final = {
    "payments-objectives": OBJECTIVES,
    "payments-standing": STANDING,
    "payments-working": WORKING,
    "payments-absent": TWINS,
}
ALERTS: Final = tuple(alert for alerts in GROUPS.values() for alert in alerts)
BY_NAME: Final = {alert.name: alert for alert in ALERTS}


def groups(factor: int = 1) -> list[dict[str, Any]]:
    """Return Prometheus' groups of rules, their times divided by factor."""
    return [{"name": name, "rules": [rule(alert, factor) for alert in alerts]} for name, alerts in GROUPS.items()]
