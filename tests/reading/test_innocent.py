"""A thousand orders over twelve partitions, twenty unreadable batches on three: the innocent do not notice."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from structlog.testing import capture_logs

from schemas.events import OrderConfirmed
from tests.consumers.harness import Pipeline, now, open_pipeline
from tests.consumers.orders import order
from tests.reading.world import alarms, committed, publish_batch, segment, topic_of

pytestmark = [pytest.mark.alone, pytest.mark.integration, pytest.mark.timeout(240)]

BAD = (2, 5, 9)
GOOD = tuple(n for n in range(12) if n not in BAD)
BEFORE, VICTIMS, BEHIND = 20, 5, 5
BAD_BATCHES = {2: 12, 5: 7, 9: 1}
FLOWING = 1_000 - 3 * (BEFORE + BEHIND) - 20 * VICTIMS
A_TURN, TURN_S = 2, 0.05
FLOOR_S = 0.3
"""Below that a percentile on a machine that others use says nothing."""


class Run:
    """One run: what was published before the consumers, and what flows while they run."""

    def __init__(self, pipeline: Pipeline, name: str) -> None:
        self.pipeline = pipeline
        self._name = name
        self.before: list[str] = []
        self.flowing: dict[str, Any] = {}
        self.first_bad: dict[int, int] = {}

    def _orders(self, what: str, count: int) -> list[OrderConfirmed]:
        return [order(f"{self._name}-{what}-{n}") for n in range(count)]

    async def lay_out(self, data_dir: Path, *, damaged: bool) -> None:
        """Publish on the three partitions: orders, the batches to be damaged, and orders behind them."""
        for partition in BAD:
            first = self._orders(f"before-{partition}", BEFORE)
            await publish_batch(self.pipeline, partition, first)
            self.before += [said.order_id for said in first]
            places = []
            for n in range(BAD_BATCHES[partition]):
                victims = self._orders(f"victim-{partition}-{n}", VICTIMS)
                places.append(await publish_batch(self.pipeline, partition, victims))
            await publish_batch(self.pipeline, partition, self._orders(f"behind-{partition}", BEHIND))
            self.first_bad[partition] = places[0][0]
            if damaged:
                bad = segment(self.pipeline, data_dir, partition)
                for n, batch in enumerate([bad.at(at) for at, _ in places]):
                    [bad.flip, bad.garble][n % 2](batch)
                if partition == BAD[-1]:
                    bad.say_length(bad.at(places[-1][0]), 0)

    async def flow(self) -> None:
        """Publish the rest on the other nine partitions, at a steady rate."""
        rest = self._orders("flowing", FLOWING)
        loop = asyncio.get_running_loop()
        started = loop.time()
        async with AIOKafkaProducer(acks="all", **self.pipeline.settings.kafka_options()) as producer:
            for turn, at in enumerate(range(0, len(rest), A_TURN)):
                # A rate is kept by the clock: nothing is waited for here.
                await asyncio.sleep(max(0, started + turn * TURN_S - loop.time()))
                await asyncio.gather(
                    *(self._send(producer, n, said) for n, said in enumerate(rest[at : at + A_TURN], at))
                )

    async def _send(self, producer: AIOKafkaProducer, number: int, said: OrderConfirmed) -> None:
        body = self.pipeline.codec.encode(said.model_copy(update={"occurred_at": now()}))
        partition = GOOD[number % len(GOOD)]
        await producer.send_and_wait(topic_of(self.pipeline), body, key=said.order_id.encode(), partition=partition)
        self.flowing[said.order_id] = now()

    async def p99_s(self) -> float:
        """Return the 99th percentile of the time from the broker's word to the order paid."""
        rows = await self.pipeline.rows(
            "SELECT order_id, updated_at FROM orders WHERE order_id = ANY(%s)", list(self.flowing)
        )
        waits = sorted((at - self.flowing[order_id]).total_seconds() for order_id, at in rows)
        assert len(waits) == FLOWING
        return float(waits[int(len(waits) * 0.99)])


async def played(stack: AsyncExitStack, places: Sequence[str], name: str, data_dir: Path, *, damaged: bool) -> Run:
    """Lay out, join, have the rest flow, and wait until the innocent are paid."""
    database_url, bootstrap, prefix = places
    pipeline = await stack.enter_async_context(
        open_pipeline(database_url, bootstrap, f"{prefix}{name}.", topic_partitions=12)
    )
    await pipeline.rows(
        "INSERT INTO stock SELECT sku, 100000, 0, 0 FROM (VALUES ('SKU-1'), ('SKU-2')) s (sku) ON CONFLICT DO NOTHING"
    )
    run = Run(pipeline, name)
    await run.lay_out(data_dir, damaged=damaged)
    member = await pipeline.join()
    await run.flow()
    await pipeline.until_status("paid_and_confirmed", *run.before, *run.flowing)
    if not damaged:
        await member.leave()
    return run


async def test_innocent_orders_are_paid_as_quickly_as_ever_while_the_unreadable_wait(
    database_url: str,
    kafka_bootstrap: str,
    topic_prefix: str,
    data_dir: Path,
    record_property: Callable[[str, object], None],
) -> None:
    places = (database_url, kafka_bootstrap, topic_prefix)
    async with AsyncExitStack() as stack:
        with capture_logs() as log:
            good = await played(stack, places, "good", data_dir, damaged=False)
            bad = await played(stack, places, "bad", data_dir, damaged=True)
            rung = {(a["partition"], a["offset"]) for a in alarms(log, "unreadable")}
        assert rung == set(bad.first_bad.items())
        found = await committed(bad.pipeline)
        assert {partition: found[partition] for partition in BAD} == bad.first_bad
        assert await bad.pipeline.value("SELECT count(*) FROM orders WHERE order_id LIKE 'bad-victim%%'") == 0
        assert await bad.pipeline.dead_letters() == []
        normal_s, damaged_s = await good.p99_s(), await bad.p99_s()
        record_property("p99_without_s", normal_s)
        record_property("p99_with_s", damaged_s)
        assert damaged_s <= max(2 * normal_s, FLOOR_S), f"p99 without {normal_s:.3f} s, with {damaged_s:.3f} s"
