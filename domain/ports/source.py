"""Where messages come from: one consumer group over one topic."""

from collections.abc import Sequence
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
    """Offsets of a partition, first and last included, that cannot be read. last: None while it has no end yet.

    gone: the messages are not there any more; else they may become readable, or an operator passes over them.
    topic_id: tells the topic from one of the same name that was deleted before; empty where brokers do not say.
    """

    topic: str
    partition: int
    first: int
    last: int | None
    cause: str
    gone: bool
    topic_id: str


class Source(Protocol):
    """A member of a consumer group. Partitions come and go; what was taken and not committed comes again, to somebody.

    All methods raise Transient when the broker does not answer; they may simply be called again.
    """

    @property
    def topic_id(self) -> str:
        """Tell the topic from others that bore its name; empty where brokers do not say."""
        ...

    async def start(self) -> None:
        """Join the group."""
        ...

    async def take(self, limit: int, wait_s: float) -> Sequence[Message]:
        """Return what is there, across partitions, at most so many; wait so long for the first.

        Whoever calls it again has processed all that was taken before, or has put it on hold.
        """
        ...

    async def commit(self, messages: Sequence[Message]) -> None:
        """Commit the offsets behind these messages. A partition that is ours no longer is passed over."""
        ...

    def hold(self, message: Message, seconds: float) -> None:
        """Stand still on this message's partition: it and what follows it come again after so many seconds."""
        ...

    def has_begun_anew(self) -> bool:
        """Whether another topic bears the name since this was asked last: what was not read of the old one is gone."""
        ...

    def blocked(self) -> Sequence[Stretch]:
        """Name the stretches before which partitions stand still. Other partitions go on."""
        ...

    async def pass_over(self, stretch: Stretch, last: int) -> None:
        """Go on behind this offset, and commit that. Does nothing when the partition does not stand there any more."""
        ...

    def processing(self) -> AbstractAsyncContextManager[None]:
        """Hold on to the partitions: none is given up before this is left, or the drain deadline is over."""
        ...

    async def close(self) -> None:
        """Leave the group, so that others take over at once."""
        ...
