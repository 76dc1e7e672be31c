"""The dashboard: what Grafana needs of its document, as far as that can be seen without Grafana."""

import re
from collections import Counter
from itertools import combinations
from typing import Any

import pytest

from deploy.alerts.dashboard import WIDTH, dashboard
from deploy.alerts.panels import ROWS
from tests.alerts.promql import kept

DOCUMENT = dashboard()
PANELS: list[dict[str, Any]] = DOCUMENT["panels"]
GRAPHS = [panel for panel in PANELS if panel["type"] != "row"]
QUERIES = [query for panels in ROWS.values() for panel in panels for query in panel.queries]


def _overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
    above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    return not beside and not above


def test_no_two_panels_have_one_number_or_one_title() -> None:
    for what in ("id", "title"):
        assert [name for name, times in Counter(panel[what] for panel in PANELS).items() if times > 1] == []


def test_panels_lie_side_by_side_within_the_width() -> None:
    places = [panel["gridPos"] for panel in PANELS]
    assert all(place["x"] >= 0 and place["x"] + place["w"] <= WIDTH for place in places)
    assert [pair for pair in combinations(places, 2) if _overlap(*pair)] == []


def test_every_query_asks_the_prometheus_that_the_reader_has_chosen() -> None:
    (variable,) = DOCUMENT["templating"]["list"]
    chosen = {"type": "prometheus", "uid": f"${{{variable['name']}}}"}
    for panel in GRAPHS:
        assert panel["datasource"] == chosen
        assert panel["targets"]
        assert all(target["datasource"] == chosen for target in panel["targets"])


def test_the_lines_of_a_panel_have_letters_of_their_own() -> None:
    for panel in GRAPHS:
        letters = [target["refId"] for target in panel["targets"]]
        assert letters == sorted(set(letters)), panel["title"]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.expression[:60])
def test_the_name_of_a_line_uses_labels_that_the_query_keeps(query: Any) -> None:
    assert set(re.findall(r"\{\{(\w+)\}\}", query.legend)) <= kept(query.expression)


def test_the_dashboard_shows_what_an_operator_asks_for() -> None:
    shown = " ".join(query.expression for query in QUERIES)
    for part in (
        "orders_total",
        "outcome_seconds",
        "unfinished",
        "outbox",
        "lag_seconds",
        "gateway_call",
        "reviews",
        "customer_messages",
        "audit",
    ):
        assert part in shown, part
