"""What a batch costs does not depend on how many orders it has: no statement, produce or commit for a message."""

import asyncio
import gc
import weakref
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from consumers.items_reserved import capture_payment
from consumers.order_confirmed import authorize_payment
from consumers.payment_authorized import reserve_items
from consumers.payment_failed import release_items
from consumers.reservation_failed import return_payment
from deploy.relaying import relay_of
from domain.ports.source import Message
from outbox.driver.exchange import Exchange
from outbox.store.transaction import PgTransaction
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import Pipeline
from tests.consumers.orders import order
from tests.consumers.sources import ListSource, consume, journal

pytestmark = pytest.mark.integration

COST_MAX = {
    "authorize_payment": {"statements": 22, "exchanges": 9, "commits": 2},
    "reserve_items": {"statements": 13, "exchanges": 4, "commits": 1},
    "capture_payment": {"statements": 28, "exchanges": 9, "commits": 3},
    "return_payment": {"statements": 16, "exchanges": 4, "commits": 2},
    "release_items": {"statements": 14, "exchanges": 4, "commits": 1},
    "relay": {"statements": 18, "exchanges": 3, "commits": 2, "produced": 16},
}
"""For one batch: what is planned and settled in it, and what comes of that. An exchange is a round trip; a COPY has its
own. The relay sends to eight topics of two; two thirds of its statements open its two sessions and its lease, once in
its life."""


class Counted(Counter[str]):
    """How often the drivers were asked; a statement over many rows of its own counts as many."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self._wrap(monkeypatch, psycopg.AsyncCursor, "execute", "statements")
        self._wrap(monkeypatch, psycopg.AsyncCursor, "copy", "statements")
        self._wrap(monkeypatch, psycopg.AsyncCursor, "executemany", "statements")
        self._wrap(monkeypatch, psycopg.AsyncConnection, "commit", "commits")
        self._wrap(monkeypatch, Exchange, "add", "statements")
        self._wrap_exchange(monkeypatch)
        self._wrap(monkeypatch, AIOKafkaProducer, "send", "produced")
        self._wrap(monkeypatch, AIOKafkaProducer, "send_batch", "produced")
        self._wrap(monkeypatch, AIOKafkaConsumer, "commit", "offsets")

    def _wrap(self, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, what: str) -> None:
        asked = getattr(owner, name)

        def ask(this: Any, *arguments: Any, **named: Any) -> Any:
            self[what] += len(arguments[1]) if name == "executemany" else 1
            return asked(this, *arguments, **named)

        monkeypatch.setattr(owner, name, ask)

    def _wrap_exchange(self, monkeypatch: pytest.MonkeyPatch) -> None:
        send = Exchange.send

        def sending(this: Exchange, *, commit: bool = False) -> Any:
            self["exchanges"] += bool(this) or commit
            self["commits"] += commit
            return send(this, commit=commit)

        monkeypatch.setattr(Exchange, "send", sending)

    def taken(self) -> dict[str, int]:
        """Return what was counted, and begin anew."""
        counted = dict(self)
        self.clear()
        return counted


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


async def cost_of(make_pipeline: MakePipeline, counted: Counted, orders: int) -> dict[str, dict[str, int]]:
    """Take so many orders through every step, one batch each; return what each step asked the database."""
    pipeline = await make_pipeline()
    await pipeline.stock(SKU_1=orders, SKU_2=orders)
    store = pipeline.store()
    messages = [_message(pipeline, n) for n in range(orders)]
    costs = {}
    for reaction in (authorize_payment, reserve_items, capture_payment, return_payment, release_items):
        source = ListSource(messages or await journal(pipeline, reaction), orders)
        messages = []
        counted.clear()
        await consume(pipeline.engine(store), reaction, source)
        costs[reaction.name] = counted.taken()
        assert source.commits == 1, "every step has its batch"
    counted.clear()
    assert await relay_of(pipeline.settings).once() == await pipeline.value("SELECT count(*) FROM event")
    costs["relay"] = counted.taken()
    outcomes = dict(await pipeline.rows("SELECT status, count(*) FROM orders GROUP BY 1"))
    assert outcomes.keys() == {"paid_and_confirmed", "payment_failed"}
    assert min(outcomes.values()) >= orders // 4
    return costs


def _message(pipeline: Pipeline, n: int) -> Message:
    """Make one of four that cannot be authorized, one that cannot be captured, and twice as many as there are goods."""
    token = {0: "pm_card_chargeDeclined", 1: "pm_fault_capture_refused"}.get(n % 4, "pm_card_visa")
    event = order(f"order-{n:04}", token)
    topic = pipeline.settings.topic_prefix + event.TYPE
    return Message(topic, 0, n, event.order_id.encode(), pipeline.codec.encode(event), (), 0)


@pytest.mark.parametrize("orders", [20, 200])
async def test_batch_costs_the_same_however_many_orders_it_has(
    make_pipeline: MakePipeline, counted: Counted, orders: int
) -> None:
    costs = await cost_of(make_pipeline, counted, orders)
    assert costs.keys() == COST_MAX.keys()
    for step, cost in costs.items():
        assert cost.keys() <= COST_MAX[step].keys(), step
        assert all(0 < cost[what] <= most for what, most in COST_MAX[step].items()), (step, cost)


@pytest.fixture
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def test_a_transaction_is_gone_without_the_garbage_collector(
    make_pipeline: MakePipeline, monkeypatch: pytest.MonkeyPatch, without_collector: None
) -> None:
    """It holds all orders of its batch, and the collector of a busy process hardly ever looks."""
    living: weakref.WeakSet[PgTransaction] = weakref.WeakSet()
    made: list[int] = []
    make = PgTransaction.__init__

    def note(self: PgTransaction, *arguments: Any, **named: Any) -> None:
        make(self, *arguments, **named)
        living.add(self)
        made.append(1)

    monkeypatch.setattr(PgTransaction, "__init__", note)
    pipeline = await make_pipeline()
    await pipeline.stock(SKU_1=30, SKU_2=30)
    store = pipeline.store()
    messages = [_message(pipeline, n) for n in range(30)]
    for reaction in (authorize_payment, reserve_items, capture_payment):
        await consume(pipeline.engine(store), reaction, ListSource(messages or await journal(pipeline, reaction), 30))
        messages = []

    assert len(made) >= 5
    assert list(living) == []


async def test_offsets_are_committed_for_a_batch_and_never_for_a_message(
    make_pipeline: MakePipeline, counted: Counted
) -> None:
    pipeline = await make_pipeline()
    await asyncio.gather(*(pipeline.publish(order(f"order-{n}")) for n in range(200)))
    counted.clear()
    await pipeline.join([authorize_payment], relay=False, sweep=False)
    await pipeline.until_taken()
    assert await pipeline.value("SELECT count(*) FROM orders") == 200
    assert 1 <= counted["offsets"] <= 10
