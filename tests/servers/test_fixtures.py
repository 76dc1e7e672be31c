import asyncio

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from outbox.driver.conninfo import libpq_url
from tests.servers.databases import database_of, in_database

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("postgresql+psycopg://u:p@h:1/db", "postgresql+psycopg://u:p@h:1/other"),
        ("postgresql://u:p?q@h1:1,[::1]:2/db?a=b", "postgresql://u:p?q@h1:1,[::1]:2/other?a=b"),
    ],
)
def test_a_database_beside_another_is_named_by_the_same_url(url: str, named: str) -> None:
    assert in_database(url, "other") == named
    assert database_of(named.partition("?a")[0]) == "other"


async def test_shared_kafka_makes_topics_and_hands_back_what_was_published(
    kafka_bootstrap: str,
    topic_prefix: str,
) -> None:
    topic = f"{topic_prefix}Greeted"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=3, replication_factor=1)])
    finally:
        await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=kafka_bootstrap, enable_idempotence=True, acks="all") as producer:
        await producer.send_and_wait(topic, b"hello", key=b"order-1")
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=kafka_bootstrap,
        group_id=f"{topic_prefix}g",
        auto_offset_reset="earliest",
    )
    async with consumer:
        record = await asyncio.wait_for(consumer.getone(), 20)
    assert (record.key, record.value) == (b"order-1", b"hello")


@pytest.mark.parametrize("turn", [1, 2])
def test_every_test_has_an_empty_database_that_it_owns(database_url: str, turn: int) -> None:
    with psycopg.connect(libpq_url(database_url), autocommit=True) as connection:
        connection.execute("create table only_mine (turn int)")
        connection.execute("insert into only_mine values (%s)", [turn])
        assert connection.execute("select turn from only_mine").fetchall() == [(turn,)]


def test_topic_prefixes_differ_from_test_to_test(topic_prefix: str, request: pytest.FixtureRequest) -> None:
    assert topic_prefix.isprintable()
    assert topic_prefix.endswith(".")
