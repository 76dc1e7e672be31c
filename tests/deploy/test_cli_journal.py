"""`payments journal republish`: after Kafka has lost our topics, the same messages stand on them again."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from deploy.running import now, run
from deploy.settings import load_settings
from deploy.topics import owners_of
from producers.topic_settings import Owner
from tests.consumers.topics import Read, read_topics
from tests.deploy.commands import payments
from tests.deploy.orders import confirmed, publish, status_of
from tests.embedded.support import connected
from tests.eventually import eventually
from tests.processes import started

pytestmark = pytest.mark.integration


def ours(environment: dict[str, str]) -> list[str]:
    owners = owners_of(environment["PAYMENTS_TOPIC_PREFIX"])
    return [topic for topic, owner in owners.items() if owner is not Owner.UPSTREAM]


def said(directory: Path, environment: dict[str, str]) -> dict[tuple[str, int], list[tuple[Any, ...]]]:
    """Return what stands on each partition of our topics, but where."""
    options = load_settings(environment, directory=directory).kafka_options()
    found: list[Read] = run(read_topics(options, ours(environment), environment["PAYMENTS_TOPIC_PREFIX"]))
    partitions: dict[tuple[str, int], list[tuple[Any, ...]]] = {}
    for one in found:
        partitions.setdefault((one.event_type, one.partition), []).append((one.key, one.value, one.headers))
    return partitions


def kept(environment: dict[str, str]) -> list[Any]:
    with connected(environment["PAYMENTS_DATABASE_URL"]) as connection:
        events = connection.execute("SELECT event_id, topic, body FROM event ORDER BY id").fetchall()
        letters = connection.execute("SELECT topic, reason, count FROM dead_letter ORDER BY id").fetchall()
    return [*events, *letters]


def waiting(environment: dict[str, str]) -> int:
    with connected(environment["PAYMENTS_DATABASE_URL"]) as connection:
        row = connection.execute("SELECT coalesce(sum(cardinality(event_ids)), 0)::int FROM outbox").fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.timeout(300)
def test_lost_topics_have_the_very_same_messages_again_and_nobody_acts_twice(
    tmp_path: Path, deployment: dict[str, str]
) -> None:
    since = (now() - timedelta(minutes=5)).isoformat()
    assert payments(tmp_path, "stock", "set", "tea", "3", **deployment).code == 0
    with started(tmp_path, "up", **deployment) as up:
        publish(tmp_path, deployment, confirmed("order-1"), confirmed("order-2", "pm_card_chargeDeclined"))
        publish(tmp_path, deployment, confirmed("order-1", quantity=1))
        up.eventually(lambda: status_of(deployment, "order-1") == "paid_and_confirmed", "paid")
        up.eventually(lambda: status_of(deployment, "order-2") == "payment_failed", "declined")
        up.eventually(lambda: any(row[1] == "conflict" for row in kept(deployment)), "a dead letter")
        up.eventually(lambda: waiting(deployment) == 0, "all is sent")
        assert up.stop() == 0
    before, rows = said(tmp_path, deployment), kept(deployment)
    assert "OrderConfirmed.dlt" in {topic for topic, _ in before}

    admin = AdminClient({"bootstrap.servers": deployment["PAYMENTS_KAFKA_BOOTSTRAP_SERVERS"]})
    for deleted in admin.delete_topics(ours(deployment)).values():
        deleted.result(30)
    eventually(lambda: payments(tmp_path, "topics", "create", **deployment).code == 0, "they are made anew")
    assert said(tmp_path, deployment) == {}

    count = sum(len(messages) for messages in before.values())
    again = ("journal", "republish", "all", "--since", since)
    dry = payments(tmp_path, *again, "--dry-run", "--json", **deployment)
    assert (dry.code, json.loads(dry.out)["events"], waiting(deployment)) == (0, count, 0)
    for _ in range(2):
        ran = payments(tmp_path, *again, **deployment)
        assert ran.code == 0, ran.err
        assert f"{count} events are put into the outbox again" in ran.err
        assert waiting(deployment) == count, "it may be repeated"
    assert payments(tmp_path, "relay", "--once", **deployment).code == 0
    assert said(tmp_path, deployment) == before

    with started(tmp_path, "up", **deployment) as up:
        up.eventually(lambda: _all_is_read(tmp_path, deployment), "all is read again")
        assert up.stop() == 0
    assert kept(deployment) == rows
    audit = payments(tmp_path, "audit", "--topics", **deployment)
    assert audit.code == 0, audit.out + audit.err


def _all_is_read(directory: Path, environment: dict[str, str]) -> bool:
    ran = payments(directory, "offsets", "show", "--json", **environment)
    return ran.code == 0 and all(
        p["behind"] == 0 and not p["earlier_topic"] for g in json.loads(ran.out)["groups"] for p in g["partitions"]
    )


SINCE = ("--since", "2020-01-01")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("OrderConfirmed", *SINCE), 1, "published by others"),
        (("Nothing", *SINCE), 2, "there is no topic Nothing"),
        (("PaymentFailed", *SINCE), 1, "PAYMENTS_INBOX_RETENTION_DAYS"),
        (("PaymentFailed", *SINCE, "--until", "2019-01-01"), 2, "no event lies between"),
        (("PaymentFailed",), 2, "--since"),
        (SINCE, 2, "TOPIC"),
    ],
)
def test_each_way_to_refuse_has_its_exit_code_and_one_line(
    tmp_path: Path, deployment: dict[str, str], arguments: tuple[str, ...], code: int, told: str
) -> None:
    ran = payments(tmp_path, "journal", "republish", *arguments, **deployment)
    assert (ran.code, ran.out) == (code, "")
    assert told in ran.err
    assert ran.err.count("\n") == 1


def test_what_nobody_here_reads_may_be_of_any_time(tmp_path: Path, deployment: dict[str, str]) -> None:
    for arguments in (("PaidAndConfirmed", "--since", "0001-01-01"), ("PaymentFailed", *SINCE, "--force")):
        ran = payments(tmp_path, "journal", "republish", *arguments, **deployment)
        assert ran.code == 0, ran.err
    away = {**deployment, "PAYMENTS_DATABASE_URL": "postgresql://127.0.0.1:1/none"}
    assert payments(tmp_path, "journal", "republish", "PaidAndConfirmed", *SINCE, **away).code == 3
