"""Reads and changes the settings of topics, and adds partitions."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, NotControllerError, UnknownTopicOrPartitionError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int8, Int16, Int32, Schema, String

from producers.connection import NO_ANSWER
from producers.topic_settings import READ

_SET: Final = 0
_TOPIC: Final = int(ConfigResourceType.TOPIC)


class _IncrementalAlterConfigsResponse(Response):  # type: ignore[misc] # aiokafka has no types
    API_KEY = 44
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "responses",
            Array(
                ("error_code", Int16),
                ("error_message", String("utf-8")),
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
            ),
        ),
    )


class _IncrementalAlterConfigsStruct(RequestStruct):  # type: ignore[misc] # as above
    API_KEY = 44
    API_VERSION = 0
    RESPONSE_TYPE = _IncrementalAlterConfigsResponse
    SCHEMA = Schema(
        (
            "resources",
            Array(
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
                (
                    "configs",
                    Array(("name", String("utf-8")), ("config_operation", Int8), ("value", String("utf-8"))),
                ),
            ),
        ),
        ("validate_only", Boolean),
    )


class _IncrementalAlterConfigs(Request[_IncrementalAlterConfigsStruct]):  # type: ignore[misc] # as above
    """KIP-339. aiokafka's own alter_configs sets a topic's other settings back to the defaults."""

    API_KEY = 44

    def __init__(self, topic: str, settings: Mapping[str, str]) -> None:
        changes = [(name, _SET, value) for name, value in settings.items()]
        self._resources = [(_TOPIC, topic, changes)]

    def build(self, request_struct_class: type[_IncrementalAlterConfigsStruct]) -> _IncrementalAlterConfigsStruct:
        return request_struct_class(self._resources, False)


async def read_settings(
    admin: AIOKafkaAdminClient, topics: Sequence[str]
) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """Return the settings of the topics that this user may read, and why others were not read, both by topic.

    Nothing is raised: roles work without these settings, also with a broker that does not know the request
    (NotImplementedError, which is a RuntimeError).
    """
    if not topics:
        return {}, {}
    asked = [ConfigResource(ConfigResourceType.TOPIC, topic, dict.fromkeys(READ)) for topic in topics]
    found: dict[str, dict[str, str]] = {}
    unread: dict[str, str] = {}
    try:
        responses = await admin.describe_configs(asked)
    except NO_ANSWER as error:
        return {}, dict.fromkeys(topics, type(error).__name__)
    for response in responses:
        for code, _, _, topic, entries in response.resources:
            if code == 0:
                found[topic] = {entry[0]: entry[1] for entry in entries if entry[1] is not None}
            elif code != UnknownTopicOrPartitionError.errno:
                # That topic was just made, and this broker does not know it yet.
                unread[topic] = for_code(code).__name__
    return found, unread


async def set_settings(admin: AIOKafkaAdminClient, topic: str, settings: Mapping[str, str]) -> str | None:
    """Set these settings of a topic, all or none; others stay. Return why not, None when it is done."""
    try:
        response: Any = await admin._send_request(_IncrementalAlterConfigs(topic, settings))  # noqa: SLF001 - as above
    except (KafkaError, NotImplementedError) as error:
        return type(error).__name__
    ((code, message, _, _),) = response.responses
    return None if code == 0 else message or for_code(code).__name__


async def add_partitions(admin: AIOKafkaAdminClient, topic: str, count: int) -> str | None:
    """Raise a topic's number of partitions to `count`. Return why not, None when it is done."""
    try:
        await admin.create_partitions({topic: NewPartitions(count)})
    except NotControllerError:
        raise
    except KafkaError as error:
        return str(error)
    return None
