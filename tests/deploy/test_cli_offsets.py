"""`payments offsets`: where the groups stand, and how they are set back: never on, never under a running consumer."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka import Consumer, Producer
from confluent_kafka import TopicPartition as Place

from consumers.adapters.kafka.group_wire import GroupHasMembers, GroupWire
from consumers.adapters.kafka.wire import Committed, Wire
from deploy.running import now, run
from deploy.settings import load_settings
from tests.deploy.commands import Ran, payments
from tests.deploy.orders import confirmed, publish, status_of
from tests.embedded.support import connected
from tests.eventually import eventually
from tests.processes import started

pytestmark = pytest.mark.integration

GROUP, EVENT = "payments.authorize_payment", "OrderConfirmed"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
FORCED = ("--to", NOON.isoformat(), "--force")
"""Noon is long ago, so the inbox has forgotten it."""


def topic_of(environment: dict[str, str]) -> str:
    return environment["PAYMENTS_TOPIC_PREFIX"] + EVENT


def group_of(environment: dict[str, str]) -> str:
    return environment["PAYMENTS_TOPIC_PREFIX"] + GROUP


def filled(environment: dict[str, str]) -> None:
    """Put five records on partitions 0, 1 and 2, two seconds before noon to two seconds after it."""
    producer = Producer({"bootstrap.servers": environment["PAYMENTS_KAFKA_BOOTSTRAP_SERVERS"]})
    for partition in range(3):
        for n in range(5):
            at_ms = int((NOON + (n - 2) * SECOND).timestamp() * 1000)
            producer.produce(topic_of(environment), key=b"k", value=b"v", partition=partition, timestamp=at_ms)
    assert producer.flush(20) == 0


@contextmanager
def client(environment: dict[str, str]) -> Iterator[Consumer]:
    consumer = Consumer(
        {
            "bootstrap.servers": environment["PAYMENTS_KAFKA_BOOTSTRAP_SERVERS"],
            "group.id": group_of(environment),
            "enable.auto.commit": False,
        }
    )
    try:
        yield consumer
    finally:
        consumer.close()


def committed(environment: dict[str, str], offsets: dict[int, tuple[int, str]]) -> None:
    """Commit these offsets and notes, as a member would have. confluent-kafka would add a NUL to the notes."""

    async def commit() -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=environment["PAYMENTS_KAFKA_BOOTSTRAP_SERVERS"],
            group_id=group_of(environment),
            enable_auto_commit=False,
        )
        await consumer.start()
        try:
            consumer.assign([TopicPartition(topic_of(environment), n) for n in offsets])
            await consumer.commit({TopicPartition(topic_of(environment), n): at for n, at in offsets.items()})
        finally:
            await consumer.stop()

    run(commit())


def answering(directory: Path, environment: dict[str, str]) -> None:
    """Wait until every partition of the new topics has a leader, and every group a coordinator."""
    ran: list[Ran] = []

    def answers() -> bool:
        ran[:] = [payments(directory, "offsets", "show", **environment)]
        return ran[0].code == 0

    eventually(answers, lambda: ran[0].err)


def ask(directory: Path, environment: dict[str, str], *arguments: str) -> Any:
    ran = payments(directory, "offsets", *arguments, "--json", **environment)
    assert ran.code == 0, ran.err
    return json.loads(ran.out)


def partitions(directory: Path, environment: dict[str, str]) -> list[dict[str, Any]]:
    """Return where the group of OrderConfirmed stands."""
    groups = ask(directory, environment, "show")["groups"]
    (found,) = [group for group in groups if group["group"] == group_of(environment)]
    assert found["topic"] == topic_of(environment)
    standing: list[dict[str, Any]] = found["partitions"]
    return standing


def notes(environment: dict[str, str], directory: Path) -> tuple[str, dict[int, Committed]]:
    """Return the topic's id, and what the group has committed, with the notes, as our consumers read them."""
    options = load_settings(environment, directory=directory).kafka_options()

    async def read() -> tuple[str, dict[int, Committed]]:
        wire = Wire(topic_of(environment), group_of(environment), options)
        try:
            found = await wire.topic()
            assert found is not None
            return found.topic_id, await wire.committed(found.partitions)
        finally:
            await wire.close()

    return run(read())


def test_groups_are_set_back_to_the_first_record_of_that_time_and_never_on(
    tmp_path: Path, deployment: dict[str, str]
) -> None:
    answering(tmp_path, deployment)
    filled(deployment)
    note, _ = notes(deployment, tmp_path)
    committed(deployment, {0: (5, note), 1: (1, note)})

    shown = partitions(tmp_path, deployment)
    assert [(p["committed"], p["first"], p["end"], p["behind"]) for p in shown] == [
        (5, 0, 5, 0),
        (1, 0, 5, 4),
        (None, 0, 5, 5),
    ]
    times = [p["next_at"] and datetime.fromisoformat(p["next_at"]) for p in shown]
    assert times == [None, NOON - SECOND, NOON - 2 * SECOND]

    dry = ask(tmp_path, deployment, "rewind", *FORCED, "--dry-run")
    assert notes(deployment, tmp_path) == (note, {0: (5, note), 1: (1, note)}), "a dry run changes nothing"
    done = ask(tmp_path, deployment, "rewind", *FORCED)
    assert dry["dry_run"] is True
    assert dry["partitions"] == done["partitions"]
    steps = [s for s in done["partitions"] if s["group"] == group_of(deployment)]
    assert [(s["committed"], s["to_offset"]) for s in steps] == [(5, 2), (1, None), (None, None)]
    assert steps[0]["left"] is None
    assert "already" in steps[1]["left"]
    assert "first record" in steps[2]["left"]
    after = note, {0: (2, note), 1: (1, note)}
    assert notes(deployment, tmp_path) == after, "the consumer takes an offset for its own topic's by the note"

    again = payments(tmp_path, "offsets", "rewind", *FORCED, **deployment)
    assert (again.code, again.err) == (0, "nothing to set back\n")
    later = payments(tmp_path, "offsets", "rewind", "--to", "2026-03-01T12:00:01.0005", "--force", **deployment)
    assert (later.code, later.err) == (0, "nothing to set back\n")
    assert notes(deployment, tmp_path) == after


def test_offset_of_a_deleted_topic_of_the_same_name_is_left(tmp_path: Path, deployment: dict[str, str]) -> None:
    answering(tmp_path, deployment)
    filled(deployment)
    committed(deployment, {0: (5, "0" * 32), 1: (5, "")})
    first, second, _ = partitions(tmp_path, deployment)
    assert (first["earlier_topic"], first["behind"]) == (True, 5)
    assert (second["earlier_topic"], second["behind"]) == (False, 0)
    ask(tmp_path, deployment, "rewind", *FORCED, "--group", GROUP)
    note, after = notes(deployment, tmp_path)
    assert after[0] == (5, "0" * 32)
    assert after[1] == (2, note), "what an older release committed has no note"


@pytest.mark.timeout(300)
def test_what_is_read_again_has_no_effect_again(tmp_path: Path, deployment: dict[str, str]) -> None:
    answering(tmp_path, deployment)
    begun = now()
    assert payments(tmp_path, "stock", "set", "tea", "3", **deployment).code == 0
    with started(tmp_path, "up", **deployment) as up:
        publish(tmp_path, deployment, confirmed("order-1"))
        up.eventually(lambda: status_of(deployment, "order-1") == "paid_and_confirmed", "paid")
        up.eventually(lambda: _total(ask(tmp_path, deployment, "show"), "behind") == 0, "all is read")
        refused = payments(tmp_path, "offsets", "rewind", "--to", begun.isoformat(), **deployment)
        assert up.stop() == 0
    assert (refused.code, refused.out) == (1, "")
    assert "nothing was set back" in refused.err
    assert "Stop `payments consume`" in refused.err
    before = _journal(deployment)
    ends = _total(ask(tmp_path, deployment, "show"), "committed")

    def rewound() -> Ran:
        return payments(tmp_path, "offsets", "rewind", "--to", begun.isoformat(), **deployment)

    told = rewound()
    assert told.code == 0, told.err
    behind = _total(ask(tmp_path, deployment, "show"), "behind")
    assert f"{behind} offsets to be read again" in told.err
    assert behind == ends, "every message came since then"
    with started(tmp_path, "up", **deployment) as up:
        up.eventually(lambda: _total(ask(tmp_path, deployment, "show"), "committed") == ends, "all is read again")
        assert up.stop() == 0
    assert _journal(deployment) == before
    audit = payments(tmp_path, "audit", "--topics", **deployment)
    assert audit.code == 0, audit.out + audit.err


def _total(document: Any, name: str) -> int:
    return sum(p[name] or 0 for group in document["groups"] for p in group["partitions"])


def _journal(environment: dict[str, str]) -> list[Any]:
    with connected(environment["PAYMENTS_DATABASE_URL"]) as connection:
        events = connection.execute("SELECT event_id, topic, body FROM event ORDER BY id").fetchall()
        letters = connection.execute("SELECT topic, reason FROM dead_letter").fetchall()
    return [*events, *letters]


def test_consumer_that_joins_between_the_look_and_the_move_keeps_its_offsets(
    tmp_path: Path, deployment: dict[str, str]
) -> None:
    answering(tmp_path, deployment)
    filled(deployment)
    committed(deployment, {0: (5, "")})
    options = load_settings(deployment, directory=tmp_path).kafka_options()

    async def move() -> None:
        wire = GroupWire(topic_of(deployment), group_of(deployment), options)
        try:
            await wire.move({0: 1}, "")
        finally:
            await wire.close()

    with client(deployment) as member:
        member.subscribe([topic_of(deployment)])

        def joined() -> bool:
            member.poll(0.1)
            return bool(member.assignment())

        eventually(joined, "the consumer has its partitions")
        with pytest.raises(GroupHasMembers):
            run(move())
        (place,) = member.committed([Place(topic_of(deployment), 0)], timeout=20)
    assert place.offset == 5


def test_time_that_the_inbox_has_forgotten_is_refused(tmp_path: Path, deployment: dict[str, str]) -> None:
    days = 2
    shorter = {
        **deployment,
        "PAYMENTS_INBOX_RETENTION_DAYS": str(days),
        "PAYMENTS_ORDER_MAX_AGE_S": "3600",
    }
    answering(tmp_path, deployment)
    at = now()
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    # A minute beside the bound, so that no midnight comes between the test's clock and the command's.
    forgotten = midnight - timedelta(days=days) - timedelta(minutes=1)
    ran = payments(tmp_path, "offsets", "rewind", "--to", forgotten.isoformat(), **shorter)
    assert (ran.code, ran.out) == (1, "")
    assert "PAYMENTS_INBOX_RETENTION_DAYS" in ran.err
    assert "--force" in ran.err
    assert payments(tmp_path, "offsets", "rewind", "--to", forgotten.isoformat(), "--force", **shorter).code == 0
    remembered = midnight - timedelta(days=days - 1)
    assert payments(tmp_path, "offsets", "rewind", "--to", remembered.isoformat(), **shorter).code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("rewind",), 2, "--to"),
        (("rewind", "--to", "yesterday"), 2, "is no time"),
        (("rewind", "--to", "0001-01-01T00:00+14:00"), 2, "is no time"),
        (("rewind", *FORCED, "--group", "nobody"), 2, "there is no group nobody"),
        (("rewind", *FORCED), 3, "Kafka"),
        (("show",), 3, "Kafka"),
    ],
)
def test_each_way_to_fail_has_its_exit_code_and_one_line(
    tmp_path: Path, arguments: tuple[str, ...], code: int, told: str
) -> None:
    away = {"PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "PAYMENTS_DATABASE_URL": "postgresql://127.0.0.1:1/none"}
    ran = payments(tmp_path, "offsets", *arguments, **away)
    assert (ran.code, ran.out) == (code, "")
    assert told in ran.err
    assert ran.err.count("\n") == 1
