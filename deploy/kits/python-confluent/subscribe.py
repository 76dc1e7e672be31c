"""Subscribes to PaidAndConfirmed, OrderCancelled and PaymentFailed, with effect once. Runs until SIGTERM.

Any error ends the process; its supervisor starts it again. Nothing is lost by that, because offsets are committed after
effects. What comes again is known by its event id.
"""

import os
import signal
from threading import Event as Flag
from time import monotonic
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from psycopg import Connection, connect
from psycopg.types.json import Jsonb

import environment
from contract import Contract

KAFKA: Final = environment.kafka()
DATABASE: Final = environment.database()
PREFIX: Final = os.environ.get("TOPIC_PREFIX", "")
SCHEMAS: Final = environment.schemas()
GROUP: Final = os.environ.get("GROUP_ID") or "delivery.dispatch"
COMMIT_INTERVAL_S: Final = environment.milliseconds("COMMIT_INTERVAL_MS", 1000) / 1000
SESSION_TIMEOUT_MS: Final = environment.milliseconds("SESSION_TIMEOUT_MS", 10000)
PLAY_MONEY: Final = os.environ.get("PLAY_MONEY") == "1"
RECORDS_MAX: Final = 200
WAIT_S: Final = 0.2
SETTINGS: Final = {
    "bootstrap.servers": KAFKA,
    "group.id": GROUP,
    "auto.offset.reset": "earliest",
    "enable.auto.commit": False,
    "session.timeout.ms": SESSION_TIMEOUT_MS,
    "heartbeat.interval.ms": SESSION_TIMEOUT_MS // 5,
}
REFUSED: Final = {
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError._ASSIGNMENT_LOST,  # noqa: SLF001 - librdkafka's own codes begin with an underscore
}
"""Why a commit may be refused after a rebalance."""

RECEIVED: Final = """
    insert into delivery.received (event_id, event_type) values (%s, %s)
    on conflict (event_id) do update set deliveries = received.deliveries + 1
    returning deliveries"""
LOCK: Final = "select pg_advisory_xact_lock(hashtextextended(%s, 0))"
"""PaidAndConfirmed and OrderCancelled of an order are on two topics: two processes may have them at the same moment."""
DISPATCH: Final = """
    insert into delivery.dispatch (event_id, order_id, amount_minor, currency, lines, state)
    values (%s, %s, %s, %s, %s,
            case when exists (select from delivery.cancel where order_id = %s) then 'cancelled' else 'to_send' end)"""
CANCEL: Final = "insert into delivery.cancel (event_id, order_id, request_id) values (%s, %s, %s)"
STOP: Final = """
    update delivery.dispatch set state = case state when 'sent' then 'recall' else 'cancelled' end
    where order_id = %s and state in ('to_send', 'sent')"""
FAILURE: Final = """
    insert into delivery.failure (event_id, order_id, stage, failure_code, retryable) values (%s, %s, %s, %s, %s)"""

Event = dict[str, Any]


def dispatch(database: Connection[Any], event: Event) -> None:
    """Have the goods of a paid order sent, unless it is cancelled already. Orders paid with play money are not sent."""
    if event["livemode"] or PLAY_MONEY:
        order_id, lines = event["order_id"], Jsonb(event["lines"])
        database.execute(LOCK, (order_id,))
        row = (event["event_id"], order_id, event["amount_minor"], event["currency"], lines, order_id)
        database.execute(DISPATCH, row)


def cancel(database: Connection[Any], event: Event) -> None:
    """Stop the goods of a cancelled order. Those that were handed over are to be called back."""
    order_id = event["order_id"]
    database.execute(LOCK, (order_id,))
    database.execute(CANCEL, (event["event_id"], order_id, event["request_id"]))
    database.execute(STOP, (order_id,))


def note_failure(database: Connection[Any], event: Event) -> None:
    """Note that an order is not paid."""
    row = (event["event_id"], event["order_id"], event["stage"], event["failure_code"], event["retryable"])
    database.execute(FAILURE, row)


EFFECTS: Final = {"PaidAndConfirmed": dispatch, "OrderCancelled": cancel, "PaymentFailed": note_failure}


def receive(database: Connection[Any], name: str, event: Event) -> None:
    """Store the event's id and its effect in one transaction. An id that is there already has no effect.

    Another process that has the same event at this moment waits for the row of its id.
    """
    with database.transaction():
        row = database.execute(RECEIVED, (event["event_id"], name)).fetchone()
        if row is not None and row[0] == 1:
            EFFECTS[name](database, event)


class Offsets:
    """What has had its effect, but is not committed yet."""

    def __init__(self) -> None:
        self._done: dict[tuple[str, int], int] = {}
        self._committed_at = monotonic()

    def note(self, topic: str, partition: int, offset: int) -> None:
        """Note that everything before this offset has had its effect."""
        self._done[topic, partition] = offset

    def commit_when_due(self, consumer: Consumer) -> None:
        """Commit at most every COMMIT_INTERVAL_S seconds."""
        if monotonic() - self._committed_at >= COMMIT_INTERVAL_S:
            self.commit(consumer)

    def commit(self, consumer: Consumer) -> None:
        """Commit what is done. After a rebalance it may be refused: then it comes again, and has no effect."""
        ours = {(one.topic, one.partition) for one in consumer.assignment()}
        done = [TopicPartition(*where, offset) for where, offset in self._done.items() if where in ours]
        self._done, self._committed_at = {}, monotonic()
        if not done:
            return
        try:
            consumer.commit(offsets=done, asynchronous=False)
        except KafkaException as refused:
            if refused.args[0].code() not in REFUSED:
                raise
            print(f"commit refused: {refused}", flush=True)


def subscribe() -> None:
    """Receive events until SIGTERM; then commit, and leave the group."""
    stopping = Flag()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    contract, offsets, consumer = Contract(SCHEMAS), Offsets(), Consumer(SETTINGS)
    consumer.subscribe(
        [PREFIX + name for name in EFFECTS],
        on_assign=lambda _, assigned: print(f"assigned: {len(assigned)} partitions", flush=True),
        # Commit before another process gets these partitions.
        on_revoke=lambda leaving, _: offsets.commit(leaving),
    )
    with connect(DATABASE, autocommit=True) as database:
        try:
            while not stopping.is_set():
                for message in consumer.consume(RECORDS_MAX, WAIT_S):
                    if (error := message.error()) is not None:
                        raise KafkaException(error)
                    topic, partition, offset = message.topic(), message.partition(), message.offset()
                    assert topic is not None and partition is not None and offset is not None  # noqa: PT018 - all or none
                    name = topic.removeprefix(PREFIX)
                    receive(database, name, contract.decode(name, message.value()))
                    offsets.note(topic, partition, offset + 1)
                offsets.commit_when_due(consumer)
            offsets.commit(consumer)
        finally:
            consumer.close()


if __name__ == "__main__":
    subscribe()
