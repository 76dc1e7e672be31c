"""A real Prometheus, for a minute at most: each query of the dashboard must find data in what the metrics export.

The exporter is scripted: it has every metric of the table, with the values that its labels may have, and grows.
"""

import itertools
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest

from deploy.alerts.panels import ROWS
from deploy.metrics.metric import Kind, Metric
from deploy.metrics.numbers import Numbers
from deploy.metrics.table import METRICS
from tests.alerts.files import RULES
from tests.alerts.server import prometheus
from tests.alerts.values import values_of
from tests.eventually import eventually

ANSWERED_S: Final = 90.0
"""Within this time every query has data: some scrapes, two seconds apart, on a busy machine."""
WINDOW: Final = "30s"
"""Stands for Grafana's `$__rate_interval`."""
COMBINED_MAX: Final = 100
"""A metric with more combinations of its labels has each value, but not each combination."""


def queries() -> list[tuple[str, str]]:
    """Return every query of the dashboard as Prometheus takes it, with its panel's title."""
    return [
        (panel.title, query.expression.replace("$__rate_interval", WINDOW))
        for panels in ROWS.values()
        for panel in panels
        for query in panel.queries
    ]


def unanswered() -> list[str]:
    """Return what Prometheus does not answer within ANSWERED_S, or refuses."""
    with (
        _exporter() as target,
        tempfile.TemporaryDirectory() as folder,
        prometheus(Path(folder), _scraping(target)) as server,
    ):
        left = queries()

        def answers() -> bool:
            left[:] = [one for one in left if not server.has_data(one[1])]
            return not left

        try:
            eventually(answers, "every query has data", ANSWERED_S, poll_s=1.0)
        except AssertionError:
            return [f"the panel `{title}` has no data: {expression}" for title, expression in left]
    return []


def _scraping(target: str) -> dict[str, Any]:
    return {
        "global": {"scrape_interval": "2s", "evaluation_interval": "2s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": "payments", "static_configs": [{"targets": [target]}]}],
    }


def _combinations(metric: Metric) -> list[tuple[str, ...]]:
    columns = [values_of(metric.name, label) for label in metric.labels]
    count = 1
    for column in columns:
        count *= len(column)
    if count <= COMBINED_MAX:
        return list(itertools.product(*columns))
    longest = max(map(len, columns))
    return [tuple(column[n % len(column)] for column in columns) for n in range(longest)]


class _Script:
    """Every declared metric; all counts grow with each scrape."""

    def __init__(self) -> None:
        self._numbers = Numbers()
        self._lock = threading.Lock()
        self.registry = CollectorRegistry()
        self.registry.register(self._numbers)
        for metric in METRICS:
            if metric.kind is Kind.GAUGE:
                values = dict.fromkeys(_combinations(metric), 1.0)
                self._numbers.gauge(metric.name, lambda values=values: values)  # type: ignore[misc]

    def scrape(self) -> bytes:
        """Grow, and return the exposition."""
        with self._lock:
            for metric in METRICS:
                for labels in _combinations(metric):
                    if metric.kind is Kind.COUNTER:
                        self._numbers.counter(metric.name).add(labels)
                    elif metric.kind is Kind.HISTOGRAM:
                        self._numbers.histogram(metric.name)[labels].observe(metric.buckets[1])
            return generate_latest(self.registry)


@contextmanager
def _exporter() -> Iterator[str]:
    script = _Script()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = script.scrape()
            # Prometheus hangs up when a scrape takes too long; there is a next one.
            with suppress(ConnectionError):
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
