"""A steady stream of orders of every kind, published from a thread while a test restarts and migrates."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from deploy.running import id_source, now
from producers.checkout import Checkout
from producers.kafka_publisher import KafkaPublisher
from schemas.codec import Codec
from tests.e2e.deployment import Deployment
from tests.e2e.script import Order, write_script

TICK_S = 0.25
ORDERS_MAX = 200_000


class Stream:
    """per_s: how many orders a second. What has been published is in the deployment's list, in order."""

    def __init__(self, shop: Deployment, per_s: float, seed: int) -> None:
        self._shop = shop
        self._tick = max(1, round(per_s * TICK_S))
        self._script = iter(write_script(ORDERS_MAX, seed))
        self._stop = Event()
        self._error: BaseException | None = None

    def run(self) -> None:
        """Publish until it is stopped. An error is kept for who stops it."""
        try:
            asyncio.run(self._publish())
        except BaseException as error:  # noqa: BLE001 - it is raised where the stream is stopped
            self._error = error

    def stop(self) -> None:
        """Stop, or raise what kept it from publishing."""
        self._stop.set()
        if self._error is not None:
            raise self._error

    async def _publish(self) -> None:
        async with KafkaPublisher(self._shop.kafka) as publisher:
            while not self._stop.is_set():
                orders = [next(self._script) for _ in range(self._tick)]
                await self._send(publisher, orders)
                # A rate is kept by the clock: this is the load itself, and waits for nothing.
                await asyncio.sleep(TICK_S)

    async def _send(self, publisher: KafkaPublisher, orders: list[Order]) -> None:
        lines = [json.dumps(order.line()).encode() for order in orders]
        prepared = Checkout(Codec(prefix=self._shop.prefix), self._shop.prefix, now(), id_source()).prepare(lines)
        assert prepared.bad == []
        answer = await publisher.publish(prepared.messages)
        assert not answer.refused
        self._shop.published += orders


@contextmanager
def flowing(shop: Deployment, per_s: float, seed: int = 1) -> Iterator[Stream]:
    """Have orders flow while inside."""
    stream = Stream(shop, per_s, seed)
    thread = Thread(target=stream.run)
    thread.start()
    try:
        yield stream
    finally:
        stream._stop.set()
        thread.join()
    stream.stop()
