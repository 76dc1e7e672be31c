"""Makes OpenTelemetry's spans of what was told. Each begins and ends at once, with the times that it had."""

import os
import platform
from importlib.metadata import version
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace.status import Status, StatusCode

from deploy.tracing.conventions import ERROR_TYPE, SCHEMA_URL
from deploy.tracing.exporting import BoundedProcessor
from deploy.tracing.telling import LINKS_MAX, Kind, Told
from domain.tracing import Incoming

TEXT_MAX: Final = 256
"""Characters of an attribute. Ids and topics are shorter."""
ATTRIBUTES_MAX: Final = 24
_KINDS: Final = {
    Kind.INTERNAL: trace.SpanKind.INTERNAL,
    Kind.CLIENT: trace.SpanKind.CLIENT,
    Kind.CONSUMER: trace.SpanKind.CONSUMER,
}
_NO_PARENT: Final = Context()


class _GivenIds(IdGenerator):
    """Gives the ids of the context that was kept with events before its span was told."""

    def __init__(self) -> None:
        self.trace_id = self.span_id = 0

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        return self.span_id


class OtelRecorder:
    """deploy.tracing.telling.Recorder. Call it from one thread only: the event loop's."""

    def __init__(self, processor: BoundedProcessor) -> None:
        self._processor = processor
        self._ids = _GivenIds()
        provider = TracerProvider(
            sampler=ALWAYS_ON,  # who tells a span has decided
            resource=_resource(),
            shutdown_on_exit=False,
            id_generator=self._ids,
            span_limits=SpanLimits(
                max_attributes=ATTRIBUTES_MAX, max_attribute_length=TEXT_MAX, max_links=LINKS_MAX, max_events=1
            ),
        )
        provider.add_span_processor(processor)
        self._tracer = provider.get_tracer("payments", version("payments"), SCHEMA_URL)

    def record(self, told: Told) -> None:
        """Make a span, and put it into the queue."""
        self._ids.trace_id, self._ids.span_id = told.context.trace_id, told.context.span_id
        span = self._tracer.start_span(
            told.name,
            _NO_PARENT if told.parent is None else _context(told.parent),
            _KINDS[told.kind],
            told.attributes if told.error is None else {**told.attributes, ERROR_TYPE: told.error},
            [trace.Link(_span_context(link)) for link in told.links],
            told.began_ns,
        )
        if told.error is not None:
            span.set_status(Status(StatusCode.ERROR, told.error))
        span.end(max(told.ended_ns, told.began_ns))

    def end(self) -> None:
        """Send what waits, in bounded time."""
        self._processor.end()


def _context(parent: Incoming) -> Context:
    return trace.set_span_in_context(trace.NonRecordingSpan(_span_context(parent)), _NO_PARENT)


def _span_context(context: Incoming) -> trace.SpanContext:
    state = trace.TraceState.from_header([context.state]) if context.state else None
    return trace.SpanContext(
        context.trace_id,
        context.span_id,
        is_remote=True,
        trace_flags=trace.TraceFlags(context.flags),
        trace_state=state,
    )


def _resource() -> Resource:
    """Describe this process. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES come before our own words."""
    ours = {
        "service.name": "payments",
        "service.version": version("payments"),
        "service.instance.id": f"{platform.node()}-{os.getpid()}",
    }
    return Resource.create(ours, SCHEMA_URL).merge(OTELResourceDetector().detect())
