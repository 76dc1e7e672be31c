"""Topics on a real Kafka: made once, with the settings that the promises rest on."""

import pytest

from domain.errors import DownForEverybody
from producers.topics import TopicsMade, TopicsRefused, create_topics, missing_topics, topic_configs
from tests.producers.reading import settings_of

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


async def test_the_broker_has_the_settings_that_were_asked_for(kafka_bootstrap: str, topic_prefix: str) -> None:
    await make(kafka_bootstrap, f"{topic_prefix}A")
    found = await settings_of(kafka_bootstrap, f"{topic_prefix}A")
    assert topic_configs(1, 2_000_000).items() <= found.items()
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
    assert [topic_configs(copies, 1)["min.insync.replicas"] for copies in (1, 2, 3, 5)] == ["1", "1", "2", "2"]
