"""A missing right at Kafka is told at start by its name: topic to read, topic to write, group."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from consumers.order_confirmed import authorize_payment
from deploy.preparing import make_topics
from deploy.running import run
from deploy.settings import Settings, load_settings
from deploy.topics import check_rights
from domain.errors import DownForEverybody
from domain.reaction import Reaction
from tests.deploy.commands import payments
from tests.eventually import eventually
from tests.secure.broker import USER
from tests.secure.conftest import Secured
from tests.secure.test_refusals_of_kafka import login, settings

pytestmark = [pytest.mark.secure, pytest.mark.integration]

READ, WRITE, DESCRIBE = AclOperation.READ, AclOperation.WRITE, AclOperation.DESCRIBE


@pytest.fixture
def ours(secured: Secured, topic_prefix: str, tmp_path: Path) -> Settings:
    """Make all topics as the administrator; give settings of a user who may do nothing."""
    common = {"PAYMENTS_TOPIC_PREFIX": topic_prefix, "PAYMENTS_TOPIC_PARTITIONS": "1"}
    admin = load_settings({**settings(secured.kafka.address, "PLAINTEXT"), **common}, directory=tmp_path)
    run(make_topics(admin))
    given = settings(secured.kafka.at("LOGIN"), "SASL_SSL", ssl_cafile=secured.ca, **login())
    return load_settings({**given, **common}, directory=tmp_path)


def told(ours: Settings, reactions: Sequence[Reaction] = (), *, relays: bool = False) -> str:
    try:
        run(check_rights(ours, reactions, relays=relays))
    except DownForEverybody as error:
        return str(error)
    return ""


async def commit(servers: str, topic: str, group: str) -> None:
    """Have the group known to its coordinator, which then answers about it."""
    partition = TopicPartition(topic, 0)
    async with AIOKafkaConsumer(bootstrap_servers=servers, group_id=group, enable_auto_commit=False) as consumer:
        consumer.assign([partition])
        await consumer.commit({partition: 0})


def test_each_missing_right_of_a_consumer_and_of_a_relay_is_named(
    secured: Secured, ours: Settings, topic_prefix: str
) -> None:
    topic, group = f"{topic_prefix}OrderConfirmed", topic_prefix + authorize_payment.group
    run(commit(secured.kafka.address, topic, group))
    text = told(ours, reactions=[authorize_payment])
    assert f"Read on topic {topic}, Read on group {group}: " in text
    assert f"--allow-principal User:{USER} --operation Read --topic {topic}" in text

    secured.kafka.allow(ResourceType.TOPIC, topic, READ)
    eventually(lambda: "on topic" not in told(ours, reactions=[authorize_payment]), "the topic may be read")
    assert f"Read on group {group}: " in told(ours, reactions=[authorize_payment])
    secured.kafka.allow(ResourceType.GROUP, group, DESCRIBE)
    assert f"Read on group {group}: " in told(ours, reactions=[authorize_payment])
    secured.kafka.allow(ResourceType.GROUP, topic_prefix, READ, pattern=ResourcePatternType.PREFIXED)
    eventually(lambda: not told(ours, reactions=[authorize_payment]), "the group may be joined")

    secured.kafka.allow(ResourceType.TOPIC, topic_prefix, DESCRIBE, pattern=ResourcePatternType.PREFIXED)
    text = told(ours, relays=True)
    assert f"Write on topic {topic_prefix}" in text
    assert "Read on" not in text
    secured.kafka.allow(ResourceType.TOPIC, topic_prefix, WRITE, pattern=ResourcePatternType.PREFIXED)
    eventually(lambda: not told(ours, relays=True), "the relay may write")


def test_a_role_without_its_rights_ends_with_3(
    secured: Secured, ours: Settings, topic_prefix: str, database_url: str, tmp_path: Path
) -> None:
    """Even the names of topics are hidden from who may do nothing."""
    given = {
        **settings(secured.kafka.at("LOGIN"), "SASL_SSL", ssl_cafile=secured.ca, **login()),
        "PAYMENTS_TOPIC_PREFIX": topic_prefix,
        "PAYMENTS_DATABASE_URL": database_url,
    }
    assert payments(tmp_path, "migrate", **given).code == 0
    ran = payments(tmp_path, "relay", **given)
    assert ran.code == 3
    assert "Kafka's rules of access forbid our user Write on topic" in ran.err
