"""A user whom the broker's rules forbid to read or to change the settings of topics: roles start, and it is said."""

import asyncio

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from producers.topic_settings import Found, Owner, Wanted, compare
from producers.topics import create_topics, mend_topics, missing_topics, survey_topics
from tests.eventually import EVENTUALLY_S, POLL_S
from tests.guarded import NOBODY, guarded

__all__ = ["guarded"]

pytestmark = pytest.mark.integration

WANTED = Wanted(partitions=1, replication_factor=1, event_bytes_max=1_000)
OWNERS = {"A": Owner.OURS, "B": Owner.OURS}


def rule(operation: AclOperation, permission: AclPermissionType) -> AclBinding:
    return AclBinding(ResourceType.TOPIC, "A", ResourcePatternType.LITERAL, NOBODY, "*", operation, permission)


async def test_what_may_not_be_read_or_changed_is_said_and_stops_nobody(guarded: str) -> None:
    kafka = {"bootstrap_servers": guarded}
    await create_topics(kafka, ["A", "B"], partitions=1, replication_factor=1, event_bytes_max=1_000)
    admin = AdminClient({"bootstrap.servers": guarded})
    rules = [
        rule(AclOperation.ALL, AclPermissionType.ALLOW),
        rule(AclOperation.DESCRIBE_CONFIGS, AclPermissionType.DENY),
        rule(AclOperation.ALTER_CONFIGS, AclPermissionType.DENY),
        rule(AclOperation.ALTER, AclPermissionType.DENY),
    ]
    for made in admin.create_acls(rules).values():
        made.result(30)

    survey = await survey_topics(kafka, OWNERS, WANTED)
    for _ in range(int(EVENTUALLY_S / POLL_S)):
        if survey.unread:
            break
        await asyncio.sleep(POLL_S)
        survey = await survey_topics(kafka, OWNERS, WANTED)

    assert (survey.missing, survey.differences) == ([], [])
    assert survey.unread == {"A": "TopicAuthorizationFailedError"}
    for settings, partitions in (({"retention.ms": "60000"}, 1), ({}, 0)):
        differences = compare(Found("A", Owner.OURS, partitions, 1, settings), WANTED)
        refused = await mend_topics(kafka, differences)
        assert refused.keys() == {"A"}
        assert "uthoriz" in refused["A"]
    assert await missing_topics(kafka, ["A"]) == []
