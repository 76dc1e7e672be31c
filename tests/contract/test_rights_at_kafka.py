"""The rights on a reader's page are enough for its part, on a broker with rules of access, and give no more."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import TopicAuthorizationFailedError
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from deploy.contract_pages.readers import READERS
from deploy.contract_pages.rights import rights_of
from producers.topics import create_topics
from schemas.topics import CONSUMED, TOPICS, dead_letter_topic
from tests.eventually import EVENTUALLY_S
from tests.guarded import NOBODY, guarded

__all__ = ["guarded"]

pytestmark = pytest.mark.integration

STOREFRONT = next(reader for reader in READERS if reader.slug == "storefront")
OURS, ASKED, OTHERS = "PaidAndConfirmed", "PaymentRetryRequested", "OrderConfirmed"
SOMEBODY_ELSE = "User:somebody-else"


def grant(servers: str) -> None:
    """Grant what the page says. Every topic and the group have a rule, so nobody else may anything there."""
    admin = AdminClient({"bootstrap.servers": servers})
    kinds = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP}
    patterns = {"literal": ResourcePatternType.LITERAL, "prefixed": ResourcePatternType.PREFIXED}
    allow = AclPermissionType.ALLOW
    rules = [
        AclBinding(ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, SOMEBODY_ELSE, "*", AclOperation.READ, allow)
        for topic in TOPICS
    ]
    for right in rights_of(STOREFRONT, ""):
        for operation in right.operations:
            wanted = AclOperation[operation.upper()]
            kind, pattern = kinds[right.resource], patterns[right.pattern]
            rules.append(AclBinding(kind, right.name, pattern, NOBODY, "*", wanted, allow))
    for made in admin.create_acls(rules).values():
        made.result(30)


async def first_of(servers: str, topic: str) -> bytes | None:
    """Return the first message of a topic, read in a group of the reader's."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=servers, group_id=f"{STOREFRONT.slug}.shown", auto_offset_reset="earliest"
    )
    try:
        await consumer.start()
        found: bytes | None = (await asyncio.wait_for(consumer.getone(), EVENTUALLY_S)).value
        return found
    finally:
        await consumer.stop()


async def test_a_reader_with_the_rights_of_its_page_publishes_reads_and_can_do_no_more(guarded: str) -> None:
    kafka = {"bootstrap_servers": guarded}
    letters = [dead_letter_topic("", event_type) for event_type in CONSUMED]
    await create_topics(kafka, [*TOPICS, *letters], partitions=1, replication_factor=1, event_bytes_max=1_000)
    async with AIOKafkaProducer(**kafka) as before:
        for topic in (OURS, dead_letter_topic("", ASKED)):
            await before.send_and_wait(topic, topic.encode())
    grant(guarded)

    async with AIOKafkaProducer(**kafka, enable_idempotence=True, acks="all") as producer:
        await producer.send_and_wait(ASKED, b"a retry", key=b"A-1002")
        assert await first_of(guarded, OURS) == OURS.encode()
        assert await first_of(guarded, dead_letter_topic("", ASKED)) == dead_letter_topic("", ASKED).encode()

        with pytest.raises(TopicAuthorizationFailedError):
            await producer.send_and_wait(OURS, b"said by another")
        with pytest.raises(TopicAuthorizationFailedError):
            await first_of(guarded, OTHERS)
