"""A collector that is down or slow costs spans, and nothing else."""

import threading
import time
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from structlog.testing import capture_logs

from deploy.tracing.exporting import BoundedProcessor, otlp_processor
from deploy.tracing.recording import OtelRecorder
from deploy.tracing.telling import Ids, Kind, Told
from tests.consumers.orders import order
from tests.eventually import eventually
from tests.tracing.collector import Collector
from tests.tracing.conftest import MakeTraced
from tests.tracing.running import running

QUICKLY_S = 30.0
"""Far less than the library's own time-outs would add up to, and enough for a machine under load."""


def told(name: str = "work") -> Told:
    return Told(name, Kind.INTERNAL, Ids().root(), None, 1, 2, {})


class Stuck(SpanExporter):
    """A collector that does not answer until it is let go."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.taken: list[str] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.free.wait()
        self.taken += [span.name for span in spans]
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        pass


def test_spans_beyond_the_queue_are_dropped_counted_and_said_once() -> None:
    stuck = Stuck()
    processor = BoundedProcessor(stuck, queue_max=10, schedule_delay_millis=10)
    recorder = OtelRecorder(processor)
    try:
        with capture_logs() as logs:
            for n in range(50):
                recorder.record(told(f"span-{n}"))
            assert processor.dropped == 40
            assert [line["log_level"] for line in logs] == ["warning"]
    finally:
        stuck.free.set()
    with capture_logs() as logs:
        processor.end()
    assert sorted(stuck.taken) == sorted(f"span-{n}" for n in range(10))
    assert [(line["lost"], line["dropped"]) for line in logs] == [(0, 40)]


def test_end_does_not_wait_for_a_collector_that_hangs() -> None:
    stuck = Stuck()
    processor = BoundedProcessor(stuck, schedule_delay_millis=10)
    OtelRecorder(processor).record(told())
    began = time.monotonic()
    try:
        with capture_logs() as logs:
            processor.end(most_s=0.5)
        assert time.monotonic() - began < QUICKLY_S / 2
        assert [(line["lost"], line["dropped"]) for line in logs] == [(1, 0)]
    finally:
        stuck.free.set()


def test_refusing_collector_is_said_once_and_again_when_it_takes_spans(collector: Collector) -> None:
    collector.status = 400
    with capture_logs() as logs:
        processor = otlp_processor()
        recorder = OtelRecorder(processor)
        for n in range(3):
            recorder.record(told())
            eventually(lambda n=n: collector.requests > n, "asked")  # type: ignore[misc]
        collector.status = 200
        recorder.record(told("last"))
        eventually(lambda: [span.name for span in collector.spans] == ["last"], "taken")
        processor.end()
    assert [(line["log_level"], line.get("lost")) for line in logs] == [
        ("warning", None),
        ("info", 3),
        ("warning", 3),
    ]


@pytest.mark.integration
async def test_orders_are_paid_while_the_collector_hangs(make_traced: MakeTraced, collector: Collector) -> None:
    pipeline = await make_traced()
    collector.held.clear()
    async with running(pipeline.settings):
        await pipeline.publish(*[order(f"order-{n}") for n in range(5)])
        await pipeline.until_status("paid_and_confirmed", *[f"order-{n}" for n in range(5)])
        eventually(lambda: collector.requests > 0, "asked")
        await pipeline.until_quiet()
        began = time.monotonic()
    assert time.monotonic() - began < QUICKLY_S
    assert collector.bodies == []


@pytest.mark.integration
async def test_orders_are_paid_without_a_collector(make_traced: MakeTraced, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = await make_traced()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    with capture_logs() as logs:

        def told() -> list[str]:
            return [line["event"] for line in logs if line["log_level"] == "warning"]

        async with running(pipeline.settings):
            await pipeline.publish(order())
            await pipeline.until_status("paid_and_confirmed", "order-1")
            await pipeline.until_quiet()
            eventually(lambda: bool(told()), "said")
    said = told()
    assert len([text for text in said if text.startswith("the collector takes no traces")]) == 1
    assert said[-1] == "spans that were not sent"
