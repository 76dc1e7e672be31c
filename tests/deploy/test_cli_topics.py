"""`payments topics create` beside topics that others made, and what roles do with them at their start."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from deploy.running import run
from deploy.settings import load_settings
from deploy.topics import owners_of
from producers.topics import create_topics
from tests.deploy.commands import payments
from tests.processes import started
from tests.producers.reading import make_topic, settings_of
from tests.servers.databases import database_of, make_anew

pytestmark = pytest.mark.integration

SEEN = {"cleanup_policy": "compact", "retention_ms": "60000"}
GOOD = {"max_message_bytes": "2000000", "retention_ms": "-1"}


@pytest.fixture
def migrated(
    places: dict[str, str], database_server_url: str, database_url: str, migrated_database: str
) -> dict[str, str]:
    make_anew(database_server_url, database_of(database_url), migrated_database)
    return places


def make(places: dict[str, str], event_type: str, settings: Mapping[str, str], partitions: int = 3) -> str:
    name = places["PAYMENTS_TOPIC_PREFIX"] + event_type
    asyncio.run(make_topic(places["PAYMENTS_KAFKA_BOOTSTRAP_SERVERS"], name, partitions, **settings))
    return name


def make_the_others(places: dict[str, str], tmp_path: Path) -> None:
    settings = load_settings(places, directory=tmp_path)
    run(
        create_topics(
            settings.kafka_options(),
            owners_of(settings.topic_prefix),
            partitions=3,
            replication_factor=1,
            event_bytes_max=settings.event_bytes_max,
        )
    )


def of(places: dict[str, str], topic: str) -> dict[str, str]:
    return asyncio.run(settings_of(places["PAYMENTS_KAFKA_BOOTSTRAP_SERVERS"], topic))


def created(tmp_path: Path, places: dict[str, str], *options: str) -> tuple[int, dict[str, Any]]:
    ran = payments(tmp_path, "topics", "create", "--json", *options, **places)
    document: dict[str, Any] = json.loads(ran.out)
    return ran.code, document


def test_create_says_how_a_topic_that_is_there_differs_and_what_to_do(tmp_path: Path, places: dict[str, str]) -> None:
    topic = make(places, "PaymentAuthorized", SEEN, 1)

    ran = payments(tmp_path, "topics", "create", **places)

    assert (ran.code, ran.err) == (1, "")
    lines = {
        line.split(": ")[1].split(" is ")[0]: line for line in ran.out.splitlines() if line.startswith(f"{topic}: ")
    }
    assert lines.keys() == {"partitions", "cleanup.policy", "retention.ms", "max.message.bytes"}
    assert "is 60000, wanted -1" in lines["retention.ms"]
    assert all("`payments topics create --mend`" in line for line in lines.values())
    assert ran.out.endswith(
        f"{len(owners_of(places['PAYMENTS_TOPIC_PREFIX'])) - 1} topics created, 1 was there, 4 differences\n"
    )
    assert of(places, topic)["cleanup.policy"] == "compact", "nobody asked for it to be mended"


def test_mend_sets_ours_right_and_leaves_what_others_publish(tmp_path: Path, places: dict[str, str]) -> None:
    ours = make(places, "PaymentAuthorized", SEEN, 1)
    letters = make(places, "PaymentFailed.dlt", SEEN, 1)
    theirs = make(places, "OrderConfirmed", SEEN)

    code, document = created(tmp_path, places, "--mend")

    assert code == 1, "an upstream topic is still compacted"
    assert {d["topic"] for d in document["differences"] if d["mended"]} == {ours, letters}
    left = [d for d in document["differences"] if not d["mended"]]
    assert [(d["topic"], d["setting"], d["weight"]) for d in left] == [
        (theirs, "cleanup.policy", "stops"),
        (theirs, "retention.ms", "alarm"),
    ]
    assert all("--mend-upstream" in d["todo"] for d in left)

    code, document = created(tmp_path, places, "--mend-upstream")
    assert (code, [d["topic"] for d in document["differences"] if not d["mended"]]) == (0, [])
    for topic in (ours, letters, theirs):
        found = of(places, topic)
        assert (found["cleanup.policy"], found["retention.ms"]) == ("delete", "-1")
    assert created(tmp_path, places)[1]["differences"] == []


def test_no_role_starts_on_topics_that_would_lose_events(tmp_path: Path, migrated: dict[str, str]) -> None:
    topic = make(migrated, "PaymentAuthorized", GOOD | {"cleanup_policy": "compact"})
    make_the_others(migrated, tmp_path)
    for arguments in (["consume", "all"], ["up"], ["relay"], ["relay", "--once"], ["sweep"]):
        ran = payments(tmp_path, *arguments, **migrated)
        assert (ran.code, ran.out, ran.err.count("\n")) == (3, "", 1), ran.err
        assert f"{topic}: cleanup.policy is compact" in ran.err
        assert "`payments topics create --mend`" in ran.err
    assert created(tmp_path, migrated, "--mend")[0] == 0
    assert payments(tmp_path, "relay", "--once", **migrated).out == "0 messages sent\n"


def test_a_topic_of_ours_that_keeps_too_few_bytes_starts_no_role_until_it_is_mended(
    tmp_path: Path, migrated: dict[str, str]
) -> None:
    topic = make(migrated, "PaymentAuthorized", GOOD | {"retention_bytes": "1000000"})
    make_the_others(migrated, tmp_path)
    assert created(tmp_path, migrated)[0] == 1
    ran = payments(tmp_path, "relay", "--once", **migrated)
    assert (ran.code, ran.out, ran.err.count("\n")) == (3, "", 1), ran.err
    assert f"{topic}: retention.bytes is 1000000" in ran.err
    assert "`payments topics create --mend` sets -1" in ran.err
    assert created(tmp_path, migrated, "--mend")[0] == 0
    assert of(migrated, topic)["retention.bytes"] == "-1"
    assert payments(tmp_path, "relay", "--once", **migrated).out == "0 messages sent\n"


@pytest.mark.parametrize(("setting", "value"), [("retention_ms", "3600000"), ("retention_bytes", "1000000")])
def test_an_upstream_topic_that_may_forget_orders_unread_is_an_alarm_and_roles_run(
    tmp_path: Path, migrated: dict[str, str], setting: str, value: str
) -> None:
    topic = make(migrated, "OrderConfirmed", {setting: value})
    make_the_others(migrated, tmp_path)
    with started(tmp_path, "relay", **migrated, PAYMENTS_LOG_FORMAT="json") as relay:
        relay.await_line("running")
        assert relay.stop() == 0
    (alarm,) = [line for line in map(json.loads, relay.log.splitlines()) if line.get("alarm")]
    assert (alarm["reason"], alarm["topics"], alarm["found"]) == ("topic_settings", topic, value)


def test_what_is_only_worse_than_it_could_be_is_said_once_for_all_topics(
    tmp_path: Path, migrated: dict[str, str]
) -> None:
    topics = [make(migrated, name, GOOD, 1) for name in ("PaymentVoided", "PaymentRefunded")]
    slow = make(migrated, "PaymentFailed", GOOD | {"retention_ms": "172800000"})
    make_the_others(migrated, tmp_path)
    with started(tmp_path, "relay", **migrated, PAYMENTS_LOG_FORMAT="json") as relay:
        relay.await_line("running")
        assert relay.stop() == 0
    lines = [line for line in map(json.loads, relay.log.splitlines()) if "setting" in line]
    assert [(line["level"], line["setting"], line["topics"]) for line in lines] == [
        ("warning", "retention.ms", slow),
        ("info", "partitions", ", ".join(topics)),
    ]


def test_a_wrong_dead_letter_topic_stops_nobody(tmp_path: Path, migrated: dict[str, str]) -> None:
    make(migrated, "OrderConfirmed.dlt", SEEN)
    make_the_others(migrated, tmp_path)
    assert payments(tmp_path, "relay", "--once", **migrated).out == "0 messages sent\n"
    assert created(tmp_path, migrated)[0] == 0
