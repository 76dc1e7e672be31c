"""What a span says, and which are told."""

from collections.abc import Callable, Sequence

import pytest
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.semconv import schemas
from opentelemetry.semconv._incubating.attributes import messaging_attributes, service_attributes
from opentelemetry.semconv.attributes import db_attributes, error_attributes

from deploy.tracing import conventions
from deploy.tracing.batches import TracedPublisher
from deploy.tracing.exporting import otlp_processor
from deploy.tracing.messages import MessageTracer, trace_id_of
from deploy.tracing.recording import OtelRecorder
from deploy.tracing.telling import LINKS_MAX, Ids, Kind, Told
from domain.ports.publisher import Interrupted, OutgoingMessage, Published, Refusal, Scope, always
from domain.ports.source import Message
from domain.ports.tracing import PassesOn
from domain.tracing import headers_of_trace, write_trace
from schemas.events import Event
from tests.consumers.orders import cancel, order, retry
from tests.schemas.builders import stock_adjusted
from tests.tracing.collector import Collector


class Notes:
    """A recorder that keeps what it hears."""

    def __init__(self) -> None:
        self.told: list[Told] = []

    def record(self, told: Told) -> None:
        self.told.append(told)


class Says:
    """A publisher that does as the test says."""

    def __init__(self, says: Published | Exception) -> None:
        self._says = says

    async def publish(self, messages: Sequence[OutgoingMessage], *, allowed: Callable[[], bool] = always) -> Published:
        if isinstance(self._says, Exception):
            raise self._says
        return self._says

    async def close(self) -> None:
        pass


def message(headers: Sequence[tuple[str, bytes | None]] = ()) -> Message:
    return Message("OrderConfirmed", 0, 0, b"order-1", b"", headers, 0)


def tracer(share: float) -> MessageTracer:
    return MessageTracer(Notes(), Ids(), lambda: 0, share)


def outgoing(number: int, topic: str = "T", *, sampled: bool = True) -> OutgoingMessage:
    kept = write_trace(number + 1, number + 1, int(sampled))
    return OutgoingMessage(number, topic, b"k", b"v", [("ce_id", b"1"), *headers_of_trace(kept)])


async def publish(messages: Sequence[OutgoingMessage], says: Published | Exception) -> list[Told]:
    notes = Notes()
    publisher = TracedPublisher(Says(says), notes, Ids(), lambda: 7)
    if isinstance(says, Exception):
        with pytest.raises(type(says)):
            await publisher.publish(messages)
    else:
        assert await publisher.publish(messages) is says
    return notes.told


def test_names_are_those_of_the_version_that_is_told() -> None:
    known = {
        value
        for module in (messaging_attributes, service_attributes, db_attributes, error_attributes)
        for value in vars(module).values()
        if isinstance(value, str)
    }
    names = {v for k, v in vars(conventions).items() if isinstance(v, str) and "." in v and not k.startswith("_")}
    names -= {conventions.SCHEMA_URL, conventions.__file__, conventions.__name__, conventions.__doc__}
    assert names - known == set(conventions.OURS)
    assert schemas.Schemas.V1_44_0.value == conventions.SCHEMA_URL


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 1])
def test_share_is_decided_as_opentelemetry_decides_it(share: float) -> None:
    sampler, mine = TraceIdRatioBased(share), tracer(share)
    recorded = 0
    for n in range(500):
        event = order(f"order-{n}")
        theirs = sampler.should_sample(None, trace_id_of(event), "x").decision.is_sampled()  # type: ignore[no-untyped-call]
        hop = mine.hop(message(), event)
        assert (hop is not None and hop.recorded) is theirs
        recorded += theirs
    assert recorded == pytest.approx(500 * share, abs=50)


def test_messages_of_an_order_without_a_context_share_a_trace_and_others_have_their_own() -> None:
    events: list[Event] = [order(), retry(), cancel()]
    assert len({trace_id_of(event) for event in events}) == 1
    others: list[Event] = [order("order-2"), stock_adjusted(event_id=order("a").event_id), stock_adjusted()]
    assert len({trace_id_of(event) for event in (*events, *others)}) == 4


@pytest.mark.parametrize("share", [0, 1])
def test_context_that_came_decides_whatever_the_share(share: float) -> None:
    for flags in (0, 1, 2, 3):
        kept = write_trace(5, 6, flags, "a=1")
        hop = tracer(share).hop(message(headers_of_trace(kept)), order())
        assert hop is not None
        assert hop.trace is not None
        assert hop.recorded is bool(flags & 1)
        assert hop.trace.startswith(f"00-{5:032x}-")
        assert hop.trace.endswith(f"-{flags:02x} a=1")
        assert (hop.trace == kept) is not hop.recorded
        passed = PassesOn().hop(message(headers_of_trace(kept)), order())
        assert passed is not None
        assert (passed.trace, passed.recorded) == (kept, False)
    assert PassesOn().hop(message(), order()) is None


async def test_links_of_a_turn_are_bounded_and_the_rest_is_counted() -> None:
    messages = [outgoing(n) for n in range(2_000)]
    send, turn = await publish(messages, Published([m.id for m in messages]))
    assert (send.name, turn.name, turn.kind, send.kind) == ("send T", "relay turn", Kind.INTERNAL, Kind.CLIENT)
    assert len(send.links) == len(turn.links) == LINKS_MAX
    assert send.attributes["messaging.batch.message_count"] == 2_000
    assert send.parent == turn.context


async def test_turn_without_a_recorded_message_is_not_told() -> None:
    plain = OutgoingMessage(1, "T", b"k", b"v", [("ce_id", b"1")])
    assert await publish([plain, outgoing(2, sampled=False)], Published([1, 2])) == []


async def test_refusal_and_outage_are_errors_of_the_send() -> None:
    messages = [outgoing(1, "A"), outgoing(2, "B")]
    refused = Published([1], {2: Refusal("too large", Scope.MESSAGE)})
    told = {one.name: one.error for one in await publish(messages, refused)}
    assert told == {"send A": None, "send B": "produce_refused", "relay turn": None}
    told = {one.name: one.error for one in await publish(messages, Interrupted("down", Published([1])))}
    assert told == dict.fromkeys(["send A", "send B", "relay turn"], "Interrupted")


def test_span_reaches_the_collector_with_version_service_and_times(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "tea-shop")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret")
    processor = otlp_processor()
    recorder = OtelRecorder(processor)
    parent = Ids().root()
    own = Ids().child_of(parent)
    recorder.record(
        Told("work", Kind.CLIENT, own, parent, 1_000, 2_000, {"a": "x" * 1_000, "n": 1}, [parent], "broken")
    )
    recorder.record(Told("back", Kind.INTERNAL, Ids().root(), None, 2_000, 1_000, {}))
    processor.end()
    work, back = collector.spans
    assert (work.trace, work.id, work.parent) == (
        f"{own.trace_id:032x}",
        f"{own.span_id:016x}",
        f"{parent.span_id:016x}",
    )
    assert (work.began_ns, work.ended_ns, work.kind, work.error) == (1_000, 2_000, "CLIENT", "broken")
    assert work.attributes == {"a": "x" * 256, "n": 1, "error.type": "broken"}
    assert work.links == ((f"{parent.trace_id:032x}", f"{parent.span_id:016x}"),)
    assert (work.resource["service.name"], work.resource["deployment.environment.name"]) == ("tea-shop", "test")
    assert work.schema == conventions.SCHEMA_URL
    assert back.began_ns == back.ended_ns == 2_000
    assert {name.lower(): value for name, value in collector.headers[0].items()}["x-key"] == "secret"
