"""What fires, since when, with which words; whether its page is there; and what has fired in a stretch of time."""

import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.alerts.files import ROOT
from tests.alerts.server import Prometheus
from tests.chaos.clock import unix_s

LOOK_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Fires:
    """An alert that must fire, with these labels at least."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()

    def is_it(self, labels: Mapping[str, str]) -> bool:
        """Whether an alert of Prometheus is this one."""
        return labels["alertname"] == self.name and dict(self.labels).items() <= dict(labels).items()

    def text(self) -> str:
        """Name it, as `PaymentsLag topic=OrderConfirmed`."""
        return " ".join([self.name, *(f"{name}={value}" for name, value in self.labels)])


def fires(name: str, **labels: str) -> Fires:
    """Return an alert that must fire."""
    return Fires(name, tuple(sorted(labels.items())))


class Watch:
    """Asks Prometheus."""

    def __init__(self, server: Prometheus) -> None:
        self.server = server

    def firing(self) -> list[dict[str, Any]]:
        """Return what fires now, with labels and annotations."""
        return [alert for alert in self.server.alerts() if alert["state"] == "firing"]

    def fired_since(self, at: float) -> dict[str, list[dict[str, str]]]:
        """Return what has fired since then (Unix seconds), with all labels, by name."""
        seconds = max(int(unix_s() - at), 1)
        found: dict[str, list[dict[str, str]]] = {}
        for sample in self.server.query(f'max_over_time(ALERTS{{alertstate="firing"}}[{seconds}s])'):
            labels = {k: v for k, v in sample["metric"].items() if k not in {"__name__", "alertstate"}}
            found.setdefault(labels["alertname"], []).append(labels)
        return found

    def await_firing(self, wanted: Collection[Fires], within_s: float) -> tuple[dict[Fires, float], list[str]]:
        """Wait until each has fired once; return after how many seconds, and what is wrong with their words."""
        begun, seconds, wrong = time.monotonic(), dict[Fires, float](), list[str]()

        def all_have() -> bool:
            now = self.firing()
            for one in wanted:
                found = next((alert for alert in now if one.is_it(alert["labels"])), None)
                if one not in seconds and found is not None:
                    seconds[one] = time.monotonic() - begun
                    wrong.extend(wrong_words(found))
            return len(seconds) == len(wanted)

        wait(all_have, within_s)
        return seconds, wrong

    def await_end(self, wanted: Collection[Fires], within_s: float) -> dict[Fires, float]:
        """Wait until none of these fires; return seconds until each had ended."""
        begun, seconds = time.monotonic(), dict[Fires, float]()

        def all_have() -> bool:
            now = self.firing()
            for one in wanted:
                if any(one.is_it(alert["labels"]) for alert in now):
                    seconds.pop(one, None)
                else:
                    seconds.setdefault(one, time.monotonic() - begun)
            return len(seconds) == len(wanted)

        wait(all_have, within_s)
        return seconds

    def await_silence(self, within_s: float, but: Collection[str] = (), *, calm: bool = False) -> list[str]:
        """Wait until nothing fires; return what still does. but: names that may. calm: nothing is about to, either."""
        left: list[str] = []

        def silent() -> bool:
            now = self.server.alerts() if calm else self.firing()
            left[:] = sorted({a["labels"]["alertname"] for a in now} - set(but))
            return not left

        wait(silent, within_s)
        return left


def wait(condition: Callable[[], bool], within_s: float) -> bool:
    """Wait until the condition holds; tell whether it did in time."""
    end = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(LOOK_S)
    return True


def wrong_words(alert: Mapping[str, Any]) -> list[str]:
    """Say what is wrong with an alert's annotations: a text that was not filled in, a page or a section that lacks."""
    name, said = alert["labels"]["alertname"], alert["annotations"]
    wrong = [f"{name}: {key} is not filled in: {text}" for key, text in said.items() if re.search(r"\{\{|<no", text)]
    page, _, anchor = said["runbook"].partition("#")
    if not (ROOT / page).is_file():
        return [*wrong, f"{name}: there is no page {page}"]
    # GitHub makes anchors of headings in lower case.
    anchors = {found.lower() for found in re.findall(r"^## (\S+)$", (ROOT / page).read_text("utf-8"), re.MULTILINE)}
    if anchor.lower() not in anchors:
        wrong.append(f"{name}: {page} has no section {anchor}")
    return wrong
