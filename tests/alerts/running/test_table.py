"""The cases of `make alerts ARGS=--running`: none is missing, and what they wait for is what the rules have."""

from collections import Counter
from typing import Any

import pytest

from deploy.alerts.table import ALERTS, BY_NAME
from deploy.metrics.table import BY_NAME as METRICS
from tests.alerts.promql import kept, metrics
from tests.alerts.running.table import BY_PROMTOOL, CASES, windows_s, without_case
from tests.alerts.running.watching import Fires, fires, wrong_words

FIRED = [one for case in CASES for one in case.fires]
HOUR_S = 3600


def test_each_alert_has_a_cause_that_is_made_on_a_running_pipeline_or_a_window_over_an_hour() -> None:
    assert without_case() == []


def test_only_windows_over_an_hour_are_left_to_promtool() -> None:
    for name in BY_PROMTOOL:
        assert max(windows_s(BY_NAME[name].expression)) > HOUR_S
    assert {one.name for one in FIRED}.isdisjoint(BY_PROMTOOL)


def test_the_windows_of_an_expression_are_found_in_all_units() -> None:
    assert windows_s("rate(a[5m]) / rate(b[3d]) > rate(c[6h]) and d[20s] offset 1h") == [300, 259_200, 21_600, 20]


def test_every_alert_that_a_case_names_is_declared() -> None:
    named = {one.name for one in FIRED} | {name for case in CASES for name in case.also}
    assert named - {alert.name for alert in ALERTS} == set()


@pytest.mark.parametrize("one", FIRED, ids=Fires.text)
def test_a_case_waits_for_labels_that_the_alert_has(one: Fires) -> None:
    expression = BY_NAME[one.name].expression
    read = {label for name in metrics(expression) for label in METRICS[name].labels}
    assert {label for label, _ in one.labels} <= kept(expression) | read | {"metric"}


def test_no_two_cases_have_one_name() -> None:
    assert [what for what, times in Counter(case.what for case in CASES).items() if times > 1] == []


def alert(summary: str, runbook: str) -> dict[str, Any]:
    return {"labels": {"alertname": "X"}, "annotations": {"summary": summary, "runbook": runbook}}


def test_a_text_that_is_not_filled_in_a_page_and_a_section_that_lack_are_found() -> None:
    page = "deploy/runbooks/alerts.md"
    assert wrong_words(alert("It is late.", f"{page}#paymentslag")) == []
    assert wrong_words(alert("It is <no value>.", f"{page}#paymentslag"))
    assert wrong_words(alert("It is late.", f"{page}#paymentsnothing"))
    assert wrong_words(alert("It is late.", "deploy/runbooks/nowhere.md#paymentslag"))


def test_an_alert_is_the_one_that_is_waited_for_if_it_has_those_labels() -> None:
    one = fires("PaymentsLag", topic="OrderConfirmed")
    assert one.is_it({"alertname": "PaymentsLag", "topic": "OrderConfirmed", "group": "x"})
    assert not one.is_it({"alertname": "PaymentsLag", "topic": "ItemsReserved"})
    assert not one.is_it({"alertname": "PaymentsLagAbsent", "topic": "OrderConfirmed"})
