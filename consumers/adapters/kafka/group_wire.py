"""Requests that only operators make: who is in a group, where a time begins on a topic, and the move of offsets."""

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from aiokafka.errors import (
    IllegalGenerationError,
    NoError,
    RebalanceInProgressError,
    UnknownMemberIdError,
    for_code,
)
from aiokafka.protocol.admin import DescribeGroupsRequest
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.offset import OffsetRequest

from consumers.adapters.kafka.wire import READ_COMMITTED, Wire
from domain.errors import Transient

_NOBODY: Final = ""
_KEPT_BY_BROKER: Final = -1
_OF_MEMBERS: Final = (IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError)
"""What a broker answers to a commit from outside while the group has members."""


class Member(NamedTuple):
    """A member of a group: its client's name, and the host that the broker sees."""

    client: str
    host: str


class GroupHasMembers(Exception):  # noqa: N818 - an answer, not a fault of ours
    """Only its members may commit offsets of a group that has some."""


class GroupWire(Wire):
    """Wire, for an operator. Every method raises Transient when no broker answers."""

    async def members(self) -> list[Member]:
        """Return who is in the group now. A group that the broker does not know has nobody."""
        async with self._connected() as client:
            node = await self._coordinator(client)
            # One group a request: aiokafka misreads an answer about several.
            response = await client.send(node, DescribeGroupsRequest([self._group]))
        ((code, _, _, _, _, members, *_),) = response.groups
        self._raise_for(code)
        return [Member(client_id, host) for _, client_id, host, *_ in members]

    async def first_since(self, partitions: Collection[int], time_ms: int) -> dict[int, int]:
        """Return the offset of the first record of this time or later, for those of the partitions that have one.

        time_ms: milliseconds since 1970, compared with the records' own time-stamps. All records before that offset
        are older.
        """
        found: dict[int, int] = {}
        # Below 0 are the broker's own words: first, last.
        since = max(time_ms, 0)
        async with self._connected() as client:
            led: dict[int, list[int]] = {}
            for partition in partitions:
                led.setdefault(await self._leader(client, partition), []).append(partition)
            for node, those in led.items():
                request = OffsetRequest(-1, READ_COMMITTED, [(self._topic, [(p, since) for p in those])])
                for _, answers in (await client.send(node, request)).topics:
                    for partition, code, _, offset in answers:
                        error = for_code(code)
                        if error is not NoError:
                            where = f"{self._topic}[{partition}]"
                            raise Transient(f"Kafka does not say where a time begins on {where} ({error.__name__})")
                        if offset >= 0:
                            found[partition] = offset
        return found

    async def move(self, offsets: Mapping[int, int], topic_id: str) -> None:
        """Set what the group has committed of these partitions. topic_id: the note that its members leave, too.

        Raises GroupHasMembers if somebody is in the group: the broker takes offsets of its members alone then.
        """
        places = [(partition, offset, topic_id) for partition, offset in offsets.items()]
        async with self._connected() as client:
            node = await self._coordinator(client)
            request = OffsetCommitRequest(
                self._group,
                OffsetCommitRequest.DEFAULT_GENERATION_ID,
                _NOBODY,
                _KEPT_BY_BROKER,
                [(self._topic, places)],
            )
            response = await client.send(node, request)
        for _, answers in response.topics:
            for partition, code in answers:
                error = for_code(code)
                if error in _OF_MEMBERS:
                    raise GroupHasMembers(self._group)
                if error is not NoError:
                    where = f"{self._topic}[{partition}]"
                    raise Transient(f"Kafka does not take the offset of {self._group} on {where} ({error.__name__})")
