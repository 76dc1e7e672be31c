"""Sends spans to a collector, beside the pipeline: it never waits for the collector, and forgets what is too much."""

import logging
import threading
from collections.abc import Sequence
from typing import Any, Final

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

QUEUE_MAX: Final = 8_192
"""Spans that wait or are being sent: some 25 MB, and all spans of some 500 orders."""
BATCH_MAX: Final = 512
SHUTDOWN_S: Final = 3.0
"""A process that ends waits so long for its last spans to be sent, and no longer."""


class Exporting(SpanExporter):
    """Counts what another exporter sends, and says once that it cannot. given: spans that were taken from the queue.

    export runs in the processor's thread, and nothing else changes the counts.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self.given = 0
        self.lost = 0
        self._exporter = exporter
        self._fails = False
        self._log = structlog.get_logger("deploy.tracing")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; those that the collector does not take are lost."""
        try:
            result = self._exporter.export(spans)
        except Exception as error:  # noqa: BLE001 - whatever it is, the pipeline goes on without these spans
            result = SpanExportResult.FAILURE
            self._log.debug("the exporter raised", error=type(error).__name__)
        self.given += len(spans)
        failed = result is not SpanExportResult.SUCCESS
        self.lost += len(spans) if failed else 0
        if failed and not self._fails:
            self._log.warning(
                "the collector takes no traces; they are lost until it does, and nothing else is affected: see "
                "OTEL_EXPORTER_OTLP_ENDPOINT"
            )
        elif self._fails and not failed:
            self._log.info("the collector takes traces again", lost=self.lost)
        self._fails = failed
        return result

    def shutdown(self) -> None:
        """Give up what is being sent."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is kept here."""
        return self._exporter.force_flush(timeout_millis)


class BoundedProcessor(BatchSpanProcessor):
    """Keeps at most QUEUE_MAX spans. More are dropped, which is counted, and said once.

    The library counts none, and warns again and again.
    """

    def __init__(self, exporter: SpanExporter, **bounds: Any) -> None:
        self.dropped = 0
        self._taken = 0
        self._queue_max = int(bounds.pop("queue_max", QUEUE_MAX))
        self._exporting = Exporting(exporter)
        # Twice: the library's own queue must never be the one that is full.
        batch = min(BATCH_MAX, self._queue_max)
        super().__init__(self._exporting, 2 * self._queue_max, max_export_batch_size=batch, **bounds)
        self._log = structlog.get_logger("deploy.tracing")

    def on_end(self, span: ReadableSpan) -> None:
        """Put a span into the queue, if there is room."""
        if self._taken - self._exporting.given < self._queue_max:
            self._taken += 1
            super().on_end(span)
            return
        self.dropped += 1
        if self.dropped == 1:
            self._log.warning(
                "more spans than can be sent: some are dropped, and the process says at its end how many; record fewer "
                "traces with PAYMENTS_OTEL_SAMPLE"
            )

    def end(self, most_s: float = SHUTDOWN_S) -> None:
        """Send what waits, for so long at most, and say how much was not sent."""
        # The library waits ten times as long, so it does so in a thread that ends with the process.
        ending = threading.Thread(target=self.shutdown, name="traces-end", daemon=True)
        ending.start()
        ending.join(most_s)
        lost = self._exporting.lost + (self._taken - self._exporting.given)
        if lost or self.dropped:
            self._log.warning("spans that were not sent", lost=lost, dropped=self.dropped)


def otlp_processor() -> BoundedProcessor:
    """Make what sends spans by OTLP over HTTP. Where to, and how, says the environment: OTEL_EXPORTER_OTLP_*.

    Raises ValueError for a value that the library refuses.
    """
    processor = BoundedProcessor(OTLPSpanExporter())
    # Until here it warns of values that it does not understand. Then it would log every failed try; we say once.
    for library in ("opentelemetry", "urllib3"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    return processor
