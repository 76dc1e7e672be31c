"""handwritten: aiokafka and psycopg without an ORM, a message at a time, 32 in flight: a good team's day.

Inbox, outbox, idempotency keys, offsets committed only behind what the database has. What is cheap to do well is done:
uvloop, orjson, prepared statements, one round trip where a single statement can do a whole step, a pool, a relay that
sends 500 rows at once and is woken in the process (the poll of 20 ms is for what others wrote).
What is not done: batches. A team that batches has begun to write this module.
"""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from tests.bench.peers import common
from tests.bench.peers.common import follow, topic

IN_FLIGHT = 32
RELAY_ROWS = 500
RELAY_POLL_S = 0.02
COMMIT_S = 0.5
DDL = """
CREATE TABLE inbox(consumer text, event_id uuid, PRIMARY KEY(consumer, event_id));
CREATE TABLE outbox(id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, topic text NOT NULL, key text NOT NULL,
  value bytea NOT NULL);
"""
FRESH = "fresh AS (INSERT INTO inbox VALUES (%s, %s) ON CONFLICT DO NOTHING RETURNING 1)"
AUTHORIZED = f"""
WITH {FRESH},
  made AS (INSERT INTO orders(id, version, status, currency, total, token, auth_ref, body)
           SELECT %s, 1, %s, %s, %s, %s, %s, %s FROM fresh)
INSERT INTO outbox(topic, key, value) SELECT %s, %s, %s FROM fresh
"""
MOVED = f"""
WITH {FRESH},
  moved AS (UPDATE orders SET version = version + 1, status = %s, capture_ref = %s FROM fresh
             WHERE id = %s AND status = %s RETURNING 1)
INSERT INTO outbox(topic, key, value) SELECT %s, %s, %s FROM moved RETURNING 1
"""
RESERVED = """
WITH wanted AS (SELECT * FROM unnest(%s::text[], %s::int[]) AS w(sku, qty)),
  taken AS (UPDATE stock s SET available = available - w.qty, reserved = reserved + w.qty FROM wanted w
             WHERE s.sku = w.sku)
INSERT INTO reservation SELECT %s, sku, qty FROM wanted
"""
STEP = "UPDATE orders SET version = version + 1, status = %s WHERE id = %s AND status = 'payment_authorized'"
EMIT = "INSERT INTO outbox(topic, key, value) VALUES (%s, %s, %s)"

Event = dict[str, Any]
Handler = Callable[[Event], Awaitable[None]]

gateway = common.Gateway()
written = asyncio.Event()
pool: AsyncConnectionPool[AsyncConnection[Any]]


def _row(event: Event, kind: str, **extra: Any) -> tuple[str, str, bytes]:
    return topic(kind), event["order_id"], orjson.dumps(follow(event, kind, **extra))


async def _once(statement: str, parameters: list[Any]) -> None:
    """Run a statement that is a transaction by itself."""
    async with pool.connection() as connection:
        await connection.execute(statement, parameters)


async def authorize_payment(event: Event) -> None:
    """Authorize; the order and the next event are stored in one statement."""
    oid, token, total = event["order_id"], event["payment_method_token"], event["total_minor"]
    answer = await gateway.call("authorize", f"{oid}:1:authorize", token, total)
    if answer["ok"]:
        status, ref, row = (
            "payment_authorized",
            answer["ref"],
            _row(event, "PaymentAuthorized", authorization_ref=answer["ref"]),
        )
    else:
        status, ref, row = "payment_failed", None, _row(event, "PaymentFailed", reason="card_declined")
    order = (oid, status, event["currency"], total, token, ref, orjson.dumps(event))
    await _once(AUTHORIZED, ["authorize_payment", event["event_id"], *order, *row])


async def reserve_items(event: Event) -> None:
    """Take every line or none; stock rows are locked in the order of their names."""
    oid, ref = event["order_id"], event["authorization_ref"]
    wanted: dict[str, int] = {}
    for line in event["lines"]:
        wanted[line["sku"]] = wanted.get(line["sku"], 0) + line["quantity"]
    async with pool.connection() as connection, connection.transaction():
        fresh = await connection.execute(
            "INSERT INTO inbox VALUES ('reserve_items', %s) ON CONFLICT DO NOTHING", [event["event_id"]]
        )
        if not fresh.rowcount:
            return
        rows = await connection.execute(
            "SELECT sku, available FROM stock WHERE sku = ANY(%s) ORDER BY sku FOR UPDATE", [list(wanted)]
        )
        left: dict[str, int] = dict(await rows.fetchall())
        enough = all(left.get(sku, 0) >= quantity for sku, quantity in wanted.items())
        async with connection.pipeline():
            if enough:
                await connection.execute(RESERVED, [list(wanted), list(wanted.values()), oid])
                row = _row(event, "ItemsReserved", authorization_ref=ref)
            else:
                row = _row(event, "ReservationFailed", authorization_ref=ref, reason="out_of_stock")
            moved = await connection.execute(STEP, ["items_reserved" if enough else "reservation_failed", oid])
            await connection.execute(EMIT, row)
        if moved.rowcount != 1:
            raise RuntimeError(f"order {oid} is not authorized")


async def capture_payment(event: Event) -> None:
    """Capture the money: the order is paid."""
    oid, ref = event["order_id"], event["authorization_ref"]
    answer = await gateway.call("capture", f"{oid}:1:capture", event["payment_method_token"], event["total_minor"])
    row = _row(event, "PaidAndConfirmed", authorization_ref=ref, capture_ref=answer["ref"])
    change = ("paid_and_confirmed", answer["ref"], oid, "items_reserved")
    await _once(MOVED, ["capture_payment", event["event_id"], *change, *row])


async def return_payment(event: Event) -> None:
    """Void the money: the order has failed."""
    oid, ref = event["order_id"], event["authorization_ref"]
    await gateway.call("void", f"{oid}:1:void", event["payment_method_token"], event["total_minor"])
    row = _row(event, "PaymentFailed", authorization_ref=ref, reason="items_unavailable")
    change = ("payment_failed", None, oid, "reservation_failed")
    await _once(MOVED, ["return_payment", event["event_id"], *change, *row])


HANDLERS: dict[str, Handler] = {
    "OrderConfirmed": authorize_payment,
    "PaymentAuthorized": reserve_items,
    "ItemsReserved": capture_payment,
    "ReservationFailed": return_payment,
}


class Offsets(ConsumerRebalanceListener):  # type: ignore[misc]
    """What is in flight, by partition; committed is only what everything before it is done, too."""

    def __init__(self) -> None:
        self.running: dict[TopicPartition, set[int]] = {}
        self.next: dict[TopicPartition, int] = {}

    async def on_partitions_revoked(self, revoked: list[TopicPartition]) -> None:
        """Forget them: who has them next starts at what was committed, and the inbox knows the rest."""
        for partition in revoked:
            self.running.pop(partition, None)
            self.next.pop(partition, None)

    async def on_partitions_assigned(self, assigned: list[TopicPartition]) -> None:
        """Nothing to do: positions are the committed ones."""

    def began(self, partition: TopicPartition, offset: int) -> None:
        """Note a message that is being handled."""
        self.running.setdefault(partition, set()).add(offset)
        self.next[partition] = offset + 1

    def ended(self, partition: TopicPartition, offset: int) -> None:
        """Note that it is done."""
        self.running.get(partition, set()).discard(offset)

    def to_commit(self) -> dict[TopicPartition, int]:
        """Return what may be committed."""
        return {p: min(self.running.get(p) or {n}) for p, n in self.next.items()}


async def consume(stop: asyncio.Event) -> None:
    """Handle 32 messages at a time; an error stops the process, and nothing of it was committed."""
    offsets = Offsets()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=common.BOOTSTRAP,
        group_id=topic("handwritten"),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    consumer.subscribe([topic(name) for name in HANDLERS], listener=offsets)
    handlers = {topic(name): handler for name, handler in HANDLERS.items()}
    room = asyncio.Semaphore(IN_FLIGHT)

    async def handle(record: Any, partition: TopicPartition) -> None:
        try:
            await handlers[record.topic](orjson.loads(record.value))
            written.set()
            offsets.ended(partition, record.offset)
        finally:
            room.release()

    async def commit() -> None:
        while True:
            await asyncio.sleep(COMMIT_S)
            if ready := offsets.to_commit():
                await consumer.commit(ready)

    try:
        async with asyncio.TaskGroup() as group:
            committing = group.create_task(commit())
            while not stop.is_set():
                for partition, records in (await consumer.getmany(timeout_ms=100, max_records=IN_FLIGHT)).items():
                    for record in records:
                        await room.acquire()
                        offsets.began(partition, record.offset)
                        group.create_task(handle(record, partition))
            committing.cancel()
    finally:
        await consumer.stop()


async def relay(stop: asyncio.Event) -> None:
    """Send the outbox in the order of its ids, 500 rows at a time; delete what all replicas have."""
    producer = AIOKafkaProducer(bootstrap_servers=common.BOOTSTRAP, acks="all", enable_idempotence=True)
    await producer.start()
    async with await AsyncConnection.connect(common.DSN, prepare_threshold=0, autocommit=True) as connection:
        while not stop.is_set():
            written.clear()
            found = await connection.execute(
                "SELECT id, topic, key, value FROM outbox ORDER BY id LIMIT %s", [RELAY_ROWS]
            )
            rows = await found.fetchall()
            if not rows:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RELAY_POLL_S):
                        await written.wait()
                continue
            await asyncio.gather(*[await producer.send(name, value, key=key.encode()) for _, name, key, value in rows])
            await connection.execute("DELETE FROM outbox WHERE id = ANY(%s)", [[row[0] for row in rows]])
    await producer.stop()


async def main(role: str) -> None:
    """Run everything, or the relay alone."""
    global pool  # noqa: PLW0603 - a script's one pool
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    async def configure(connection: AsyncConnection[Any]) -> None:
        connection.prepare_threshold = 0

    pool = AsyncConnectionPool(common.DSN, min_size=16, max_size=IN_FLIGHT, open=False, configure=configure)
    async with pool, asyncio.TaskGroup() as group:
        group.create_task(relay(stop))
        if role != "relay":
            group.create_task(consume(stop))


async def setup() -> None:
    """Make the tables of this peer."""
    async with await AsyncConnection.connect(common.DSN, autocommit=True) as connection:
        await connection.execute(DDL)


if __name__ == "__main__":
    uvloop.run(setup() if sys.argv[1] == "setup" else main(sys.argv[1]))
