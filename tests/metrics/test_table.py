"""The declared table of metrics: its names, its page, its bounds."""

import re
from collections import Counter
from pathlib import Path

import pytest

from deploy.metrics.metric import By, Kind, Metric, Source
from deploy.metrics.table import METRICS, markdown

PAGE = Path(__file__).parents[2] / "deploy/METRICS.md"
IDS = re.compile(r"order_id|customer|sku|event_id|operation_id|token")


def test_the_page_has_the_table() -> None:
    assert markdown() in PAGE.read_text()


def test_every_name_is_there_once() -> None:
    assert [name for name, times in Counter(metric.name for metric in METRICS).items() if times > 1] == []


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_name_follows_the_conventions_of_prometheus(metric: Metric) -> None:
    assert re.fullmatch(r"payments_[a-z]+(_[a-z]+)*", metric.name)
    assert (metric.kind is Kind.COUNTER) == metric.name.endswith("_total")
    assert not metric.name.endswith(("_ms", "_minutes", "_hours", "_count", "_sum", "_bucket"))


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_only_histograms_have_buckets_and_they_rise(metric: Metric) -> None:
    assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)
    assert list(metric.buckets) == sorted(set(metric.buckets))


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_no_label_names_a_single_order_or_person(metric: Metric) -> None:
    assert [label for label in metric.labels if IDS.search(label)] == []


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_what_database_and_kafka_know_only_the_sweep_exports(metric: Metric) -> None:
    assert metric.source is Source.PROCESS or metric.by is By.SWEEP
