"""What traces cost a process, in CPU time of an order: `python -m tests.tracing.cost`. Not a test.

An order that is paid has three messages that we process, three events that we send and two calls. Measured are the
functions that tracing adds to them, called as the pipeline calls them, in rounds by turns: off (the branches alone), on
for an order that is not recorded, on for one that is. Recording includes what the exporter's thread does, up to the
bytes that are sent; sending them is one request for 512 spans.
"""

import statistics
import sys
from collections.abc import Callable, Sequence
from time import process_time, time_ns
from typing import Final

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from consumers.runtime.planning import step_of
from consumers.runtime.reading import Taken
from consumers.runtime.work import trace_of
from deploy.tracing.calls import CallTracer
from deploy.tracing.exporting import BoundedProcessor
from deploy.tracing.messages import MessageTracer
from deploy.tracing.recording import OtelRecorder
from deploy.tracing.telling import Ids
from domain.failure_codes import FailureCode
from domain.ids import OrderId, ReservationId
from domain.operation import OperationKind, operation_id
from domain.outcome import Declined
from domain.ports.source import Message
from domain.ports.store import Receipt
from domain.ports.tracing import Step, Tracer
from domain.stock_calls import StockCall
from domain.tracing import Trace, headers_of_trace, is_sampled, write_trace
from schemas.envelope import headers
from tests.consumers.orders import order

ROUNDS: Final = 15
ORDERS: Final = 400
MESSAGES, CALLS = 3, 2
MICROSECONDS: Final = 1_000_000

DECLINED: Final = Declined(next(iter(FailureCode)))

Measured = Callable[[], None]


class Encodes(SpanExporter):
    """Makes the bytes of a request, and forgets them."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        encode_spans(spans).SerializeToString()
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        pass


def branches(tracer: Tracer | None, taken: Taken) -> None:
    """Do what is done for each message while traces are off."""
    steps: list[Step] = []
    hop = None if tracer is None else tracer.hop(taken.message, taken.event)
    trace: Trace | None = (hop and hop.trace) or trace_of(None)
    for _ in range(2):  # of the decision, and of the answer's
        if trace is not None:
            raise AssertionError
    if taken.hop is not None and taken.hop.recorded:
        steps.append(step_of(taken, Receipt.NEW, None))
    if steps:
        raise AssertionError


def nothing(tracer: Tracer | None, taken: Taken) -> None:
    """Do nothing, as dearly as a call does."""


class Case:
    """One order's messages and calls."""

    def __init__(self, share: float, context: Trace | None) -> None:
        self.processor = BoundedProcessor(Encodes(), queue_max=10_000_000)
        recorder, ids = OtelRecorder(self.processor), Ids()
        event = order()
        carried = [] if context is None else headers_of_trace(context)
        self.message = Message("OrderConfirmed", 0, 0, b"order-1", b"x" * 300, [*headers(event), *carried], 0)
        self.taken = Taken(self.message, event, b"")
        self.tracer = MessageTracer(recorder, ids, time_ns, share)
        self.calls = CallTracer(recorder, ids, time_ns, "gateway", "sandbox")
        self.call = StockCall(
            operation_id(OrderId(event.order_id), 1, OperationKind.AUTHORIZE, 1),
            OperationKind.AUTHORIZE,
            "k",
            OrderId(event.order_id),
            ReservationId(event.event_id),
            trace=context,
        )

    def one(self) -> None:
        """Trace one order."""
        for _ in range(MESSAGES):
            hop = self.tracer.hop(self.message, self.taken.event)
            if hop is not None and hop.recorded:
                assert hop.trace is not None
                step = Step(self.message, self.taken.event, hop.trace, "new", None)
                self.tracer.processed("payments.authorize", time_ns(), [step])
        for _ in range(CALLS):
            if is_sampled(self.call.trace):
                self.calls._tell(time_ns(), self.call, "", DECLINED)


def cpu_us(work: Measured, times: int) -> float:
    began = process_time()
    for _ in range(times):
        work()
    return (process_time() - began) * MICROSECONDS / times


def main() -> None:
    recorded, left = Case(1, write_trace(5, 6, 1)), Case(0, None)
    taken = left.taken
    measured: dict[str, list[float]] = {"off": [], "on, not recorded": [], "on, recorded": []}
    for _ in range(ROUNDS):
        plain = cpu_us(lambda: nothing(None, taken), 50_000)
        measured["off"].append(MESSAGES * (cpu_us(lambda: branches(None, taken), 50_000) - plain))
        measured["on, not recorded"].append(cpu_us(left.one, 5 * ORDERS))
        began = process_time()
        for _ in range(ORDERS):
            recorded.one()
        recorded.processor.force_flush()
        measured["on, recorded"].append((process_time() - began) * MICROSECONDS / ORDERS)
    for name, found in measured.items():
        low, high = min(found), max(found)
        sys.stdout.write(f"{name}: {statistics.median(found):.2f} us an order ({low:.2f} to {high:.2f})\n")
    for case in (recorded, left):
        case.processor.end()


if __name__ == "__main__":
    main()
