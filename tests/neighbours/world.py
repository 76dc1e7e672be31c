"""The real pipeline with the gateway sandbox, as neighbours meet it: topics, and a database that is not theirs."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg

from deploy.topics import owners_of
from outbox.driver.connections import Connections
from outbox.operators.stock import set_available
from outbox.schema.migrations import upgrade
from outbox.store import PostgresStore
from producers.topics import create_topics
from schemas.codec import Codec
from tests.consumers.topics import Read, read_topics
from tests.eventually import eventually
from tests.processes import started
from tests.servers.databases import fresh_database

PARTITIONS: Final = 4
"""Enough to tell partitioners apart and for two members to share; each more costs the broker time."""
SKU: Final = "thé-vert"
"""Not ASCII: bytes and characters are to be told apart."""
UNITS: Final = 1_000_000
LOOK_S: Final = 0.1
OUTCOMES: Final = ("PaidAndConfirmed", "OrderCancelled", "PaymentFailed")
"""What a kit subscribes to."""


@dataclass(frozen=True, slots=True)
class World:
    """bootstrap: Kafka's. server_url: PostgreSQL's, for databases of neighbours. data_dir: of Kafka, if it is here."""

    bootstrap: str
    server_url: str
    database_url: str
    prefix: str
    data_dir: Path | None

    def read(self, *names: str) -> list[Read]:
        """Read whole topics."""
        kafka: dict[str, Any] = {"bootstrap_servers": self.bootstrap}
        return asyncio.run(read_topics(kafka, [self.prefix + name for name in names], self.prefix))

    def await_statuses(self, expected: dict[str, str]) -> None:
        """Wait until each of these orders has its status, and everything that we say about it is on the topics."""
        seen: dict[str, str] = {}
        with psycopg.connect(self.database_url.replace("+psycopg", ""), autocommit=True) as database:

            def told() -> bool:
                query = "select order_id, status from orders where order_id = any(%s)"
                seen.update(database.execute(query, [list(expected)]).fetchall())
                sent = database.execute("select not exists (select from outbox)").fetchone()
                return seen == expected and sent == (True,)

            def missed() -> str:
                letters = database.execute("select reason, count(*) from dead_letter group by 1").fetchall()
                wrong = {name: seen.get(name) for name in expected if seen.get(name) != expected[name]}
                return f"every order has its status: {wrong}; dead letters: {letters}"

            eventually(told, missed, poll_s=LOOK_S)


@contextmanager
def open_world(bootstrap: str, server_url: str, prefix: str, folder: Path, data_dir: Path | None) -> Iterator[World]:
    """Run the pipeline on these servers for the length of a block."""
    with fresh_database(server_url, None) as url:
        upgrade(url)
        asyncio.run(_furnish(url, bootstrap, prefix))
        settings = {
            "PAYMENTS_DATA": str(folder),
            "PAYMENTS_DATABASE_URL": url,
            "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "PAYMENTS_TOPIC_PREFIX": prefix,
            "PAYMENTS_TOPIC_PARTITIONS": str(PARTITIONS),
            "PAYMENTS_TOPIC_REPLICATION_FACTOR": "1",
            "PAYMENTS_GATEWAY": "sandbox",
            "PAYMENTS_RETURN_URL": "https://shop.example/orders/{order_id}",
            "PAYMENTS_LOG_FORMAT": "json",
        }
        with started(folder, "up", **settings) as pipeline:
            pipeline.await_line('"running"')
            yield World(bootstrap, server_url, url, prefix, data_dir)


async def _furnish(url: str, bootstrap: str, prefix: str) -> None:
    kafka = {"bootstrap_servers": bootstrap}
    await create_topics(
        kafka, owners_of(prefix), partitions=PARTITIONS, replication_factor=1, event_bytes_max=1_000_000
    )
    store = PostgresStore(Connections(url.replace("+psycopg", ""), 1), Codec().encode)
    await store.maintain()
    async with store.transaction() as transaction:
        await set_available(transaction, SKU, UNITS, "test")
    await store.close()
