"""The declared alerts: each has a twin, a page and a case in which it fires, and reads what is exported."""

import re
from collections import Counter
from pathlib import Path

import pytest
import yaml
from click import Context, Group

from deploy.alerts.absences import ABSENCES, TWINS
from deploy.alerts.alert import Alert, Severity, grew, rule, scaled
from deploy.alerts.panels import ROWS
from deploy.alerts.runbook import pages
from deploy.alerts.sections import LETTER, REVIEW, RUNNING, STOCK_SHORT, UNREADABLE
from deploy.alerts.table import ALERTS, BY_NAME, groups
from deploy.cli import main as payments
from deploy.metrics.metric import By, Kind, Source
from deploy.metrics.table import BY_NAME as METRICS
from domain.alarms import ALARMS
from tests.alerts.files import ROOT, made
from tests.alerts.promql import OF_PROMETHEUS, kept, matchers, metrics
from tests.alerts.promtool import uncovered
from tests.alerts.values import values_of
from tests.chart.manifests import kind_of, manifests

NEEDS = {absence.name: absence.needs for absence in ABSENCES}
QUERIES = [query.expression for panels in ROWS.values() for panel in panels for query in panel.queries]
LOOKS = [look for alert in ALERTS for look in alert.look] + [
    look for section in (*RUNNING.values(), LETTER, REVIEW, STOCK_SHORT, UNREADABLE) for look in section.look
]
EXPRESSIONS = sorted(
    {*(alert.expression for alert in ALERTS), *QUERIES, *(look for look in LOOKS if "payments_" in look)}
)
WATCHES = [alert for alert in ALERTS if alert not in TWINS]
each_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
each_watch = pytest.mark.parametrize("alert", WATCHES, ids=lambda alert: alert.name)


@pytest.mark.parametrize("file", made(), ids=lambda file: file.name)
def test_a_file_is_what_the_tables_make(file: Path) -> None:
    assert file.read_text("utf-8") == made()[file], "`python -m tests.alerts --write` writes it"


def test_no_page_is_left_that_nobody_makes() -> None:
    assert {file.name for file in (ROOT / "deploy" / "runbooks").iterdir()} == set(pages())


def test_every_name_is_there_once() -> None:
    assert [name for name, times in Counter(alert.name for alert in ALERTS).items() if times > 1] == []


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_it_reads_declared_metrics_by_declared_labels(expression: str) -> None:
    names = metrics(expression)
    assert names
    assert names <= METRICS.keys()
    labels = {label for name in names for label in METRICS[name].labels} | OF_PROMETHEUS
    assert kept(expression) <= labels
    for matcher in matchers(expression):
        assert matcher.label in {*METRICS[matcher.metric].labels, *OF_PROMETHEUS}, matcher


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_it_chooses_values_that_the_product_exports(expression: str) -> None:
    for metric, label, values in matchers(scaled(expression)):
        if label == "le":
            assert {float(value) for value in values} <= set(METRICS[metric].buckets)
        else:
            assert set(values) <= set(values_of(metric, label)), label


@pytest.mark.parametrize(
    "alert", [a for a in WATCHES if any(m in a.expression for m in ("sum(", "max"))], ids=lambda a: a.name
)
def test_what_every_sweep_exports_alike_is_taken_once(alert: Alert) -> None:
    for name in metrics(alert.expression):
        if METRICS[name].source is not Source.PROCESS:
            assert re.search(rf"\bmax(?: by \([^)]*\))? ?\({name}\b", alert.expression), name


@each_watch
def test_each_alert_has_a_twin_that_fires_when_what_it_reads_is_not_exported(alert: Alert) -> None:
    assert BY_NAME[alert.twin] in TWINS
    needed = {(METRICS[name].by, METRICS[name].source) for name in NEEDS[alert.twin]}
    for name in metrics(alert.expression):
        assert (METRICS[name].by, METRICS[name].source) in needed, name


@each_watch
def test_the_twin_names_the_very_metric_if_it_always_has_a_value(alert: Alert) -> None:
    born_later = {"payments_dead_letters_waiting", "payments_quarantine_waiting", "payments_reviews_open"}
    for name in metrics(alert.expression):
        if METRICS[name].kind is Kind.GAUGE and name not in born_later:
            assert name in NEEDS[alert.twin], name


@pytest.mark.parametrize("absence", ABSENCES, ids=lambda absence: absence.name)
def test_a_twin_looks_for_absence(absence: Alert) -> None:
    expression = BY_NAME[absence.name].expression
    assert set(re.findall(r"absent\((\w+)\)", expression)) == set(NEEDS[absence.name])


def test_each_twin_is_somebodys() -> None:
    assert {alert.twin for alert in WATCHES} == {alert.name for alert in TWINS}


def test_for_each_alert_a_case_makes_it_fire_and_one_keeps_it_silent() -> None:
    assert uncovered() == []


@each_alert
def test_the_runbook_has_a_section_for_each_alert(alert: Alert) -> None:
    assert f"## {alert.name}\n" in pages()["alerts.md"]
    page, _, anchor = alert.runbook.removeprefix("deploy/runbooks/").partition("#")
    names = re.findall(r"^## (\S+)$", pages()[page], re.MULTILINE)
    wanted = alert.reasons if alert.page else (alert.name,)
    assert set(wanted) <= set(names)
    assert alert.page or anchor == alert.name.lower()


@pytest.mark.parametrize("page", ["alarms.md", "letters.md", "reviews.md"])
def test_a_reason_that_this_release_does_not_know_has_a_section_too(page: str) -> None:
    assert re.search(r"^## (review_)?other$", pages()[page], re.MULTILINE)


@pytest.mark.parametrize("reason", sorted(ALARMS))
def test_every_alarm_has_a_section_that_says_what_it_means_and_what_to_do(reason: str) -> None:
    sections = [part for text in pages().values() for part in re.split(r"^## ", text, flags=re.MULTILINE)]
    found = [part for part in sections if part.startswith(f"{reason}\n")]
    assert found
    for section in found:
        assert ALARMS[reason].meaning in section
        assert ALARMS[reason].todo in section
        assert "**Look at.**" in section
        assert "**Over.**" in section


def test_every_alarm_is_told_by_an_alert() -> None:
    assert {reason for alert in ALERTS for reason in alert.reasons} == set(ALARMS)


def test_no_alarm_both_wakes_somebody_and_waits_for_the_morning() -> None:
    paged, ticket = BY_NAME["PaymentsAlarmPage"], BY_NAME["PaymentsAlarmTicket"]
    assert (paged.severity, ticket.severity) == (Severity.PAGE, Severity.TICKET)
    assert set(paged.reasons).isdisjoint(ticket.reasons)


@pytest.mark.parametrize("look", sorted({look for look in LOOKS if look.startswith("payments ")}))
def test_every_command_of_a_runbook_is_there(look: str) -> None:
    _, *words = look.split()
    command: object = payments
    while words and isinstance(command, Group):
        name = words.pop(0)
        if name == "--version":
            return
        found = command.get_command(Context(command), name)
        assert found is not None, f"payments has no {name}"
        command = found
    options = {option for param in getattr(command, "params", []) for option in param.opts} | {"--help"}
    assert {word for word in words if word.startswith("--")} <= options


def test_a_factor_divides_windows_and_bounds_and_nothing_else() -> None:
    expression = grew('a{le="<60.0>"}', "15m") + " > <900> and b < 1"
    series = 'a{le="1.0"}'
    assert scaled(expression, 60) == (
        f"((({series} unless {series} offset 15000ms) > 0) or (increase({series}[15000ms]) > 0)) > 15 and b < 1"
    )
    alert = BY_NAME["PaymentsOutboxOld"]
    assert rule(alert, 60)["for"] == "5s"
    assert rule(alert)["expr"] == "max(payments_outbox_oldest_age_seconds) > 60"


def test_prometheus_finds_the_rules_and_grafana_the_dashboard_where_compose_mounts_them() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]
    mounted = dict(
        volume.split(":")[1::-1] for name in ("prometheus", "grafana") for volume in services[name]["volumes"]
    )
    for source in mounted.values():
        assert (ROOT / source).exists(), source
    config = yaml.safe_load((ROOT / mounted["/etc/prometheus/prometheus.yml"]).read_text("utf-8"))
    (rules,) = config["rule_files"]
    assert yaml.safe_load((ROOT / mounted[rules]).read_text("utf-8"))["groups"] == groups()
    provider = yaml.safe_load((ROOT / mounted["/etc/grafana/provisioning/dashboards/payments.yaml"]).read_text("utf-8"))
    folder = provider["providers"][0]["options"]["path"]
    assert (ROOT / mounted[folder] / "payments.json").exists()


def test_a_process_of_each_role_is_watched_for_absence() -> None:
    needed = {METRICS[name].by for names in NEEDS.values() for name in names}
    assert {By.ALL, By.CONSUME, By.RELAY, By.SWEEP} <= needed


def test_the_chart_has_the_rules_and_makes_them_where_they_are_asked_for() -> None:
    (asked,) = kind_of(manifests("full"), "PrometheusRule")
    assert asked["spec"]["groups"] == groups()
    assert kind_of(manifests("small"), "PrometheusRule") == []
