"""A storm of webhooks: doubled, shuffled, forged, among slow clients and huge bodies; every order comes out right."""

import asyncio
import contextlib
import random
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

import orjson
import pytest

from deploy.webhooks.endpoint import PATH
from deploy.webhooks.tally import Came
from domain.operation import OperationKind
from domain.outcome import Pending
from tests.consumers.conftest import MakePipeline
from tests.consumers.gateway import Said
from tests.consumers.harness import Pipeline
from tests.consumers.orders import order
from tests.webhooks.gateway import SECRET, Sender, endpoint, event, header, now_s

pytestmark = pytest.mark.integration

LONG_S: Final = 600.0
"""Longer than the storm: what ends sooner was woken."""
NAMES: Final = ("amount_capturable_updated", "succeeded", "requires_action", "payment_failed")
"""In no order that makes sense."""
SLOW: Final = 20
HUGE: Final = 5
HUGE_BYTES: Final = 1 << 20


@dataclass
class Storm:
    """What is sent. genuine: signed bodies, a third of them twice. forged: about orders that nothing else tells of.

    old: how many of the forged are rightly signed, an hour ago.
    """

    genuine: list[bytes] = field(default_factory=list)
    forged: list[tuple[bytes, str]] = field(default_factory=list)
    old: int = 0


def make_storm(intents: dict[str, str], told: list[str], victims: list[str], seed: int) -> Storm:
    """Make four events for each order that is told of, and as many forged ones as are a tenth of all."""
    draw, storm = random.Random(seed), Storm()
    for order_id in told:
        for name in NAMES:
            made = event(f"{order_id}_{name}", order_id, intents[order_id], f"payment_intent.{name}")
            storm.genuine.append(orjson.dumps(made))
    storm.genuine += draw.sample(storm.genuine, len(storm.genuine) // 3)
    draw.shuffle(storm.genuine)
    for number in range(len(told) * len(NAMES) // 9):
        victim = victims[number % len(victims)]
        body = orjson.dumps(event(f"forged_{number}", victim, intents[victim]))
        bad = (header(body, "whsec_guess"), header(body + b" "), "", header(body, at_s=now_s() - 3_600))
        storm.forged.append((body, bad[number % len(bad)]))
        storm.old += number % len(bad) == len(bad) - 1
    return storm


@contextlib.asynccontextmanager
async def slow_clients(sender: Sender) -> AsyncIterator[None]:
    """Hold connections that send a part of a head, or of a body."""
    host, _, port = sender.address.rpartition(":")
    held = [await asyncio.open_connection(host, int(port)) for _ in range(SLOW)]
    head = b"POST %s HTTP/1.1\r\nHost: x\r\n" % PATH.encode()
    for number, (_, writer) in enumerate(held):
        writer.write(head if number % 2 else head + b"Content-Length: 100\r\n\r\n{")
    try:
        yield
    finally:
        for _, writer in held:
            writer.close()


async def pending_orders(pipeline: Pipeline, *order_ids: str) -> dict[str, str]:
    """Have the gateway authorize these, and say that the answer comes later; return the transactions."""
    said = Said(OperationKind.AUTHORIZE, Pending(), executed=True)
    pipeline.gateway.says = dict.fromkeys(order_ids, said)
    await pipeline.publish(*map(order, order_ids))

    async def all_pending() -> bool:
        query = "SELECT count(*) FROM operation WHERE state = 'pending' AND due_at > now() + interval '2 minutes'"
        return bool(await pipeline.value(query) == len(order_ids))

    await pipeline.until(all_pending, "pending", timeout_s=60)
    pipeline.gateway.says = {}
    return {e.order_id: e.transaction_id for e in await pipeline.gateway.entries() if e.order_id}


async def blow(sender: Sender, storm: Storm, seed: int) -> float:
    """Send everything, shuffled, beside huge bodies; return how many events a second were answered."""
    loop = asyncio.get_running_loop()
    sends: list[tuple[bytes, str | None]] = [(body, None) for body in storm.genuine]
    sends += storm.forged
    random.Random(seed).shuffle(sends)

    async def one(body: bytes, signature: str | None) -> int:
        return await sender.post(body, signature)

    huge = [asyncio.create_task(huge_body(sender)) for _ in range(HUGE)]
    begun = loop.time()
    statuses = await asyncio.gather(*(one(*send) for send in sends))
    took_s = loop.time() - begun
    assert [task.split(b" ")[1] for task in await asyncio.gather(*huge)] == [b"413"] * HUGE
    expected = [200 if signature is None else 400 for _, signature in sends]
    assert statuses == expected
    return len(sends) / took_s


async def huge_body(sender: Sender) -> bytes:
    """Send the head of a request of 1 MB and as much of its body as is taken; return the answer."""
    host, _, port = sender.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    writer.write(head % (PATH.encode(), HUGE_BYTES))
    with contextlib.suppress(ConnectionError):
        writer.write(b"x" * HUGE_BYTES)
        await writer.drain()
    answer = await reader.readline()
    writer.close()
    return answer


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("events", "seed"), [(1_000, 1), pytest.param(10_000, 2, marks=pytest.mark.long)], ids=["short", "long"]
)
async def test_a_storm_leaves_every_order_right_and_accepts_nothing_forged(
    make_pipeline: MakePipeline, events: int, seed: int
) -> None:
    orders = events * 9 // 10 // len(NAMES)
    told, victims = [f"told-{n}" for n in range(orders)], [f"victim-{n}" for n in range(20)]
    pipeline = await make_pipeline(unknown_retry_s=LONG_S, backoff_max_s=LONG_S)
    await pipeline.stock(SKU_1=1_000_000, SKU_2=1_000_000)
    store = pipeline.store()
    await pipeline.join(ports={"notices": store.notices})
    intents = await pending_orders(pipeline, *told, *victims)
    storm = make_storm(intents, told, victims, seed)
    assert len(storm.forged) + len(told) * len(NAMES) >= events * 0.99
    async with endpoint(store.notices, SECRET, body_s=2, silent_s=2) as sender, slow_clients(sender):
        sys.stdout.write(f"{await blow(sender, storm, seed):.0f} events/s\n")
        counts = sender.tally.counts
        assert counts[Came.KEPT] == len(storm.genuine)
        assert (counts[Came.FORGED], counts[Came.TOO_OLD]) == (len(storm.forged) - storm.old, storm.old)
        assert counts[Came.TOO_LARGE] == HUGE

    async def all_paid() -> bool:
        return bool(await pipeline.value("SELECT count(*) FROM orders WHERE status = 'paid_and_confirmed'") == orders)

    await pipeline.until(all_paid, f"{orders} orders paid", timeout_s=300)
    assert await pipeline.value("SELECT count(*) FROM gateway_notice") == orders * len(NAMES)
    assert await pipeline.value("SELECT count(*) FROM gateway_notice WHERE notice_id LIKE '%forged%'") == 0
    effects = {entry.order_id: [e.kind for e in entry.effects] for entry in await pipeline.gateway.entries()}
    assert effects == {i: ["authorize", "capture"] for i in told} | {i: ["authorize"] for i in victims}
    assert await pipeline.value("SELECT count(*) FROM operation WHERE state = 'pending'") == len(victims)
