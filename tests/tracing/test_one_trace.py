"""An order is one trace over all hops, whatever happens on the way."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

import pytest

from deploy.redriving import redriver_of
from outbox.operators.republishing import Window, republish
from schemas.envelope import headers
from schemas.events import Event
from schemas.topics import topic_name
from tests.consumers.harness import Pipeline, now
from tests.consumers.orders import cancel, order, retry
from tests.tracing.collector import Collector, Span
from tests.tracing.conftest import MakeTraced
from tests.tracing.running import relaying, running

pytestmark = pytest.mark.integration

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"
DECLINED = "pm_card_chargeDeclinedInsufficientFunds"
BATCHES = {"transaction", "relay turn"}


async def publish(pipeline: Pipeline, event: Event, *context: tuple[str, bytes]) -> None:
    """Publish with these headers besides."""
    with_headers = [*headers(event), *context]
    await pipeline.publish_raw(event.TYPE, event.subject.encode(), pipeline.codec.encode(event), with_headers)


def in_order(spans: Sequence[Span]) -> list[Span]:
    """Return what is no batch, by time."""
    return sorted((s for s in spans if s.name not in BATCHES and not s.name.startswith("send")), key=by_time)


def by_time(span: Span) -> int:
    return span.began_ns


def hops(pipeline: Pipeline, spans: Sequence[Span]) -> list[tuple[str, str]]:
    """Return each span's name without the topics' prefix, with that of its parent; empty for one from outside."""
    names = {span.id: span.name.replace(pipeline.settings.topic_prefix, "") for span in spans}
    return [(names[span.id], names.get(span.parent, "")) for span in in_order(spans)]


async def test_paid_order_is_one_trace_with_its_calls_in_it(make_traced: MakeTraced, collector: Collector) -> None:
    pipeline = await make_traced()
    async with running(pipeline.settings):
        await publish(pipeline, order(), ("traceparent", SAMPLED.encode()))
        await pipeline.until_status("paid_and_confirmed", "order-1")
        await pipeline.until_quiet()
    spans = in_order(collector.spans)
    assert {span.trace for span in spans} == {TRACE}
    assert spans[0].parent == PARENT
    assert hops(pipeline, spans) == [
        ("process OrderConfirmed", ""),
        ("gateway authorize", "process OrderConfirmed"),
        ("process PaymentAuthorized", "process OrderConfirmed"),
        ("process ItemsReserved", "process PaymentAuthorized"),
        ("gateway capture", "process ItemsReserved"),
    ]
    assert [span.kind for span in spans] == ["CONSUMER", "CLIENT", "CONSUMER", "CONSUMER", "CLIENT"]
    assert all(span.began_ns <= span.ended_ns and span.error is None for span in collector.spans)
    # Whoever reads the outcome is in the same trace, below what decided it.
    (paid,) = await pipeline.topics("PaidAndConfirmed")
    assert paid.header["traceparent"].decode() == f"00-{TRACE}-{spans[3].id}-01"


async def test_failed_order_is_one_trace_to_the_message_to_the_customer(
    make_traced: MakeTraced, collector: Collector
) -> None:
    pipeline = await make_traced()
    async with running(pipeline.settings):
        await publish(pipeline, order(token=DECLINED), ("traceparent", SAMPLED.encode()))
        await pipeline.until_told("PAYMENT_FAILED")
        await pipeline.until_quiet()
    # The last two are told at the same time, by two consumers.
    assert sorted(hops(pipeline, collector.spans)) == [
        ("gateway authorize", "process OrderConfirmed"),
        ("process CustomerNotificationRequested", "process OrderConfirmed"),
        ("process OrderConfirmed", ""),
        ("process PaymentFailed", "process OrderConfirmed"),
    ]
    assert {span.trace for span in in_order(collector.spans)} == {TRACE}


async def test_order_retry_and_cancel_without_a_context_are_one_trace_of_their_own(
    make_traced: MakeTraced, collector: Collector
) -> None:
    pipeline = await make_traced()
    async with running(pipeline.settings):
        await pipeline.publish(order(token=DECLINED))
        await pipeline.until_status("payment_failed", "order-1")
        await pipeline.publish(retry())
        await pipeline.until_status("paid_and_confirmed", "order-1")
        await pipeline.publish(cancel())
        await pipeline.until_status("cancelled", "order-1")
        await pipeline.until_quiet()
    spans = in_order(collector.spans)
    (trace,) = {span.trace for span in spans}
    assert trace != TRACE
    roots = [name for name, parent in hops(pipeline, spans) if not parent]
    assert roots == ["process OrderConfirmed", "process PaymentRetryRequested", "process OrderCancelRequested"]
    calls = [(name, parent) for name, parent in hops(pipeline, spans) if name.startswith("gateway")]
    assert calls == [
        ("gateway authorize", "process OrderConfirmed"),
        ("gateway authorize", "process PaymentRetryRequested"),
        ("gateway capture", "process ItemsReserved"),
        ("gateway refund", "process OrderCancelRequested"),
    ]


async def test_redelivered_message_is_told_again_and_starts_nothing(
    make_traced: MakeTraced, collector: Collector
) -> None:
    pipeline = await make_traced()
    async with running(pipeline.settings):
        for _ in range(2):
            await publish(pipeline, order(), ("traceparent", SAMPLED.encode()))
            await pipeline.until_status("paid_and_confirmed", "order-1")
        await pipeline.until_quiet()
    first = [span for span in in_order(collector.spans) if span.name.endswith("OrderConfirmed")]
    assert [span.attributes["payments.receipt"] for span in first] == ["new", "known"]
    assert {(span.trace, span.parent) for span in first} == {(TRACE, PARENT)}
    assert len({span.id for span in first}) == 2
    assert Counter(span.name for span in collector.spans)["gateway authorize"] == 1
    assert {span.parent for span in collector.spans if span.name == "gateway authorize"} == {first[0].id}


async def test_call_of_the_sweep_is_in_the_trace_of_what_planned_it(
    make_traced: MakeTraced, collector: Collector
) -> None:
    pipeline = await make_traced()
    async with running(pipeline.settings):
        await publish(pipeline, order(token="pm_fault_timeout_after"), ("traceparent", SAMPLED.encode()))
        await pipeline.until_status("paid_and_confirmed", "order-1")
        await pipeline.until_quiet()
    found = hops(pipeline, collector.spans)
    assert ("gateway look_up authorize", "process OrderConfirmed") in found
    calls = [s for s in in_order(collector.spans) if s.name == "gateway authorize"]
    assert [(s.error, s.attributes["error.type"], s.attributes["payments.outcome"]) for s in calls] == [
        ("unknown", "unknown", "unknown")
    ]
    assert ("process PaymentAuthorized", "process OrderConfirmed") in found
    assert {span.trace for span in in_order(collector.spans)} == {TRACE}


async def test_context_waits_in_the_outbox_and_is_sent_unchanged_each_time(
    make_traced: MakeTraced, collector: Collector
) -> None:
    pipeline = await make_traced()
    state = ("tracestate", b"vendor=1,other=a:b")
    async with running(pipeline.settings, relay=False):
        await publish(pipeline, order(token=DECLINED), ("traceparent", SAMPLED.encode()), state)
        await pipeline.until_status("payment_failed", "order-1")
    ((kept,),) = await pipeline.rows("SELECT DISTINCT trace_context FROM event WHERE topic LIKE '%%PaymentFailed'")
    processed = in_order(collector.spans)[0]
    assert kept == f"00-{TRACE}-{processed.id}-01 vendor=1,other=a:b"
    assert processed.state == "vendor=1,other=a:b"
    async with relaying(pipeline.settings):
        await pipeline.until(lambda: pipeline.has("SELECT 1 WHERE NOT EXISTS (SELECT FROM outbox)"), "sent")
    topic = topic_name(pipeline.settings.topic_prefix, "PaymentFailed")
    window = Window([topic], now() - timedelta(hours=1), None)
    assert pipeline._database is not None
    sent = await republish(pipeline._database, window, lambda _: None, dry_run=False)
    assert sent == {topic: 1}
    async with relaying(pipeline.settings):
        await pipeline.until(lambda: pipeline.has("SELECT 1 WHERE NOT EXISTS (SELECT FROM outbox)"), "sent again")
    first, again = await pipeline.topics("PaymentFailed")
    assert first.headers == again.headers
    assert first.header["traceparent"].decode() == kept.split(" ")[0]
    assert first.header["tracestate"].decode() == kept.split(" ")[1]
    sends = [s for s in collector.spans if s.name == f"send {topic}"]
    assert [s.links for s in sends] == [((TRACE, processed.id),)] * 2


async def test_batches_are_traces_of_their_own_linked_to_their_messages(
    make_traced: MakeTraced, collector: Collector
) -> None:
    pipeline = await make_traced()
    async with running(pipeline.settings):
        await publish(pipeline, order(), ("traceparent", SAMPLED.encode()))
        await pipeline.until_status("paid_and_confirmed", "order-1")
        await pipeline.until_quiet()
    spans = collector.spans
    of_order = {(span.trace, span.id) for span in in_order(spans)}
    batches = [span for span in spans if span.name in BATCHES]
    assert {span.name for span in batches} == BATCHES
    assert all(span.parent == "" and span.trace != TRACE for span in batches)
    assert len({span.trace for span in batches}) == len(batches)
    assert all(span.links and set(span.links) <= of_order for span in batches)
    turns = {span.id: span.trace for span in batches if span.name == "relay turn"}
    sends = [span for span in spans if span.name.startswith("send ")]
    assert sends
    assert all(turns[span.parent] == span.trace and span.kind == "CLIENT" for span in sends)


async def test_unsampled_orders_send_nothing_and_keep_what_came(make_traced: MakeTraced, collector: Collector) -> None:
    pipeline = await make_traced(share=0)
    async with running(pipeline.settings):
        await publish(pipeline, order("with"), ("traceparent", UNSAMPLED.encode()))
        await publish(pipeline, order("without"))
        await pipeline.until_status("paid_and_confirmed", "with", "without")
        await pipeline.until_quiet()
    assert collector.requests == 0
    kept = await pipeline.rows("SELECT DISTINCT order_id, trace_context FROM event ORDER BY order_id")
    assert kept == [("with", UNSAMPLED), ("without", None)]
    paid = {read.key: read.header.get("traceparent") for read in await pipeline.topics("PaidAndConfirmed")}
    assert paid == {b"with": UNSAMPLED.encode(), b"without": None}


async def test_forged_contexts_stop_no_order_and_are_forgotten(make_traced: MakeTraced, collector: Collector) -> None:
    forged = [
        b"",
        b"\xff\x00" * 20,
        b"00-" + b"0" * 32 + b"-" + PARENT.encode() + b"-01",
        SAMPLED.upper().encode(),
        SAMPLED.encode() + b"-more",
        b"ff" + SAMPLED[2:].encode(),
        b"0" * 100_000,
    ]
    pipeline = await make_traced()
    names = [f"order-{n}" for n in range(len(forged) + 1)]
    async with running(pipeline.settings):
        for name, value in zip(names, forged, strict=False):
            state = ("tracestate", b"x" * 5_000)
            await publish(pipeline, order(name, token=DECLINED), ("traceparent", value), state)
        twice = ("traceparent", SAMPLED.encode())
        await publish(pipeline, order(names[-1], token=DECLINED), twice, twice)
        await pipeline.until_status("payment_failed", *names)
        await pipeline.until_quiet()
    firsts = [span for span in in_order(collector.spans) if span.name.endswith("OrderConfirmed")]
    assert len({span.trace for span in firsts}) == len(names)
    assert all(span.parent == "" and span.state == "" and span.trace != TRACE for span in firsts)


async def test_redriven_letter_carries_its_own_context_on(make_traced: MakeTraced, collector: Collector) -> None:
    pipeline = await make_traced()
    async with running(pipeline.settings):
        await publish(pipeline, cancel(), ("traceparent", SAMPLED.encode()))
        await pipeline.until(lambda: pipeline.has("SELECT 1 FROM dead_letter"), "given up")
        ((letter,),) = await pipeline.rows("SELECT id FROM dead_letter")
        await pipeline.publish(order(token=DECLINED))
        await pipeline.until_status("payment_failed", "order-1")
        async with redriver_of(pipeline.settings, by="tester", dry_run=False) as redriver:
            assert (await redriver.redrive(letter)).done
    assert await pipeline.rows("SELECT trace_context FROM event WHERE topic LIKE '%%OrderCancelled'") == [(SAMPLED,)]


async def test_nothing_of_a_customer_or_a_card_is_told(make_traced: MakeTraced, collector: Collector) -> None:
    pipeline = await make_traced()
    event = order(customer_id="customer-who-hides", correlation_id="correlation-who-hides")
    async with running(pipeline.settings):
        card = ("tracestate", b"shop=4242424242424242")
        await publish(pipeline, event, ("traceparent", SAMPLED.encode()), card)
        await pipeline.until_status("paid_and_confirmed", "order-1")
        await pipeline.until_quiet()
    told = b"".join(collector.bodies)
    assert b"order-1" in told
    for secret in (b"customer-who-hides", b"correlation-who-hides", b"pm_card_visa", b"4242", b"3080"):
        assert secret not in told
    ((transaction_id,),) = await pipeline.rows("SELECT DISTINCT transaction_id FROM attempt")
    assert transaction_id.encode() not in told
    assert await pipeline.rows("SELECT 1 FROM event WHERE trace_context LIKE '%%4242%%'") == []
