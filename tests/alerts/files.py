"""The files that Prometheus, Grafana, the chart and people read, as the declared tables make them."""

import json
from pathlib import Path
from typing import Any, Final

import yaml

from deploy.alerts.dashboard import dashboard
from deploy.alerts.runbook import pages
from deploy.alerts.table import groups
from tests.alerts.cases import LONG_STEP
from tests.alerts.promtool import tests

ROOT: Final = Path(__file__).parents[2]
RULES: Final = ROOT / "deploy" / "alerts" / "rules.yml"
TESTS: Final = {1: ROOT / "deploy" / "alerts" / "tests.yml", LONG_STEP: ROOT / "deploy" / "alerts" / "tests-long.yml"}
DASHBOARD: Final = ROOT / "deploy" / "dashboards" / "payments.json"
RUNBOOKS: Final = ROOT / "deploy" / "runbooks"
IN_CHART: Final = ROOT / "deploy" / "chart" / "payments" / "files" / "alerts.yaml"
_MADE: Final = "# Made from deploy/alerts by `python -m tests.alerts --write`.\n"


def text_of(document: Any) -> str:
    """Return a document as YAML, without aliases: promtool and people read each rule by itself."""
    apart = json.loads(json.dumps(document))
    text: str = yaml.safe_dump(apart, sort_keys=False, width=10_000, allow_unicode=True)
    return _MADE + text


def made() -> dict[Path, str]:
    """Return what each file should say."""
    rules = text_of({"groups": groups()})
    return {
        RULES: rules,
        IN_CHART: text_of(groups()),
        **{file: text_of(tests(step)) for step, file in TESTS.items()},
        DASHBOARD: json.dumps(dashboard(), indent=2) + "\n",
        **{RUNBOOKS / name: text for name, text in pages().items()},
    }
