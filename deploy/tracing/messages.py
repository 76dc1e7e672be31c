"""Which messages are traced, and the span of each that was processed."""

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final

from deploy.tracing import conventions as c
from deploy.tracing.telling import Ids, Kind, Recorder, Told
from domain.ports.source import Message
from domain.ports.tracing import Hop, Step
from domain.tracing import SAMPLED, read_headers, read_trace, write_trace
from schemas.events import Event, OrderEvent

_LOW: Final = (1 << 64) - 1
PROCESS: Final = "process"


def trace_id_of(event: Event) -> int:
    """Derive the trace of a message that came without one: the same for all such messages of an order.

    So a retry or a cancellation without a context, days later, is in the trace of its order, and is recorded if that
    one was. What is about no order has a trace of its own.
    """
    name = event.order_id if isinstance(event, OrderEvent) else str(event.event_id)
    digest = sha256(f"{'order' if isinstance(event, OrderEvent) else 'event'}:{name}".encode()).digest()
    return int.from_bytes(digest[:16], "big") or 1


class MessageTracer:
    """domain.ports.tracing.Tracer. share: of the traces that begin here, from 0 to 1, by their ids.

    A message with a context is recorded if its context says so.
    """

    def __init__(self, recorder: Recorder, ids: Ids, clock_ns: Callable[[], int], share: float) -> None:
        self._recorder = recorder
        self._ids = ids
        self.clock_ns = clock_ns
        self._below = round(share * (_LOW + 1))

    def hop(self, message: Message, event: Event) -> Hop | None:
        """Decide whether a message is traced."""
        found = read_headers(message.headers)
        if found is None:
            trace_id = trace_id_of(event)
            if trace_id & _LOW >= self._below:
                return None
            return Hop(write_trace(trace_id, self._ids.span_id(), SAMPLED), recorded=True)
        if not found.sampled:
            return Hop(write_trace(*found), recorded=False)
        return Hop(write_trace(*self._ids.child_of(found)), recorded=True)

    def processed(self, group: str, began_ns: int, steps: Sequence[Step]) -> None:
        """Tell the spans of a batch."""
        ended_ns = self.clock_ns()
        for step in steps:
            context = read_trace(step.trace)
            if context is not None:
                message = step.message
                self._recorder.record(
                    Told(
                        f"{PROCESS} {message.topic}",
                        Kind.CONSUMER,
                        context,
                        read_headers(message.headers),
                        began_ns,
                        ended_ns,
                        _attributes(group, step),
                        error=step.refused,
                    )
                )


def _attributes(group: str, step: Step) -> dict[str, str | int]:
    """Return ids and places only. The key of a message is the id of its order or SKU, or it would have been refused."""
    message, event = step.message, step.event
    attributes: dict[str, str | int] = {
        c.MESSAGING_SYSTEM: c.KAFKA,
        c.MESSAGING_OPERATION_NAME: PROCESS,
        c.MESSAGING_OPERATION_TYPE: PROCESS,
        c.MESSAGING_DESTINATION_NAME: message.topic,
        c.MESSAGING_DESTINATION_PARTITION_ID: str(message.partition),
        c.MESSAGING_CONSUMER_GROUP_NAME: group,
        c.MESSAGING_KAFKA_OFFSET: message.offset,
        c.MESSAGING_KAFKA_MESSAGE_KEY: event.subject,
        c.MESSAGING_MESSAGE_ID: str(event.event_id),
        c.MESSAGING_MESSAGE_BODY_SIZE: len(message.value or b""),
    }
    if isinstance(event, OrderEvent):
        attributes[c.ORDER_ID] = event.order_id
    if step.receipt is not None:
        attributes[c.RECEIPT] = step.receipt
    return attributes
