"""Asks the brokers what our user may do, before a process begins: a missing right is told at once, by its name."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IncompatibleBrokerVersion,
    NoError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.protocol.admin import DescribeGroupsRequest_v3, DescribeGroupsResponse_v3
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from producers.connection import admin_client, coordinator_of

READ, WRITE = "Read", "Write"
_BITS: Final = {READ: 1 << 3, WRITE: 1 << 4}
"""Kafka's AclOperation by number, in the bit field of what is allowed."""
_NOT_TOLD: Final = -(2**31)
ASK_MS: Final = 20_000


class Lacked(NamedTuple):
    """A right that our user does not have. kind: topic or group."""

    operation: str
    kind: str
    name: str


async def lacked_rights(
    kafka: Mapping[str, Any], *, reads: Collection[str], writes: Collection[str], groups: Collection[str]
) -> list[Lacked]:
    """Return the rights that are missing to read and write these topics and to be a member of these groups.

    What brokers do not tell, as very old ones, does not count as missing; neither does a topic that does not exist.
    Raises DownForEverybody when no broker answers, Transient otherwise.
    """
    wanted = [(READ, topic) for topic in reads] + [(WRITE, topic) for topic in writes]
    async with admin_client(kafka, "payments-rights", "about our rights", ASK_MS) as admin:
        try:
            may = await _of_topics(admin, sorted({topic for _, topic in wanted}))
            of_groups = await _of_groups(admin, groups)
        except (IncompatibleBrokerVersion, NotImplementedError):
            return []
    lacked = [Lacked(operation, "topic", topic) for operation, topic in wanted if not may[topic] & _BITS[operation]]
    return lacked + [Lacked(READ, "group", group) for group in groups if not of_groups[group] & _BITS[READ]]


async def _of_topics(admin: AIOKafkaAdminClient, topics: Sequence[str]) -> dict[str, int]:
    """Return what we may do with each topic, as a bit field; -1 for all."""
    found = dict.fromkeys(topics, -1)
    if topics:
        answer: Any = await admin._send_request(_RightsRequest(topics))  # noqa: SLF001 - there is no public way
        for code, topic, *_, operations in answer.topics:
            found[topic] = _bits(code, operations)
    return found


async def _of_groups(admin: AIOKafkaAdminClient, groups: Collection[str]) -> dict[str, int]:
    """Return what we may do with each group, as _of_topics."""
    found = {}
    for group in groups:
        try:
            node = await coordinator_of(admin, group)
        except GroupAuthorizationFailedError:
            found[group] = 0
            continue
        answer: Any = await admin._send_request(_GroupRequest(group), node)  # noqa: SLF001 - as above
        ((code, *_, operations),) = answer.groups
        found[group] = _bits(code, operations)
    return found


def _bits(code: int, operations: int) -> int:
    error = for_code(code)
    if error in {TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError}:
        return 0
    return -1 if error is not NoError or operations == _NOT_TOLD else operations


class _RightsResponse(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            Array(("node_id", Int32), ("host", String("utf-8")), ("port", Int32), ("rack", String("utf-8"))),
        ),
        ("cluster_id", String("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String("utf-8")),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("operations", Int32),
            ),
        ),
        ("cluster_operations", Int32),
    )


class _RightsRequestStruct(RequestStruct):  # type: ignore[misc]
    """Kafka's Metadata request, version 8: it tells what we may do with topics, and creates none."""

    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _RightsResponse
    SCHEMA = Schema(
        ("topics", Array(String("utf-8"))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_operations", Boolean),
        ("include_topic_operations", Boolean),
    )


class _RightsRequest(Request[_RightsRequestStruct]):  # type: ignore[misc]
    API_KEY = 3

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = list(topics)

    def build(self, request_struct_class: type[_RightsRequestStruct]) -> _RightsRequestStruct:
        return request_struct_class(self._topics, False, False, True)


class _GroupRequestStruct(RequestStruct):  # type: ignore[misc]
    """Kafka's DescribeGroups request, version 3. The library's reads its answer as one of version 2, without rights."""

    API_KEY = 15
    API_VERSION = 3
    RESPONSE_TYPE = DescribeGroupsResponse_v3
    SCHEMA = DescribeGroupsRequest_v3.SCHEMA


class _GroupRequest(Request[_GroupRequestStruct]):  # type: ignore[misc]
    API_KEY = 15

    def __init__(self, group: str) -> None:
        self._group = group

    def build(self, request_struct_class: type[_GroupRequestStruct]) -> _GroupRequestStruct:
        return request_struct_class([self._group], True)
