"""Orders by the thousand through the real pipeline, for a rebuild to be measured with."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID, uuid5

import psycopg
from confluent_kafka import Producer

from deploy.embedded import EmbeddedServers
from deploy.running import now
from deploy.topics import owners_of
from outbox.driver.connections import Connections
from outbox.operators.stock import set_available
from outbox.schema.migrations import upgrade
from outbox.store import PostgresStore
from producers.topics import create_topics
from schemas.codec import Codec
from tests.eventually import eventually
from tests.processes import started
from tests.schemas.builders import order_confirmed
from tests.servers.databases import fresh_database

DECLINED: Final = "pm_card_chargeDeclined"
DECLINED_EVERY: Final = 10
ORDERS_S: Final = 7_200.0
"""So long all orders of one size may take."""
PARTITIONS: Final = 12
UNITS: Final = 1_000_000_000
_IDS: Final = UUID("2f0a1f0e-3f0b-5a39-8d21-7a0d6a0b9c11")
_UNFINISHED: Final = """
    select (select count(*) from orders where status in ('paid_and_confirmed', 'payment_failed')),
           exists (select from outbox) or exists (select from operation where due_at is not null)"""


@dataclass
class Filled:
    """A deployment with so many orders. environment: for commands."""

    environment: dict[str, str]
    bootstrap: str
    database_url: str
    folder: Path
    orders: int = 0

    def grow(self, orders: int, say: Callable[[str], None]) -> None:
        """Publish orders until there are so many, and wait until each has its outcome and all is said."""
        with started(self.folder, "up", **self.environment) as pipeline:
            pipeline.await_line('"running"')
            self._publish(range(self.orders, orders))
            with psycopg.connect(self.database_url, autocommit=True) as database:
                seen = [0]

                def settled() -> bool:
                    row = database.execute(_UNFINISHED).fetchone()
                    assert row is not None
                    if row[0] >= seen[0] + 10_000:
                        say(f"{row[0]:,} have their outcome")
                        seen[0] = row[0]
                    assert pipeline.code is None, pipeline.log[-2_000:]
                    return bool(row == (orders, False))

                eventually(settled, f"{orders:,} orders have their outcome", ORDERS_S, poll_s=2.0)
            assert pipeline.stop() == 0
        self.orders = orders

    def _publish(self, numbers: range) -> None:
        codec = Codec()
        producer = Producer({"bootstrap.servers": self.bootstrap, "partitioner": "murmur2_random", "linger.ms": 20})
        for number in numbers:
            order_id = f"order-{number:08}"
            order = order_confirmed(
                order_id=order_id, correlation_id=order_id, event_id=uuid5(_IDS, order_id), occurred_at=now()
            )
            if number % DECLINED_EVERY == 0:
                assert order.payment_method is not None
                method = order.payment_method.model_copy(update={"token": DECLINED})
                order = order.model_copy(update={"payment_method": method})
            producer.produce(self.environment["PAYMENTS_TOPIC_PREFIX"] + order.TYPE, codec.encode(order), order_id)
            producer.poll(0)
            if len(producer) > 50_000:
                producer.flush()
        assert producer.flush(120) == 0


@contextmanager
def open_filled(servers: EmbeddedServers, folder: Path) -> Iterator[Filled]:
    """Prepare a deployment without orders for the length of a block."""
    prefix = "rebuilding."
    with fresh_database(servers.database_url, None) as url:
        upgrade(url)
        asyncio.run(_furnish(url, servers.kafka_bootstrap, prefix))
        environment = {
            "PAYMENTS_DATA": str(folder),
            "PAYMENTS_DATABASE_URL": url,
            "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": servers.kafka_bootstrap,
            "PAYMENTS_TOPIC_PREFIX": prefix,
            "PAYMENTS_TOPIC_PARTITIONS": str(PARTITIONS),
            "PAYMENTS_TOPIC_REPLICATION_FACTOR": "1",
            "PAYMENTS_GATEWAY": "simulated",
            "PAYMENTS_SIMULATED_LATENCY_MS": "0",
            "PAYMENTS_LOG_FORMAT": "json",
        }
        yield Filled(environment, servers.kafka_bootstrap, url.replace("+psycopg", ""), folder)


async def _furnish(url: str, bootstrap: str, prefix: str) -> None:
    kafka = {"bootstrap_servers": bootstrap}
    await create_topics(
        kafka, owners_of(prefix), partitions=PARTITIONS, replication_factor=1, event_bytes_max=1_000_000
    )
    store = PostgresStore(Connections(url.replace("+psycopg", ""), 1), Codec().encode)
    await store.maintain()
    async with store.transaction() as transaction:
        for line in order_confirmed().lines:
            await set_available(transaction, line.sku, UNITS, "test")
    await store.close()
