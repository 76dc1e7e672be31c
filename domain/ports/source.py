"""Where messages come from: one consumer group over one topic."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

from domain.values import Value


class Message(Value, frozen=True):
    """One message as it lies on the topic. timestamp_ms: milliseconds since 1970, UTC."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    timestamp_ms: int


class Stretch(NamedTuple):
    """Offsets of a partition that cannot be read, from first to last inclusive. last: None while the end is unknown.

    gone: the messages were deleted; else they may become readable, or an operator passes over them. topic_id: Kafka's
    id of the topic, which changes if the topic is deleted and made anew; empty if brokers have none.
    """

    topic: str
    partition: int
    first: int
    last: int | None
    cause: str
    gone: bool
    topic_id: str


class Passed(NamedTuple):
    """An operator's order to pass over the offsets first to last, inclusive. applied: a consumer has done so once."""

    passed_id: int
    first: int
    last: int
    reason: str
    by: str
    applied: bool


class Source(Protocol):
    """A member of a consumer group. Messages that were taken and not committed come again, to some member.

    All that are awaited raise Transient if the broker does not answer; call them again.
    """

    @property
    def topic_id(self) -> str:
        """Return Kafka's id of the topic; empty if brokers have none."""
        ...

    def begun(self, partition: int) -> int:
        """Count how often reading of this partition began anew: what was not committed comes again then."""
        ...

    async def start(self) -> None:
        """Join the group."""
        ...

    async def take(self, limit: int, wait_s: float) -> Sequence[Message]:
        """Return at most `limit` messages of all partitions; wait at most `wait_s` for the first.

        The caller has processed all messages that it took before, or has put them on hold.
        """
        ...

    def commit_soon(self, messages: Sequence[Message]) -> None:
        """Have the offsets behind these messages committed, beside what follows and before partitions are given up.

        Partitions that we have lost meanwhile are skipped. A commit that fails is made up for by a later one.
        """
        ...

    def keep_back(self, first: Mapping[int, int]) -> None:
        """Commit no offset behind the first that is not done, of each partition; what lies behind it is read on.

        It holds until the next word, or until reading begins anew.
        """
        ...

    def hold(self, message: Message, seconds: float) -> None:
        """Pause this message's partition: the message and those behind it come again after so many seconds."""
        ...

    def has_begun_anew(self) -> bool:
        """Whether the topic was deleted and made anew since the last call. Unread messages of the old one are gone."""
        ...

    def blocked(self) -> Sequence[Stretch]:
        """Return the unreadable stretches at which partitions wait. Other partitions go on."""
        ...

    async def pass_over(self, stretch: Stretch, last: int) -> None:
        """Go on behind this offset, and commit that. Does nothing if the partition no longer waits there."""
        ...

    def processing(self) -> AbstractAsyncContextManager[None]:
        """Keep all partitions until this context is left, or until the drain deadline."""
        ...

    async def close(self) -> None:
        """Leave the group, so that other members take over at once."""
        ...
