"""Records with headers that clients stumble over: the record is judged by its body, and nobody waits for it."""

import time
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c
from confluent_kafka import Producer

from deploy.auditing import run_audit
from deploy.kafka_topics import KafkaTopics
from producers.unchecked import encode_unchecked
from tests.consumers.claims import assert_all_is_well
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import CRC_AT, Pipeline
from tests.consumers.orders import order
from tests.reading.world import AUTHORIZE, ORDERS, publish_batch, topic_of

pytestmark = pytest.mark.integration

NAME = "unreadable"


async def publish_around(pipeline: Pipeline, partition: int, *values: tuple[str, bytes | None, bool]) -> None:
    """Publish one batch of (key, value, whether a header's name is no text)."""
    async with AIOKafkaProducer(acks="all", **pipeline.settings.kafka_options()) as producer:
        batch = producer.create_batch()
        for key, value, bad in values:
            headers = [(NAME, b"x")] if bad else []
            batch.append(key=key.encode(), value=value, timestamp=None, headers=headers)
        raw = batch._build()
        raw[:] = bytes(raw).replace(NAME.encode(), b"\xff" * len(NAME))
        raw[CRC_AT : CRC_AT + 4] = int(calc_crc32c(bytes(raw[CRC_AT + 4 :]))).to_bytes(4, "big")
        await (await producer.send_batch(batch, topic_of(pipeline), partition=partition))


def encoded(pipeline: Pipeline, order_id: str) -> tuple[str, bytes]:
    return order_id, pipeline.codec.encode(order(order_id))


async def test_orders_in_one_batch_with_a_header_that_is_no_text_are_paid(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(topic_partitions=1)
    await pipeline.stock(SKU_1=100, SKU_2=100)
    await publish_around(
        pipeline,
        0,
        (*encoded(pipeline, "before"), False),
        (*encoded(pipeline, "with-it"), True),
        ("order-x", b"garbage", True),
        (*encoded(pipeline, "behind"), False),
    )
    await pipeline.join()
    await pipeline.until_status("paid_and_confirmed", "before", "with-it", "behind")
    await pipeline.until_quiet()
    ((reason, key, body, names),) = await pipeline.rows("SELECT reason, key, body, header_names FROM dead_letter")
    assert (reason, key, body, names) == ("undecodable", b"order-x", b"garbage", ["payments_note"])
    report = await run_audit(pipeline.settings, topics=True, wait_s=20, ledger=pipeline.gateway)
    assert report.holds


@pytest.mark.parametrize("bad", [0, 60])
async def test_orders_flow_at_full_speed_beside_headers_that_are_no_text(make_pipeline: MakePipeline, bad: int) -> None:
    """The build before read one record a second on each partition that was idle: 1.7 to 10 orders a second."""
    pipeline = await make_pipeline(topic_partitions=12)
    await pipeline.stock(SKU_1=10_000, SKU_2=10_000)
    ids = [f"order-{n}" for n in range(300)]
    for at in range(0, len(ids), 5):
        partition = at // 5 % 11
        await publish_batch(pipeline, partition, [order(order_id) for order_id in ids[at : at + 5]])
        if at // 5 < bad:
            await publish_around(pipeline, 3, (f"bad-{at}", b"garbage", True))
    started = time.monotonic()
    await pipeline.join()
    await pipeline.until_status("paid_and_confirmed", *ids)
    assert time.monotonic() - started < 15
    await pipeline.until_quiet()
    assert await pipeline.dead_letters() == [(AUTHORIZE.group, "undecodable")] * bad


async def test_headers_without_a_value_are_kept_and_sent_so(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(topic_partitions=1)
    await pipeline.stock(SKU_1=100, SKU_2=100)
    said = order("order-1").model_dump(mode="json") | {"total_minor": 1}
    wrong = encode_unchecked(ORDERS, said)
    headers: Any = [("ce_time", None), ("note", None), ("empty", b"")]
    producer = Producer({"bootstrap.servers": pipeline.settings.kafka_bootstrap_servers})
    for key, value in ((b"order-1", wrong), (None, None), (b"order-2", pipeline.codec.encode(order("order-2")))):
        producer.produce(topic_of(pipeline), key=key, value=value, headers=headers)
    assert producer.flush(20) == 0
    await pipeline.join()
    await pipeline.until_status("paid_and_confirmed", "order-2")
    await assert_all_is_well(pipeline)
    kept = await pipeline.rows("SELECT reason, header_names, header_values FROM dead_letter ORDER BY message_offset")
    assert kept == [
        ("total_mismatch", ["ce_time", "note", "empty"], [None, None, b""]),
        ("undecodable", ["ce_time", "note", "empty"], [None, None, b""]),
    ]
    copies = await pipeline.topics(ORDERS, dead_letters=True)
    assert [copy.headers[:3] for copy in copies] == [tuple(headers)] * 2
    report = await run_audit(pipeline.settings, topics=True, wait_s=20, ledger=pipeline.gateway)
    assert report.holds
    assert report.quiescent
    read = [m async for group in KafkaTopics(pipeline.settings).messages() for m in group]
    assert [m.headers for m in read if m.topic == topic_of(pipeline)] == [tuple(headers)] * 3
