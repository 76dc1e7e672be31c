"""Subscribes to PaidAndConfirmed, OrderCancelled and PaymentFailed, with effect once. Runs until SIGTERM.

Any error ends the process; its supervisor starts it again. Nothing is lost by that, because offsets are committed after
effects. What comes again is known by its event id.
"""

import asyncio
import os
import signal
from collections.abc import Iterable
from time import monotonic
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError
from psycopg import AsyncConnection
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
WAIT_MS: Final = 200

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


async def dispatch(database: AsyncConnection[Any], event: Event) -> None:
    """Have the goods of a paid order sent, unless it is cancelled already. Orders paid with play money are not sent."""
    if event["livemode"] or PLAY_MONEY:
        order_id, lines = event["order_id"], Jsonb(event["lines"])
        await database.execute(LOCK, (order_id,))
        row = (event["event_id"], order_id, event["amount_minor"], event["currency"], lines, order_id)
        await database.execute(DISPATCH, row)


async def cancel(database: AsyncConnection[Any], event: Event) -> None:
    """Stop the goods of a cancelled order. Those that were handed over are to be called back."""
    order_id = event["order_id"]
    await database.execute(LOCK, (order_id,))
    await database.execute(CANCEL, (event["event_id"], order_id, event["request_id"]))
    await database.execute(STOP, (order_id,))


async def note_failure(database: AsyncConnection[Any], event: Event) -> None:
    """Note that an order is not paid."""
    row = (event["event_id"], event["order_id"], event["stage"], event["failure_code"], event["retryable"])
    await database.execute(FAILURE, row)


EFFECTS: Final = {"PaidAndConfirmed": dispatch, "OrderCancelled": cancel, "PaymentFailed": note_failure}


async def receive(database: AsyncConnection[Any], name: str, event: Event) -> None:
    """Store the event's id and its effect in one transaction. An id that is there already has no effect.

    Another process that has the same event at this moment waits for the row of its id.
    """
    async with database.transaction():
        cursor = await database.execute(RECEIVED, (event["event_id"], name))
        row = await cursor.fetchone()
        if row is not None and row[0] == 1:
            await EFFECTS[name](database, event)


class Offsets(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """What has had its effect, but is not committed yet."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._done: dict[TopicPartition, int] = {}
        self._committed_at = monotonic()

    def note(self, partition: TopicPartition, offset: int) -> None:
        """Note that everything before this offset has had its effect."""
        self._done[partition] = offset

    async def commit_when_due(self) -> None:
        """Commit at most every COMMIT_INTERVAL_S seconds."""
        if monotonic() - self._committed_at >= COMMIT_INTERVAL_S:
            await self.commit()

    async def commit(self) -> None:
        """Commit what is done. After a rebalance it may be refused: then it comes again, and has no effect."""
        assigned = self._consumer.assignment()
        done = {partition: offset for partition, offset in self._done.items() if partition in assigned}
        self._done, self._committed_at = {}, monotonic()
        if done:
            try:
                await self._consumer.commit(done)
            except (CommitFailedError, IllegalStateError) as refused:
                print(f"commit refused: {refused!r}", flush=True)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Commit before another process gets these partitions."""
        await self.commit()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Say what this process reads."""
        print(f"assigned: {len(list(assigned))} partitions", flush=True)


async def subscribe() -> None:
    """Receive events until SIGTERM; then commit, and leave the group."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    contract = Contract(SCHEMAS)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=KAFKA,
        group_id=GROUP,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=SESSION_TIMEOUT_MS,
        heartbeat_interval_ms=SESSION_TIMEOUT_MS // 5,
    )
    offsets = Offsets(consumer)
    consumer.subscribe([PREFIX + name for name in EFFECTS], listener=offsets)
    async with await AsyncConnection.connect(DATABASE, autocommit=True) as database:
        await consumer.start()
        try:
            while not stopping.is_set():
                for partition, records in (await consumer.getmany(timeout_ms=WAIT_MS, max_records=RECORDS_MAX)).items():
                    for record in records:
                        name = record.topic.removeprefix(PREFIX)
                        await receive(database, name, contract.decode(name, record.value))
                        offsets.note(partition, record.offset + 1)
                await offsets.commit_when_due()
            await offsets.commit()
        finally:
            await consumer.stop()


if __name__ == "__main__":
    asyncio.run(subscribe())
