"""`payments dlq pass`: refused with one line where it makes no sense, else kept for the consumer that waits."""

import json
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import Producer

from tests.deploy.commands import payments

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
    for asked, code, answer in (
        (("NoSuchTopic", "0", "--from", "0", "--to", "0", *REASON), 1, "nobody here reads a topic NoSuchTopic"),
        ((topic, "9", "--from", "0", "--to", "0", *REASON), 1, "has no partition 9; it has 3"),
        ((topic, "0", "--from", "1", "--to", "0", *REASON), 1, "--from 1 lies behind --to 0"),
        (("OrderConfirmed", "0", "--from", "0", "--to", "2", *REASON), 1, "lies behind the last message"),
        (("OrderConfirmed", "0", "--from", "0", "--to", "1", *REASON), 1, "the message at offset 0 can be read"),
        (("OrderConfirmed", "0", "--from", "0", "--to", "1"), 2, "reason"),
        (("OrderConfirmed", "0", "--from", "0", "--to", "1", "--reason", " "), 2, "say it in 1 to 500 characters"),
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


def test_stretch_that_cannot_be_read_is_kept_for_the_consumer(tmp_path: Path, deployment: dict[str, str]) -> None:
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
    small = {**deployment, "PAYMENTS_UNPACKED_BYTES_MAX": "10000", "PAYMENTS_MESSAGE_BYTES_MAX": "2000"}
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
