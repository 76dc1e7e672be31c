"""Kafka transactions of an upstream producer: one that stays open for a while, one that is aborted."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Final

from confluent_kafka import KafkaException, Producer

from tests.chaos import messages
from tests.chaos.clock import unix_micros, unix_s
from tests.chaos.faults.scene import Scene
from tests.chaos.messages import Message, What
from tests.chaos.outlet import settings
from tests.chaos.published import Sent
from tests.chaos.script import Script
from tests.chaos.world import PARTITIONS

ORDERS: Final = 3
ANSWER_S: Final = 60.0
TIMEOUT_MS: Final = 60_000


class Transaction:
    """An open transaction on one partition of OrderConfirmed, and what lies in it."""

    def __init__(self, scene: Scene, partition: int, **more: Any) -> None:
        self.partition = partition
        self.sent: list[Sent] = []
        self._scene = scene
        self._topic = scene.topic(messages.ORDER)
        own = {"transactional.id": f"upstream-{scene.name}", "transaction.timeout.ms": TIMEOUT_MS}
        self._producer = Producer(settings(scene.world.bootstrap, **own, **more))
        scene.insist(lambda: self._producer.init_transactions(ANSWER_S))
        self._producer.begin_transaction()

    def send(self, *said: Message) -> None:
        """Send, and wait for the acknowledgements. Raises KafkaException if one does not come."""
        wanted = len(self.sent) + len(said)
        for message in said:
            self._producer.produce(
                self._topic,
                message.value,
                message.key,
                self.partition,
                on_delivery=partial(self._note, message),
                headers=list(message.headers),
            )
        left = self._producer.flush(ANSWER_S)
        if left or len(self.sent) < wanted:
            raise KafkaException(f"{left} messages of a transaction were not acknowledged")

    def commit(self) -> bool:
        """Commit; tell whether that is sure. What is not is judged by what lies on the topic."""
        try:
            self._producer.commit_transaction(ANSWER_S)
        except KafkaException as error:
            self._scene.notes.append(f"not sure to be committed: {error}")
            return False
        return True

    def abort(self) -> None:
        """Abort; if the broker does not hear it, it aborts by itself when the transaction's time is over."""
        try:
            self._producer.abort_transaction(ANSWER_S)
        except KafkaException as error:
            self._scene.notes.append(f"left to be aborted: {error}")

    def _note(self, message: Message, error: Any, sent: Any) -> None:
        if error is None:
            self.sent.append(Sent(message, sent.topic(), sent.partition(), sent.offset(), 0, self._scene.fault.number))


@contextmanager
def hold_open(scene: Scene) -> Iterator[None]:
    """Hold a transaction open: everything behind it on its partition waits, then flows again."""
    transaction = _begin(scene, What.ORDER)
    try:
        yield
    finally:
        what = What.ORDER if transaction.commit() else What.UNSURE
        _publish(scene, transaction, what)


@contextmanager
def abort(scene: Scene) -> Iterator[None]:
    """Abort a transaction: what lies in it was never said."""
    transaction = _begin(scene, What.ABORTED)
    try:
        yield
    finally:
        transaction.abort()
        _publish(scene, transaction, What.ABORTED)


def _begin(scene: Scene, what: What) -> Transaction:
    transaction = Transaction(scene, scene.draw.randrange(PARTITIONS))
    scene.places = frozenset({(scene.topic(messages.ORDER), transaction.partition)})
    said = made(scene.stage.script, scene.name, ORDERS, what)
    for order, _ in said:
        scene.stage.published.script(order)
    transaction.send(*(message for _, message in said))
    return transaction


def made(script: Script, name: str, count: int, what: What) -> list[tuple[Any, Message]]:
    """Write orders and say them."""
    return [(order, replace(messages.confirmed(order, unix_micros()), what=what)) for order in script.more(name, count)]


def _publish(scene: Scene, transaction: Transaction, what: What) -> None:
    at = unix_s()
    for sent in transaction.sent:
        scene.stage.published.add(replace(sent, at=at, message=replace(sent.message, what=what)))
