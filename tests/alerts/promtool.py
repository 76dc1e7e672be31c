"""The tests of the rules, as promtool reads them."""

import re
from typing import Any, Final

from deploy.alerts.alert import Alert
from deploy.alerts.table import ALERTS, BY_NAME
from tests.alerts.calm import CALM, WHEN
from tests.alerts.cases import CASES, LONG_STEP, Case, Series

EVALUATED: Final = {1: "1m", LONG_STEP: "30m"}
"""How often promtool looks at the rules."""


def tests(step: int) -> dict[str, Any]:
    """Return promtool's document of the cases whose values are so many minutes apart."""
    cases = [_test(case) for case in CASES if case.step == step]
    return {
        "rule_files": ["rules.yml"],
        "evaluation_interval": EVALUATED[step],
        "tests": [*cases, _calm(step)],
    }


def _test(case: Case) -> dict[str, Any]:
    alert = BY_NAME[case.alert]
    fires = [
        {
            "exp_labels": {**labels, "severity": alert.severity.value},
            "exp_annotations": {"summary": _said(alert.summary, labels), "runbook": _said(alert.runbook, labels)},
        }
        for labels in case.fires
    ]
    expected = {"eval_time": case.at, "alertname": alert.name, "exp_alerts": fires}
    return {"name": f"{alert.name}: {case.what}", **_input(case.series, case.step), "alert_rule_test": [expected]}


def _calm(step: int) -> dict[str, Any]:
    silent = [{"eval_time": at, "alertname": alert.name, "exp_alerts": []} for at in WHEN[step] for alert in ALERTS]
    series = {name: re.sub(r"x\d+$", "x100", values) for name, values in CALM.items()} if step == 1 else CALM
    return {"name": "nothing is wrong", **_input(series, step), "alert_rule_test": silent}


def _input(series: Series, step: int) -> dict[str, Any]:
    return {
        "interval": f"{step}m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
    }


def _said(text: str, labels: Any) -> str:
    """Return an annotation as Prometheus writes it for these labels."""
    return re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: labels[found[1]], text)


def uncovered() -> list[Alert]:
    """Return the alerts for which no case makes them fire, or none keeps them silent."""
    firing = {case.alert for case in CASES if case.fires}
    silent = {case.alert for case in CASES if not case.fires}
    return [alert for alert in ALERTS if alert.name not in firing & silent]
