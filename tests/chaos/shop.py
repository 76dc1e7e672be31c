"""Checkout and storefront: orders at a steady rate, whatever becomes of them, and customers who pay again."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Final
from uuid import UUID

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from tests.chaos import avro, messages
from tests.chaos.clock import unix_micros, unix_s
from tests.chaos.outlet import Outlet
from tests.chaos.published import Published, Sent
from tests.chaos.script import Also, Order

LOOK_S: Final = 0.05
METADATA_S: Final = 5.0
FAILED: Final = "PaymentFailed"


class Shop:
    """Publishes a script. pace: orders a second, asked again all the time. Each stand-in has a thread of its own."""

    def __init__(
        self, bootstrap: str, prefix: str, published: Published, orders: Iterator[Order], pace: Callable[[], float]
    ) -> None:
        self._bootstrap = bootstrap
        self._topic = prefix + FAILED
        self._published = published
        self._orders = orders
        self._pace = pace
        self.outlet = Outlet(bootstrap, prefix, published)
        self.confirmed = 0
        self.exhausted = threading.Event()
        self._stop = threading.Event()
        self._asked: set[tuple[str, int]] = set()
        self._threads = [
            threading.Thread(target=work, name=name, daemon=True)
            for name, work in (("checkout", self._check_out), ("storefront", self._watch_failures))
        ]

    def start(self) -> None:
        """Open the shop."""
        for thread in self._threads:
            thread.start()

    def stop_orders(self) -> None:
        """Confirm no more orders; customers may still pay again."""
        self._stop.set()
        self._threads[0].join()

    def close(self) -> None:
        """Close the shop. May be repeated."""
        self._stop.set()
        self._closing = True
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        self.outlet.close()

    _closing = False

    def confirm(self, order: Order, outlet: Outlet | None = None, partition: int | None = None) -> None:
        """Publish an order, and what its script says besides, once the broker has it."""
        self._published.script(order)
        said = messages.confirmed(order, unix_micros())
        if partition is not None:
            said = replace(said, partition=partition)
        (outlet or self.outlet).send(said, lambda sent: self._publish_besides(order, sent))

    def _publish_besides(self, order: Order, sent: Sent) -> None:
        match order.kind.also:
            case Also.AGAIN:
                self.outlet.send(messages.again(sent.message))
                self.outlet.send(messages.once_more(order, unix_micros()))
            case Also.CHANGED:
                self.outlet.send(messages.other_content(order, unix_micros()))
            case Also.SAME_EVENT_ID:
                self.outlet.send(messages.same_event_id(order, unix_micros(), sent.partition))
            case Also.NOTHING | Also.CLICKED_TWICE:
                pass

    def _check_out(self) -> None:
        due_s = unix_s()
        for order in self._orders:
            while (wait_s := due_s - unix_s()) > 0:
                if self._stop.wait(min(wait_s, LOOK_S)):
                    return
            self.confirm(order)
            self.confirmed += 1
            due_s += 1 / self._pace()
        self.exhausted.set()

    def _watch_failures(self) -> None:
        """Have every customer whose payment failed pay again, if the script says so."""
        consumer = Consumer(
            {
                "bootstrap.servers": self._bootstrap,
                "group.id": "storefront",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )
        try:
            while not (partitions := self._partitions(consumer)):
                if self._closing:
                    return
            consumer.assign([TopicPartition(self._topic, number, OFFSET_BEGINNING) for number in partitions])
            while not self._closing:
                read = consumer.poll(LOOK_S)
                if read is not None and read.error() is None:
                    self._pay_again(avro.decode(FAILED, read.value()))
        finally:
            consumer.close()

    def _partitions(self, consumer: Consumer) -> list[int]:
        """Name the partitions of PaymentFailed; none while the broker is away."""
        with suppress(KafkaException):
            return list(consumer.list_topics(self._topic, timeout=METADATA_S).topics[self._topic].partitions)
        return []

    def _pay_again(self, failed: dict[str, object]) -> None:
        order_id, attempt = str(failed["order_id"]), int(str(failed["attempt"]))
        order = self._published.order(order_id)
        if order is None or attempt >= len(order.kind.tokens) or (order_id, attempt) in self._asked:
            return
        self._asked.add((order_id, attempt))
        number = random.Random(f"{order_id} after {attempt}").getrandbits(128)
        said = messages.retry(order, attempt, unix_micros(), str(UUID(int=number, version=4)))
        self.outlet.send(said)
        if order.kind.also is Also.CLICKED_TWICE:
            twice = messages.retry(order, attempt, unix_micros(), str(UUID(int=number ^ 1, version=4)))
            self.outlet.send(replace(twice, what=messages.What.REPEAT, title="clicked twice"))
