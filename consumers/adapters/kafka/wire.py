"""Requests to the brokers that aiokafka's consumer does not offer, over a connection of our own.

They read the bytes of a partition, the id of a topic, and a group's committed offsets with their notes. The requests
are aiokafka's; only a newer version of one of them is declared here.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar, Final, NamedTuple

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    NoError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

from consumers.adapters.kafka.closing import begun, close_client
from consumers.adapters.kafka.no_answer import NO_ANSWER
from domain.errors import Transient

ASK_S: Final = 5
"""Time for an answer. A broker that runs answers in milliseconds."""
AGAIN_S: Final = 0.1
READ_COMMITTED: Final = 1
LATEST: Final = -1
EARLIEST: Final = -2
CLIENT_ID: Final = "payments-look"


class Fetched(NamedTuple):
    """What a broker sent for an offset.

    end: the offset behind the last message that may be read.
    aborted: producer and first offset of aborted transactions.
    whole: it sent all that it has.
    error: the error's name if it sent nothing.
    retriable: asking again may help.
    """

    raw: bytes
    end: int
    aborted: tuple[tuple[int, int], ...]
    whole: bool
    error: str | None
    retriable: bool


class Topic(NamedTuple):
    """A topic. topic_id differs from those of earlier topics of the same name; empty where brokers do not say."""

    topic_id: str
    partitions: tuple[int, ...]


class Committed(NamedTuple):
    """A group's committed offset of a partition, and the note beside it: the topic's id."""

    offset: int
    topic_id: str


class Wire:
    """Sends requests about one topic and one group. Every method raises Transient when no broker answers.

    connection: aiokafka's options for the brokers' address and security.
    """

    def __init__(self, topic: str, group: str, connection: Mapping[str, Any]) -> None:
        self._topic = topic
        self._group = group
        self._connection = {**connection, "client_id": CLIENT_ID}
        self._client: AIOKafkaClient | None = None
        self._connecting = asyncio.Lock()

    async def fetch(self, partition: int, offset: int, bytes_max: int) -> Fetched:
        """Return the partition's bytes from this offset on: whole batches, at least one."""
        request = FetchRequest(0, 0, bytes_max, READ_COMMITTED, [(self._topic, [(partition, offset, bytes_max)])])
        async with self._connected() as client:
            response = await client.send(await self._leader(client, partition), request)
        ((_, ((_, code, _, end, _, aborted, *_, raw),)),) = response.topics
        error = for_code(code)
        if error is NoError:
            data = bytes(raw or b"")
            return Fetched(data, end, tuple(aborted or ()), len(data) < bytes_max, None, retriable=False)
        if error.invalid_metadata:
            client.force_metadata_update()
        return Fetched(b"", end, (), whole=False, error=error.__name__, retriable=error.retriable)

    async def topic(self) -> Topic | None:
        """Return the topic that has the name now, None if there is none."""
        async with self._connected() as client:
            try:
                response = await client.send(client.get_random_node(), _TopicRequest(self._topic))
            except NotImplementedError:
                return Topic("", tuple(client.cluster.partitions_for_topic(self._topic) or ()))
        ((code, _, high, low, _, partitions, *_),) = response.topics
        error = for_code(code)
        if error is UnknownTopicOrPartitionError:
            return None
        if error is not NoError:
            # An answer without permission has no id. That does not mean another topic.
            raise Transient(f"Kafka does not say which topic {self._topic} is ({error.__name__})")
        return Topic(f"{high & _UINT64:016x}{low & _UINT64:016x}", tuple(partition[1] for partition in partitions))

    async def bounds(self, partition: int) -> tuple[int, int]:
        """Return the offset of the partition's first message, and the one behind the last that may be read."""
        found: list[int] = []
        async with self._connected() as client:
            node = await self._leader(client, partition)
            for which in (EARLIEST, LATEST):
                request = OffsetRequest(-1, READ_COMMITTED, [(self._topic, [(partition, which)])])
                ((_, ((_, code, _, offset),)),) = (await client.send(node, request)).topics
                error = for_code(code)
                if error is not NoError:
                    raise Transient(f"Kafka does not say where {self._topic}[{partition}] ends ({error.__name__})")
                found.append(offset)
        return found[0], found[1]

    async def all_bounds(self, partitions: Collection[int]) -> dict[int, tuple[int, int]]:
        """Return the bounds of these partitions, with two requests to each broker that leads some of them."""
        found: dict[int, list[int]] = {partition: [] for partition in partitions}
        async with self._connected() as client:
            led: dict[int, list[int]] = {}
            for partition in partitions:
                led.setdefault(await self._leader(client, partition), []).append(partition)
            for node, those in led.items():
                for which in (EARLIEST, LATEST):
                    request = OffsetRequest(-1, READ_COMMITTED, [(self._topic, [(p, which) for p in those])])
                    for _, answers in (await client.send(node, request)).topics:
                        for partition, code, _, offset in answers:
                            error = for_code(code)
                            if error is not NoError:
                                where = f"{self._topic}[{partition}]"
                                raise Transient(f"Kafka does not say where {where} ends ({error.__name__})")
                            found[partition].append(offset)
        return {partition: (first, end) for partition, (first, end) in found.items()}

    async def committed(self, partitions: Collection[int]) -> dict[int, Committed]:
        """Return what the group has committed, for those of the partitions where it has."""
        async with self._connected() as client:
            node = await self._coordinator(client)
            response = await client.send(node, OffsetFetchRequest(self._group, [(self._topic, list(partitions))]))
        # While the coordinator moves or loads, the answer has an error and no partitions, as if nothing were committed.
        self._raise_for(getattr(response, "error_code", 0))
        found: dict[int, Committed] = {}
        for _, answers in response.topics:
            for partition, offset, note, code in answers:
                self._raise_for(code)
                if offset >= 0:
                    found[partition] = Committed(offset, note or "")
        return found

    def _raise_for(self, code: int) -> None:
        error = for_code(code)
        if error is not NoError:
            raise Transient(f"Kafka does not say where {self._group} stands ({error.__name__})")

    async def close(self) -> None:
        """Close the connection, if there is one."""
        client, self._client = self._client, None
        if client is not None:
            await close_client(client)

    async def _coordinator(self, client: AIOKafkaClient) -> int:
        while True:
            with suppress(GroupCoordinatorNotAvailableError):
                node: int = await client.coordinator_lookup(CoordinationType.GROUP, self._group)
                return node
            # A fresh broker first makes the topic for offsets.
            await asyncio.sleep(AGAIN_S)

    async def _leader(self, client: AIOKafkaClient, partition: int) -> int:
        node: int | None = client.cluster.leader_for_partition(TopicPartition(self._topic, partition))
        if node is None or node == -1:
            await client.force_metadata_update()
            raise Transient(f"{self._topic}[{partition}] has no leader")
        return node

    async def _connect(self) -> AIOKafkaClient:
        client = AIOKafkaClient(request_timeout_ms=ASK_S * 1_000, **self._connection)
        try:
            await begun(client.bootstrap())
            await client.set_topics([self._topic])
        except BaseException:
            await close_client(client)
            raise
        return client

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AIOKafkaClient]:
        """Give the client for one request. An error closes it and becomes Transient."""
        try:
            async with asyncio.timeout(ASK_S):
                # Only one makes the client: the reader and the search for a stretch's end both need it.
                async with self._connecting:
                    self._client = self._client or await self._connect()
                yield self._client
        except NO_ANSWER as error:
            await self.close()
            raise Transient(f"Kafka does not answer: {error!r}") from error


_UINT64: Final = (1 << 64) - 1
_TAGS: Final = ("tags", TaggedFields)
_NUMBERS: Final = CompactArray(Int32)


class _TopicResponse(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                _TAGS,
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", CompactString("utf-8")),
                ("topic_id_high", Int64),
                ("topic_id_low", Int64),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", _NUMBERS),
                        ("isr", _NUMBERS),
                        ("offline_replicas", _NUMBERS),
                        _TAGS,
                    ),
                ),
                ("operations", Int32),
                _TAGS,
            ),
        ),
        _TAGS,
    )


class _TopicRequestStruct(RequestStruct):  # type: ignore[misc]
    """Kafka's Metadata request, version 12: it returns a topic's id and does not create the topic."""

    FLEXIBLE_VERSION: ClassVar[bool] = True
    API_KEY = 3
    API_VERSION = 12
    RESPONSE_TYPE = _TopicResponse
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("topic_id_high", Int64), ("topic_id_low", Int64), ("topic", CompactString("utf-8")), _TAGS),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_operations", Boolean),
        _TAGS,
    )


class _TopicRequest(Request[_TopicRequestStruct]):  # type: ignore[misc]
    API_KEY = 3

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def build(self, request_struct_class: type[_TopicRequestStruct]) -> _TopicRequestStruct:
        return request_struct_class([(0, 0, self._topic, {})], False, False, {})
