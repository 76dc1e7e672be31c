"""The numbers of a process: plain integers while it works, Prometheus's families when somebody asks.

Nothing here locks: all of it runs on the process's event loop.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from deploy.metrics.metric import Kind
from deploy.metrics.table import BY_NAME

Labels = tuple[str, ...]
Read = Callable[[], Mapping[Labels, float]]
"""Returns the values of a gauge by its labels; empty if they are not known now."""


class Cells:
    """A histogram's buckets for one set of labels."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value


class Counter(dict[Labels, float]):
    """A counter by its labels."""

    def add(self, labels: Labels, number: float = 1) -> None:
        """Count."""
        self[labels] = self.get(labels, 0) + number


class Histogram(dict[Labels, Cells]):
    """A histogram by its labels."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        super().__init__()
        self.bounds = bounds

    def __missing__(self, labels: Labels) -> Cells:
        cells = self[labels] = Cells(self.bounds)
        return cells


class Numbers(Collector):
    """Makes the metrics of the declared table, and no others; collects those that were asked for."""

    def __init__(self) -> None:
        self._counters: dict[str, Counter] = {}
        self._histograms: dict[str, Histogram] = {}
        self._gauges: dict[str, Read] = {}

    def counter(self, name: str) -> Counter:
        """Return this counter. Without labels it begins at 0: else its first increase would be lost to `rate`."""
        assert BY_NAME[name].kind is Kind.COUNTER
        made = self._counters.setdefault(name, Counter())
        if not BY_NAME[name].labels:
            made.add((), 0)
        return made

    def histogram(self, name: str) -> Histogram:
        """Return this histogram."""
        metric = BY_NAME[name]
        assert metric.kind is Kind.HISTOGRAM
        return self._histograms.setdefault(name, Histogram(metric.buckets))

    def gauge(self, name: str, read: Read) -> None:
        """Have this gauge read whenever somebody asks."""
        assert BY_NAME[name].kind is Kind.GAUGE
        self._gauges[name] = read

    def collect(self) -> Iterator[Metric]:
        """Yield every metric that has a value."""
        for name, counter in self._counters.items():
            yield self._counted(name, counter)
        for name, histogram in self._histograms.items():
            yield self._observed(name, histogram)
        for name, read in self._gauges.items():
            family = GaugeMetricFamily(name, BY_NAME[name].meaning, labels=BY_NAME[name].labels)
            for labels, value in read().items():
                family.add_metric(labels, value)
            if family.samples:
                yield family

    def _counted(self, name: str, counter: Counter) -> Metric:
        family = CounterMetricFamily(name, BY_NAME[name].meaning, labels=BY_NAME[name].labels)
        for labels, number in counter.items():
            family.add_metric(labels, number)
        return family

    def _observed(self, name: str, histogram: Histogram) -> Metric:
        family = HistogramMetricFamily(name, BY_NAME[name].meaning, labels=BY_NAME[name].labels)
        bounds = [*map(str, map(float, histogram.bounds)), "+Inf"]
        for labels, cells in histogram.items():
            running, buckets = 0, []
            for bound, number in zip(bounds, cells.counts, strict=True):
                running += number
                buckets.append((bound, running))
            family.add_metric(labels, buckets, sum_value=cells.total)
        return family
