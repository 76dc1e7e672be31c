"""What a metric is: its type, its labels, which processes export it, and where its values come from."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple


class Kind(StrEnum):
    """Prometheus's types of metrics."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class By(StrEnum):
    """Which processes export it. ENGINE: those of `consume` and `sweep`, which settle answers, too."""

    ALL = "every process"
    ENGINE = "consume, sweep"
    CONSUME = "consume"
    RELAY = "relay"
    SWEEP = "sweep"
    WEBHOOKS = "webhooks"


class Source(StrEnum):
    """Where its values come from."""

    PROCESS = "what this process did"
    DATABASE = "the database"
    KAFKA = "Kafka"


class Metric(NamedTuple):
    """One metric. labels: their names. buckets: upper bounds of a histogram, in the unit of its name."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    meaning: str
    by: By
    source: Source = Source.PROCESS
    buckets: tuple[float, ...] = ()


OTHER: Final = "other"
"""The value of a label for a code that this release does not know: so no label grows without bound."""
NONE: Final = "none"

OUTCOME_BUCKETS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)
CALL_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
WRITE_BUCKETS: Final = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
SIZE_BUCKETS: Final = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 10000)


def known(value: str, values: Iterable[str]) -> str:
    """Return a code that may be a label's value."""
    return value if value in values else OTHER
