"""Offsets are no counts: markers of transactions stand between messages, and an open one holds back what follows."""

from typing import Any

import pytest
from confluent_kafka import Producer
from structlog.testing import capture_logs

from consumers.adapters.kafka import transactions
from deploy.auditing import run_audit
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import Pipeline
from tests.consumers.orders import order
from tests.reading.world import alarms, publish_batch, topic_of, until_rung

pytestmark = pytest.mark.integration


def transactional(pipeline: Pipeline, name: str) -> Producer:
    producer = Producer(
        {
            "bootstrap.servers": pipeline.settings.kafka_bootstrap_servers,
            "transactional.id": pipeline.settings.topic_prefix + name,
        }
    )
    producer.init_transactions(20)
    return producer


def produce(pipeline: Pipeline, producer: Producer, *order_ids: str) -> None:
    for order_id in order_ids:
        body = pipeline.codec.encode(order(order_id))
        producer.produce(topic_of(pipeline), key=order_id.encode(), value=body, partition=0)
    producer.flush(20)


async def made(make_pipeline: MakePipeline) -> Pipeline:
    pipeline = await make_pipeline(topic_partitions=1)
    await pipeline.stock(SKU_1=1_000, SKU_2=1_000)
    return pipeline


async def audited(pipeline: Pipeline, **how: Any) -> Any:
    return await run_audit(pipeline.settings, ledger=pipeline.gateway, topics=True, **how)


@pytest.mark.parametrize("ends", ["commit", "abort"])
async def test_audit_comes_to_rest_behind_a_transaction(make_pipeline: MakePipeline, ends: str) -> None:
    pipeline = await made(make_pipeline)
    await pipeline.join()
    await publish_batch(pipeline, 0, [order("before")])
    producer = transactional(pipeline, ends)
    producer.begin_transaction()
    produce(pipeline, producer, "within-1", "within-2")
    if ends == "commit":
        producer.commit_transaction(20)
        await pipeline.until_status("paid_and_confirmed", "within-1", "within-2")
    else:
        producer.abort_transaction(20)
        await pipeline.until_status("paid_and_confirmed", "before")
    report = await audited(pipeline, wait_s=30)
    assert (report.quiescent, report.holds, report.waiting) == (True, True, ())
    assert (await pipeline.status("within-1") is None) is (ends == "abort")


async def test_open_transaction_is_no_stall_and_no_unrest(make_pipeline: MakePipeline) -> None:
    pipeline = await made(make_pipeline)
    with capture_logs() as log:
        await pipeline.join()
        await publish_batch(pipeline, 0, [order("before")])
        producer = transactional(pipeline, "open")
        producer.begin_transaction()
        produce(pipeline, producer, "within")
        await publish_batch(pipeline, 0, [order("behind")])
        await pipeline.until_status("paid_and_confirmed", "before")
        report = await audited(pipeline, wait_s=30)
        assert report.quiescent
        assert report.holds
        assert await pipeline.status("behind") is None
        producer.commit_transaction(20)
        await pipeline.until_status("paid_and_confirmed", "within", "behind")
    assert [entry for entry in log if entry.get("alarm")] == []
    assert alarms(log, "consumer_stalled") == []


async def test_many_transactions_are_read_whole(make_pipeline: MakePipeline) -> None:
    pipeline = await made(make_pipeline)
    producer = transactional(pipeline, "many")
    kept: list[str] = []
    for n in range(20):
        producer.begin_transaction()
        produce(pipeline, producer, f"order-{n}")
        if n % 3:
            producer.commit_transaction(20)
            kept.append(f"order-{n}")
        else:
            producer.abort_transaction(20)
    await pipeline.join()
    await pipeline.until_status("paid_and_confirmed", *kept)
    report = await audited(pipeline, wait_s=30)
    assert (report.quiescent, report.holds) == (True, True)
    assert await pipeline.value("SELECT count(*) FROM orders") == len(kept)


async def test_a_transaction_that_nobody_ends_is_an_alarm_until_it_has_ended(
    make_pipeline: MakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "OPEN_S", 0.5)
    pipeline = await made(make_pipeline)
    with capture_logs() as log:
        await pipeline.join()
        producer = transactional(pipeline, "forgotten")
        producer.begin_transaction()
        produce(pipeline, producer, "within")
        await publish_batch(pipeline, 0, [order("behind")])
        (rung,) = await until_rung(pipeline, log, "transaction_open")
        assert (rung["partition"], rung["offset"]) == (0, 0)
        producer.abort_transaction(20)
        await pipeline.until_status("paid_and_confirmed", "behind")

        async def told() -> bool:
            return any(entry["event"] == "going on" and entry["log_level"] == "info" for entry in log)

        await pipeline.until(told, "it is told that the transaction has ended")
        assert len(alarms(log, "transaction_open")) == 1
