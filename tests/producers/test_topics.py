"""Topics on a real Kafka: made once, with the settings that the promises rest on."""

import asyncio

import pytest

from domain.errors import DownForEverybody
from producers import topics
from producers.topic_settings import Found, Owner, Wanted, compare
from producers.topics import (
    Survey,
    TopicsMade,
    TopicsRefused,
    create_topics,
    mend_topics,
    missing_topics,
    survey_topics,
)
from tests.eventually import EVENTUALLY_S, POLL_S
from tests.producers.reading import make_topic, settings_of

pytestmark = pytest.mark.integration


async def make(bootstrap: str, *names: str, replication_factor: int = 1) -> TopicsMade:
    return await create_topics(
        {"bootstrap_servers": bootstrap},
        names,
        partitions=3,
        replication_factor=replication_factor,
        event_bytes_max=2_000_000,
    )


async def test_topics_are_made_once_and_found_again(kafka_bootstrap: str, topic_prefix: str) -> None:
    first, second = f"{topic_prefix}A", f"{topic_prefix}B"
    kafka = {"bootstrap_servers": kafka_bootstrap}
    assert await missing_topics(kafka, [second, first]) == [first, second]
    assert await make(kafka_bootstrap, first) == TopicsMade([first], [])
    assert await make(kafka_bootstrap, first, second) == TopicsMade([second], [first])
    assert await make(kafka_bootstrap, first, second) == TopicsMade([], [first, second])
    assert await missing_topics(kafka, [first, second]) == []


async def test_a_topic_that_a_broker_does_not_name_at_once_is_not_missing(
    kafka_bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a broker that has just come back, and learns of the topics while it answers."""
    monkeypatch.setattr(topics, "SURE_S", EVENTUALLY_S)  # a busy broker takes longer than ours may to make a topic
    kafka, name = {"bootstrap_servers": kafka_bootstrap}, f"{topic_prefix}A"
    looking = asyncio.gather(
        missing_topics(kafka, [name]), survey_topics(kafka, {name: Owner.OURS}, Wanted(3, 1, 2_000_000))
    )
    await asyncio.sleep(0)  # both have begun to look
    assert (await make(kafka_bootstrap, name)).created == [name]
    missing, survey = await looking
    assert (missing, survey.missing) == ([], [])


async def test_the_broker_has_the_settings_that_were_asked_for(kafka_bootstrap: str, topic_prefix: str) -> None:
    await make(kafka_bootstrap, f"{topic_prefix}A")
    found = await settings_of(kafka_bootstrap, f"{topic_prefix}A")
    assert Wanted(3, 1, 2_000_000).configs().items() <= found.items()
    assert int(found["max.message.bytes"]) > 2_000_000


async def test_more_copies_than_brokers_say_what_to_set(kafka_bootstrap: str, topic_prefix: str) -> None:
    with pytest.raises(TopicsRefused, match="PAYMENTS_TOPIC_REPLICATION_FACTOR=1"):
        await make(kafka_bootstrap, f"{topic_prefix}A", replication_factor=3)


async def test_a_name_that_is_not_allowed_is_refused_with_kafkas_words(kafka_bootstrap: str) -> None:
    with pytest.raises(TopicsRefused, match="Kafka did not make a/b: "):
        await make(kafka_bootstrap, "a/b")


async def test_nobody_listening_is_said() -> None:
    with pytest.raises(DownForEverybody, match="no Kafka broker answers"):
        await missing_topics({"bootstrap_servers": "127.0.0.1:1"}, ["A"])


def test_from_three_copies_on_two_must_have_a_message() -> None:
    assert [Wanted(3, copies, 1).configs()["min.insync.replicas"] for copies in (1, 2, 3, 5)] == ["1", "1", "2", "2"]


WANTED = Wanted(partitions=3, replication_factor=1, event_bytes_max=1_000_000)
SEEN = {"cleanup_policy": "compact", "retention_ms": "60000"}


async def surveyed(bootstrap: str, owners: dict[str, Owner]) -> Survey:
    return await survey_topics({"bootstrap_servers": bootstrap}, owners, WANTED)


async def until(bootstrap: str, owners: dict[str, Owner], differences: set[tuple[str, str]]) -> None:
    """Wait until these are all the differences: brokers show a change a moment after it was made."""
    found: set[tuple[str, str]] | None = None
    for _ in range(int(EVENTUALLY_S / POLL_S)):
        found = {(d.topic, d.setting) for d in (await surveyed(bootstrap, owners)).differences}
        if found == differences:
            return
        await asyncio.sleep(POLL_S)
    assert found == differences


async def test_a_topic_as_somebody_else_made_it_shows_each_difference(kafka_bootstrap: str, topic_prefix: str) -> None:
    ours, missing = f"{topic_prefix}A", f"{topic_prefix}B"
    await make_topic(kafka_bootstrap, ours, 1, **SEEN, compression_type="zstd")
    await until(
        kafka_bootstrap,
        {ours: Owner.OURS, missing: Owner.OURS},
        {
            (ours, "partitions"),
            (ours, "cleanup.policy"),
            (ours, "retention.ms"),
            (ours, "compression.type"),
            (ours, "max.message.bytes"),  # the broker's default is below our largest event
        },
    )
    survey = await surveyed(kafka_bootstrap, {ours: Owner.OURS, missing: Owner.OURS})
    assert (survey.missing, survey.unread) == ([missing], {})


async def test_topics_that_were_made_here_differ_in_nothing(kafka_bootstrap: str, topic_prefix: str) -> None:
    await make(kafka_bootstrap, f"{topic_prefix}A")
    await until(kafka_bootstrap, {f"{topic_prefix}A": Owner.OURS}, set())


async def test_mending_sets_what_is_wrong_and_leaves_what_the_owner_set(
    kafka_bootstrap: str, topic_prefix: str
) -> None:
    name, kafka = f"{topic_prefix}A", {"bootstrap_servers": kafka_bootstrap}
    await make_topic(kafka_bootstrap, name, 1, **SEEN, max_message_bytes="1000", segment_ms="3600000")
    owners = {name: Owner.OURS}
    await until(
        kafka_bootstrap,
        owners,
        {(name, setting) for setting in ("partitions", "cleanup.policy", "retention.ms", "max.message.bytes")},
    )

    differences = (await surveyed(kafka_bootstrap, owners)).differences
    assert await mend_topics(kafka, differences) == {}

    await until(kafka_bootstrap, owners, set())
    found = await settings_of(kafka_bootstrap, name)
    assert (found["cleanup.policy"], found["retention.ms"]) == ("delete", "-1")
    assert found["segment.ms"] == "3600000"


async def test_old_events_survive_when_a_compacted_topic_is_mended(kafka_bootstrap: str, topic_prefix: str) -> None:
    name, kafka = f"{topic_prefix}A", {"bootstrap_servers": kafka_bootstrap}
    await make_topic(kafka_bootstrap, name, 3, **SEEN)
    await mend_topics(kafka, compare(Found(name, Owner.UPSTREAM, 3, 1, dotted(SEEN)), WANTED))
    await until(kafka_bootstrap, {name: Owner.UPSTREAM}, set())
    found = await settings_of(kafka_bootstrap, name)
    assert (found["cleanup.policy"], found["retention.ms"]) == ("delete", "-1")


async def test_what_cannot_be_mended_is_told_with_the_brokers_words(kafka_bootstrap: str, topic_prefix: str) -> None:
    good, gone = f"{topic_prefix}A", f"{topic_prefix}B"
    await make_topic(kafka_bootstrap, good, 3, **SEEN)
    differences = [d for name in (gone, good) for d in compare(Found(name, Owner.OURS, 1, 1, dotted(SEEN)), WANTED)]

    refused = await mend_topics({"bootstrap_servers": kafka_bootstrap}, differences)

    assert refused.keys() == {gone, good}
    assert "does not exist" in refused[gone]
    assert "3 partition" in refused[good], "it has three already: none is added, and none is taken away"
    assert (await settings_of(kafka_bootstrap, good))["retention.ms"] == "-1"


def dotted(settings: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "."): value for name, value in settings.items()}
