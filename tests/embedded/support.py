"""What the tests of the embedded servers share: conditions, traffic, and a parent process to kill."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from sqlalchemy import make_url

from deploy.embedded import EmbeddedServers
from deploy.embedded.guard import has_ended


def lives(pid: int) -> bool:
    try:
        return not has_ended(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False


def state_of(data: Path) -> dict[str, Any]:
    """Read state.json, {} while there is none."""
    try:
        return dict(json.loads((data / "state.json").read_text()))
    except FileNotFoundError:
        return {}


async def publish(bootstrap: str, topic: str, value: bytes) -> None:
    """Make the topic and publish one record, acknowledged by all."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        await producer.send_and_wait(topic, value)


async def published(bootstrap: str, topic: str) -> bytes:
    """Read the first record of the topic."""
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        record = await consumer.getone()
        return bytes(record.value or b"")


@contextmanager
def connected(url: str) -> Iterator[psycopg.Connection]:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        yield connection


@contextmanager
def parent(code: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run Python code in a process of its own, killed on leaving if it still runs."""
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), *arguments]) as process:
        try:
            yield process
        finally:
            process.kill()


def answering(servers: EmbeddedServers) -> dict[str, bool]:
    """Tell for each server, by name, whether it answers its protocol."""
    return {server.name: server.answers() for server in (servers.kafka, servers.postgres)}
