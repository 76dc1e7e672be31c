"""From spans to the steps of an order, none left out: together they are the whole latency. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

Span = Mapping[str, Any]

FETCH, PLAN, CALL, SETTLE, RELAY, ACKNOWLEDGE = "fetch", "plan", "call", "settle", "relay", "acknowledgement"
KINDS: Final = (FETCH, PLAN, CALL, SETTLE, RELAY, ACKNOWLEDGE)
"""fetch: from the acknowledgement of a message (of the first: when it was due) until its transaction begins. plan:
that transaction. call: from its commit until the gateway's answer. settle: until that transaction's commit. relay:
from the commit until the relay begins to send. acknowledgement: until Kafka has answered."""
WAY: Final = (("OrderConfirmed", "authorize"), ("PaymentAuthorized", None), ("ItemsReserved", "capture"))
"""Topics of a paid order, and what is called at the gateway when it is there."""
OUTCOME: Final = "PaidAndConfirmed"


@dataclass(frozen=True, slots=True)
class Step:
    """One step. topic: of the message that it is part of, without prefix. ms: below 0 where steps overlap."""

    topic: str
    kind: str
    ms: float


@dataclass(frozen=True, slots=True)
class Published:
    """A paid order. due_ns, seen_ns: nanoseconds since 1970."""

    order_id: str
    due_ns: int
    seen_ns: int


@dataclass(slots=True)
class Spans:
    """Spans, so that those of one order are found. All lists are in the order of time."""

    processed: dict[tuple[str, str], Span]
    called: dict[tuple[str, str], Span]
    sent: dict[tuple[str, str], list[Span]]
    committed: dict[str, list[Span]]

    @classmethod
    def of(cls, spans: Iterable[Span], prefix: str) -> "Spans":
        """Sort them. The first of a kind counts: a message that comes again is not what the order waits for."""
        found = cls({}, {}, {}, {})
        for span in sorted(spans, key=lambda span: int(span["began_ns"])):
            kind, _, what = span["name"].partition(" ")
            if kind == "process":
                found.processed.setdefault((span["order_id"], what.removeprefix(prefix)), span)
            elif kind == "gateway":
                found.called.setdefault((span["order_id"], what), span)
            elif kind == "send":
                for trace in span["links"]:
                    found.sent.setdefault((trace, what.removeprefix(prefix)), []).append(span)
            elif kind == "transaction":
                for trace in span["links"]:
                    found.committed.setdefault(trace, []).append(span)
        return found

    def steps_of(self, order: Published) -> list[Step] | None:
        """Return the steps of a paid order. None: a span of it is missing."""
        times: list[tuple[str, str, int]] = []
        for (topic, call), (after, _) in pairwise((*WAY, (OUTCOME, None))):
            processed = self.processed.get((order.order_id, topic))
            if processed is None:
                return None
            times += [(topic, FETCH, processed["began_ns"]), (topic, PLAN, processed["ended_ns"])]
            decided = processed["ended_ns"]
            if call is not None:
                called = self.called.get((order.order_id, call))
                settled = called and self._next(self.committed.get(processed["trace"]), called["ended_ns"], "ended_ns")
                if called is None or settled is None:
                    return None
                decided = settled["ended_ns"]
                times += [(topic, CALL, called["ended_ns"]), (topic, SETTLE, decided)]
            sent = next(iter(self.sent.get((processed["trace"], after), ())), None)
            if sent is None:
                return None
            times += [(after, RELAY, sent["began_ns"]), (after, ACKNOWLEDGE, sent["ended_ns"])]
        times.append((OUTCOME, FETCH, order.seen_ns))
        begun = [order.due_ns, *(at for *_, at in times[:-1])]
        return [Step(topic, kind, (at - since) / 1e6) for (topic, kind, at), since in zip(times, begun, strict=True)]

    @staticmethod
    def _next(spans: Sequence[Span] | None, at_ns: int, field: str) -> Span | None:
        """Return the first span whose field is at this time or later."""
        return next((span for span in spans or () if span[field] >= at_ns), None)
