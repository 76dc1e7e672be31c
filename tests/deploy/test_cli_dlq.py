"""`payments dlq pass`: refused with one line where it makes no sense, else kept for the consumer that waits."""

import json
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._resource import ResourceType

from deploy.embedded import EmbeddedServers
from tests.deploy.commands import Ran, payments
from tests.eventually import eventually
from tests.guarded import GuardedKafka, forbidden
from tests.servers.databases import fresh_database
from tests.servers.standby import standby_of

pytestmark = pytest.mark.integration

REASON = ("--reason", "they are sent again")


def published(deployment: dict[str, str]) -> str:
    """Publish two records on partition 0 of OrderConfirmed, and return the topic."""
    topic = deployment["PAYMENTS_TOPIC_PREFIX"] + "OrderConfirmed"
    producer = Producer({"bootstrap.servers": deployment["PAYMENTS_KAFKA_BOOTSTRAP_SERVERS"]})
    for _ in range(2):
        producer.produce(topic, key=b"k", value=b"v", partition=0)
    assert producer.flush(20) == 0
    return topic


def test_stretch_that_makes_no_sense_is_refused_in_one_line(tmp_path: Path, deployment: dict[str, str]) -> None:
    topic = published(deployment)
    readable = ("dlq", "pass", topic, "0", "--from", "0", "--to", "1", *REASON)
    # A broker of which nobody has asked for a group yet makes the coordinator's topic first.
    eventually(lambda: payments(tmp_path, *readable, **deployment).code == 1, "the group's coordinator is there")
    for asked, code, answer in (
        (("NoSuchTopic", "0", "--from", "0", "--to", "0", *REASON), 1, "nobody here reads a topic NoSuchTopic"),
        ((topic, "9", "--from", "0", "--to", "0", *REASON), 1, "has no partition 9; it has 3"),
        ((topic, "0", "--from", "1", "--to", "0", *REASON), 1, "--from 1 lies behind --to 0"),
        (("OrderConfirmed", "0", "--from", "0", "--to", "2", *REASON), 1, "lies behind the last message"),
        (("OrderConfirmed", "0", "--from", "0", "--to", "1", *REASON), 1, "the message at offset 0 can be read"),
        (("OrderConfirmed", "0", "--from", "0", "--to", "1"), 2, "reason"),
        (
            ("OrderConfirmed", "0", "--from", "1", "--to", "1", *REASON),
            1,
            "stands at offset 0, before messages that can",
        ),
        (("OrderConfirmed", "0", "--from", "0", "--to", "1", "--reason", " "), 2, "1 to 500 characters"),
        (("OrderConfirmed", "0", "--from", "0", "--to", "1", "--reason", "4242 4242 4242 4242"), 2, "card number"),
        (("OrderConfirmed", "0", "--from", "0", "--to", "1", "--reason", "a\x07b"), 2, "control character"),
        (("OrderConfirmed", "0", "--from", "0", "--to", "1", *REASON, "--by", "4242424242424242"), 2, "card number"),
        (("OrderConfirmed", "0", "--from", "0", "--to", "1", *REASON, "--by", "x" * 65), 2, "1 to 64 characters"),
        (("OrderConfirmed", "0", "--from", "0", "--to", "1", "--reason", "\udcff"), 2, "argument 10 is not UTF-8"),
        (("OrderConfirmed", "-1", "--from", "0", "--to", "1", *REASON), 2, "-1"),
    ):
        ran = payments(tmp_path, "dlq", "pass", *asked, **deployment)
        assert (ran.code, ran.out) == (code, ""), asked
        assert answer in ran.err
        assert ran.err.count("\n") == 1


def test_broker_that_is_away_is_told_by_the_exit_code(tmp_path: Path, deployment: dict[str, str]) -> None:
    away = {**deployment, "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    ran = payments(tmp_path, "dlq", "pass", "OrderConfirmed", "0", "--from", "0", "--to", "0", *REASON, **away)
    assert ran.code == 3
    assert ran.err.count("\n") == 1


def test_broker_that_lets_nobody_read_is_no_reason_to_pass_over(tmp_path: Path, deployment: dict[str, str]) -> None:
    kafka = GuardedKafka(tmp_path, progress=print, fast=True)
    try:
        kafka.start()
        guarded = {**deployment, "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": kafka.address}
        assert payments(tmp_path, "topics", "create", **guarded).code == 0
        topic = published(guarded)
        asked = ("dlq", "pass", topic, "0", "--from", "0", "--to", "1", *REASON)
        with forbidden(kafka.address, ResourceType.TOPIC, topic, AclOperation.READ):
            # At first the rules are not in force yet, and the group's coordinator is not there yet.
            ran: list[Ran] = []
            eventually(lambda: _is_denied(ran, payments(tmp_path, *asked, **guarded)), lambda: str(ran[-1]))
    finally:
        kafka.kill()
    assert ran[-1].code == 3
    with psycopg.connect(deployment["PAYMENTS_DATABASE_URL"].replace("+psycopg", "")) as connection:
        assert connection.execute("SELECT count(*) FROM passed_stretch").fetchone() == (0,)


def _is_denied(ran: list[Ran], last: Ran) -> bool:
    ran.append(last)
    return "Kafka does not let us read" in last.err


def unreadable(deployment: dict[str, str]) -> tuple[str, dict[str, str]]:
    """Publish what cannot be read at offsets 2 to 21, behind what the group has taken; return topic and settings."""
    topic = published(deployment)
    # What unpacks to more than is allowed cannot be read: the harmless form of it.
    producer = Producer(
        {
            "bootstrap.servers": deployment["PAYMENTS_KAFKA_BOOTSTRAP_SERVERS"],
            "compression.type": "gzip",
            "linger.ms": 200,
        }
    )
    for _ in range(20):
        producer.produce(topic, key=b"k", value=b"v" * 900, partition=0)
    assert producer.flush(20) == 0
    group = deployment["PAYMENTS_TOPIC_PREFIX"] + "payments.authorize_payment"
    place = {"bootstrap.servers": deployment["PAYMENTS_KAFKA_BOOTSTRAP_SERVERS"], "group.id": group}
    consumer = Consumer(place)
    consumer.commit(offsets=[TopicPartition(topic, 0, 2)], asynchronous=False)
    consumer.close()
    return topic, {**deployment, "PAYMENTS_UNPACKED_BYTES_MAX": "10000", "PAYMENTS_MESSAGE_BYTES_MAX": "2000"}


def test_stretch_that_cannot_be_read_is_kept_for_the_consumer(tmp_path: Path, deployment: dict[str, str]) -> None:
    topic, small = unreadable(deployment)
    asked = ("dlq", "pass", topic, "0", "--from", "2", "--to", "21", *REASON, "--by", "ada")
    ran = payments(tmp_path, *asked, "--json", **small)
    assert (ran.code, ran.err) == (0, "")
    said = json.loads(ran.out)
    assert said == {
        "id": said["id"],
        "topic": topic,
        "partition": 0,
        "from": 2,
        "to": 21,
        "reason": "they are sent again",
        "by": "ada",
    }
    with psycopg.connect(deployment["PAYMENTS_DATABASE_URL"].replace("+psycopg", "")) as connection:
        rows = connection.execute(
            "SELECT consumer_group, topic, partition, from_offset, to_offset, reason, by, applied_at "
            "FROM passed_stretch"
        ).fetchall()
    assert rows == [("payments.authorize_payment", topic, 0, 2, 21, "they are sent again", "ada", None)]
    again = payments(tmp_path, *asked, **small)
    assert again.code == 1
    assert "ada has said so of offsets 2 to 21 already" in again.err


@pytest.mark.timeout(300)
def test_word_is_kept_when_the_first_host_of_the_address_has_become_a_standby(
    tmp_path: Path, places: dict[str, str], own_servers: EmbeddedServers
) -> None:
    with fresh_database(own_servers.database_url, None) as url, standby_of(own_servers) as pair:
        moved = {**places, "PAYMENTS_DATABASE_URL": pair.two_hosts(url, standby_first=True)}
        assert payments(tmp_path, "migrate", **moved).code == 0
        assert payments(tmp_path, "topics", "create", **moved).code == 0
        topic, small = unreadable(moved)
        ran = payments(tmp_path, "dlq", "pass", topic, "0", "--from", "2", "--to", "21", *REASON, **small)
        assert (ran.code, ran.err) == (0, "")
