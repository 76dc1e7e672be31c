"""Scrapes and probes of processes, over HTTP, as Prometheus and Kubernetes make them."""

import json
import re
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.processes import Process

ON = {
    "PAYMENTS_METRICS_LISTEN": "127.0.0.1:0",
    "PAYMENTS_HEALTH_LISTEN": "127.0.0.1:0",
    "PAYMENTS_METRICS_INTERVAL_S": "0.2",
    "PAYMENTS_AUDIT_INTERVAL_S": "0.5",
    "PAYMENTS_LOG_FORMAT": "json",
}
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def address_of(process: Process, setting: str) -> str:
    """Return where a process listens: a line of its log says it."""
    process.await_line(setting)
    lines = [json.loads(line) for line in process.log.splitlines() if setting in line]
    return f"http://{lines[0]['address']}"


class Scraped:
    """What one process exports."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._url = address_of(process, "PAYMENTS_METRICS_LISTEN")

    @property
    def text(self) -> str:
        """Scrape it."""
        answer = httpx.get(f"{self._url}/metrics", trust_env=False, timeout=10)
        answer.raise_for_status()
        return answer.text

    def names(self) -> set[str]:
        """Return the names of our metrics, as the table has them."""
        declared = re.findall(r"^# TYPE (payments_\S+) (\S+)$", self.text, re.MULTILINE)
        return {name for name, _ in declared}

    def value(self, name: str, **labels: str) -> float | None:
        """Return a sample; None if it is not exported."""
        wanted = frozenset(labels.items())
        for family in text_string_to_metric_families(self.text):
            for sample in family.samples:
                if sample.name == name and wanted <= set(sample.labels.items()):
                    return float(sample.value)
        return None

    def becomes(self, condition: Any, name: str, **labels: str) -> None:
        """Wait until a sample is as wanted. condition: takes the value, or is the value."""
        test = condition if callable(condition) else lambda value: value == condition

        def holds() -> bool:
            value = self.value(name, **labels)
            return value is not None and bool(test(value))

        self._process.eventually(holds, f"{name} {labels} is as wanted")


def probe(process: Process, path: str) -> tuple[int, dict[str, Any]]:
    """Ask a process about its health."""
    answer = httpx.get(f"{address_of(process, 'PAYMENTS_HEALTH_LISTEN')}{path}", trust_env=False, timeout=10)
    return answer.status_code, answer.json()
