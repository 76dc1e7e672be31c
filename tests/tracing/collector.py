"""A collector for OTLP over HTTP on this machine. It decodes what it gets by the protocol's own package."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Proto

PATH = "/v1/traces"


@dataclass(frozen=True, slots=True)
class Span:
    """A span as it came. Ids in hex; parent: empty for the first of a trace. links: pairs of trace and span."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    began_ns: int
    ended_ns: int
    attributes: Mapping[str, str | int]
    links: tuple[tuple[str, str], ...]
    error: str | None
    state: str
    resource: Mapping[str, str | int]
    schema: str


class Collector:
    """What it got. status: what it answers; while `held` is clear it does not answer at all."""

    def __init__(self) -> None:
        self.status = 200
        self.held = threading.Event()
        self.held.set()
        self.requests = 0
        self.bodies: list[bytes] = []
        self.headers: list[Mapping[str, str]] = []
        self.url = ""

    @property
    def spans(self) -> list[Span]:
        """Return all spans, as they came."""
        found: list[Span] = []
        for body in list(self.bodies):
            request = ExportTraceServiceRequest.FromString(body)
            for of_resource in request.resource_spans:
                for of_scope in of_resource.scope_spans:
                    found += [_span(of_resource, of_scope, span) for span in of_scope.spans]
        return found

    def take(self, body: bytes, headers: Mapping[str, str]) -> int:
        """Take a request; return the status of its answer."""
        self.requests += 1
        self.held.wait()
        if self.status == 200:
            self.headers.append(headers)
            self.bodies.append(body)
        return self.status


def _span(of_resource: ResourceSpans, of_scope: ScopeSpans, span: Proto) -> Span:
    return Span(
        span.name,
        Proto.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        {one.key: _value(one.value) for one in span.attributes},
        tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        span.status.message if span.status.code == 2 else None,
        span.trace_state,
        {one.key: _value(one.value) for one in of_resource.resource.attributes},
        of_scope.schema_url,
    )


def _value(value: AnyValue) -> str | int:
    return value.int_value if value.WhichOneof("value") == "int_value" else value.string_value


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status = collector.take(body, dict(self.headers)) if self.path == PATH else 404
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the library names it
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        collector.url = f"http://127.0.0.1:{server.server_address[1]}"
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield collector
        finally:
            collector.held.set()
            server.shutdown()
            serving.join()
