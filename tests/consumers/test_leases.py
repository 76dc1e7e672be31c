"""Two calls with one key are never under way at once, whatever a transaction waited for and whoever was frozen."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from consumers.order_confirmed import authorize_payment
from consumers.runtime.answers import Answer
from consumers.runtime.bounds import Bounds
from deploy.bounds import bounds_of
from deploy.settings import Settings
from domain.ids import OrderId
from domain.operation import OperationKind
from domain.outcome import NotExecuted, NotFound, Outcome, Unknown
from tests.consumers import harness
from tests.consumers.claims import assert_all_is_well
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import QUICK, WAIT_S, Pipeline
from tests.consumers.orders import order
from tests.consumers.test_answers import settle

pytestmark = pytest.mark.integration

LEASE_S = 2


@asynccontextmanager
async def kept_from_writing(pipeline: Pipeline, table: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """Have whoever writes into this table wait for as long as the block lasts."""
    async with await psycopg.AsyncConnection.connect(pipeline.settings.psycopg_url()) as holder:
        await holder.execute(f"LOCK TABLE {table} IN SHARE MODE".encode())
        yield holder


async def test_lease_that_ran_out_while_its_transaction_waited_for_a_lock_is_not_acted_on(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await make_pipeline(lease_s=LEASE_S, simulated_latency_ms=600)
    await pipeline.stock(SKU_1=10, SKU_2=10)
    waited = f"""SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'
                    AND datname = current_database() AND xact_start < now() - interval '{LEASE_S + 1} s'"""
    async with kept_from_writing(pipeline, "attempt"):
        await pipeline.join()
        await pipeline.publish(order())
        await pipeline.until(lambda: pipeline.has(waited), "a transaction that waits for longer than the lease")
    await pipeline.until_status("paid_and_confirmed", "order-1")
    await assert_all_is_well(pipeline)
    assert set(pipeline.gateway.together.values()) == {1}
    assert await pipeline.effects("order-1") == ["authorize", "capture"]


async def test_lease_that_is_given_back_late_stays_with_whoever_has_it_by_then(make_pipeline: MakePipeline) -> None:
    pipeline = await begun(make_pipeline)
    ours, theirs = pipeline.store(), pipeline.store()
    (mine,) = await ours.claim_due(10, 0.001)
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM operation WHERE due_at < now()"), "the lease's end")
    (other,) = await theirs.claim_due(10, 60)
    await ours.give_back([mine.operation])
    assert await pipeline.rows("SELECT due_at, tries FROM operation") == [(other.operation.due_at, 0)]
    await theirs.give_back([other.operation])
    assert await pipeline.has("SELECT 1 FROM operation WHERE due_at <= now()")


@pytest.mark.parametrize("outcome", [Unknown("time-out"), NotExecuted("HTTP 429"), NotFound()])
async def test_late_answer_that_says_nothing_for_sure_does_not_end_the_lease_of_another(
    make_pipeline: MakePipeline, outcome: Outcome
) -> None:
    pipeline = await begun(make_pipeline)
    (mine,) = await pipeline.store().claim_due(10, 0.001)
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM operation WHERE due_at < now()"), "the lease's end")
    (other,) = await pipeline.store().claim_due(10, 60)
    ids = OrderId("order-1"), mine.operation.operation_id
    engine = pipeline.engine(pipeline.store())
    await settle(engine, [Answer(*ids, outcome, mine.operation.due_at)])
    assert await pipeline.rows("SELECT due_at, tries FROM operation") == [(other.operation.due_at, 1)]
    await settle(engine, [Answer(*ids, outcome, other.operation.due_at)])
    assert await pipeline.has("SELECT 1 FROM operation WHERE due_at < now() + interval '30 s' AND tries = 2")


async def begun(make_pipeline: MakePipeline) -> Pipeline:
    """Make a pipeline with an operation whose process has died over its call."""
    pipeline = await make_pipeline()
    await pipeline.stock(SKU_1=10, SKU_2=10)
    pipeline.gateway.hangs_on = {OperationKind.AUTHORIZE: False}
    dying = await pipeline.join([authorize_payment], relay=False, sweep=False)
    await pipeline.publish(order())

    async def called() -> bool:
        return "order-1" in pipeline.gateway.performed

    await pipeline.until(called, "its call")
    await dying.crash()
    pipeline.gateway.hangs_on = {}
    await pipeline.end_leases()
    return pipeline


async def test_claims_whose_process_dies_before_the_call_use_up_no_tries(make_pipeline: MakePipeline) -> None:
    pipeline = await begun(make_pipeline)
    for _ in range(25):
        assert len(await pipeline.store().claim_due(10, 60)) == 1
        await pipeline.end_leases()
    pipeline.gateway.is_busy = True
    await pipeline.join()

    async def asked_twice() -> bool:
        return len(pipeline.gateway.asked) > 3

    await pipeline.until(asked_twice, "some calls")
    pipeline.gateway.is_busy = False
    await pipeline.until_status("paid_and_confirmed", "order-1")
    await assert_all_is_well(pipeline)
    tries = await pipeline.value("SELECT tries FROM operation WHERE kind = 'authorize'")
    # One call belongs to the process that died over it.
    assert tries == pipeline.gateway.performed["order-1"] - 1 - 1


async def test_call_without_an_answer_when_the_lease_ends_is_a_try_and_its_outcome_is_looked_up(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await make_pipeline(lease_s=4)  # longer than a busy machine takes for the capture
    await pipeline.stock(SKU_1=10, SKU_2=10)
    pipeline.gateway.hangs_on = {OperationKind.AUTHORIZE: True}
    await pipeline.join()
    await pipeline.publish(order())
    await pipeline.until_status("paid_and_confirmed", "order-1")
    await assert_all_is_well(pipeline)
    assert pipeline.gateway.performed["order-1"] == 2, "authorize and capture, once each"
    assert await pipeline.rows("SELECT kind, tries FROM operation ORDER BY kind") == [("authorize", 2), ("capture", 1)]


async def test_while_the_gateway_is_down_nobody_goes_to_a_person_for_tries_however_few_orders_wait(
    make_pipeline: MakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_a_quick_breaker(settings: Settings) -> Bounds:
        return replace(bounds_of(settings), breaker_failures=4, breaker_pause_s=0.02, breaker_pause_max_s=0.02)

    monkeypatch.setattr(harness, "bounds_of", with_a_quick_breaker)
    pipeline = await make_pipeline(tries_max=5)
    await pipeline.stock(SKU_1=10, SKU_2=10)
    pipeline.gateway.is_busy = True
    await pipeline.join()
    await pipeline.publish(order(), order("order-2"))

    async def asked_again_and_again() -> bool:
        return len(pipeline.gateway.asked) > 20

    await pipeline.until(asked_again_and_again, "more calls than an operation may have tries")
    pipeline.gateway.is_busy = False
    await pipeline.until_status("paid_and_confirmed", "order-1", "order-2")
    await assert_all_is_well(pipeline)
    assert await pipeline.value("SELECT max(tries) <= 5 FROM operation")


async def test_process_that_was_frozen_between_plan_and_call_for_longer_than_its_lease_does_not_call(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await make_pipeline(lease_s=LEASE_S)
    await pipeline.stock(SKU_1=10, SKU_2=10)
    settings = {
        **QUICK,
        "lease_s": LEASE_S,
        "database_url": pipeline.settings.sqlalchemy_url(),
        "kafka_bootstrap_servers": pipeline.settings.kafka_bootstrap_servers,
        "topic_prefix": pipeline.settings.topic_prefix,
    }
    frozen = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.consumers.freezing", json.dumps(settings), stdout=asyncio.subprocess.PIPE
    )
    assert frozen.stdout is not None
    try:
        await pipeline.publish(order())
        await pipeline.until(lambda: _is_stopped(frozen), "the process has stopped itself between plan and call")
        await pipeline.join()
        await pipeline.until_status("paid_and_confirmed", "order-1")
        frozen.send_signal(signal.SIGCONT)
        async with asyncio.timeout(WAIT_S):
            assert await frozen.stdout.readline() == b"given back\n"
    finally:
        frozen.kill()
        await frozen.wait()
    await assert_all_is_well(pipeline)


async def _is_stopped(process: asyncio.subprocess.Process) -> bool:
    assert process.returncode is None, "it has ended"
    stat = await asyncio.to_thread(Path(f"/proc/{process.pid}/stat").read_text)
    return stat.rsplit(")", 1)[1].split()[0] == "T"
