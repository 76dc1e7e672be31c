"""Where messages come from: one consumer group over one topic."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol


class Message(NamedTuple):
    """One message as it lies on the topic. timestamp_ms: milliseconds since 1970, UTC."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    timestamp_ms: int


class Source(Protocol):
    """A member of a consumer group. Partitions come and go; what was taken and not committed comes again, to somebody.

    All methods raise Transient when the broker does not answer; they may simply be called again.
    """

    async def start(self) -> None:
        """Join the group."""
        ...

    async def take(self, limit: int, wait_s: float) -> Sequence[Message]:
        """Return what is there, across partitions, at most so many; wait so long for the first."""
        ...

    async def commit(self, messages: Sequence[Message]) -> None:
        """Commit the offsets behind these messages. A partition that is ours no longer is passed over."""
        ...

    def processing(self) -> AbstractAsyncContextManager[None]:
        """Hold on to the partitions: none is given up before this is left, or the drain deadline is over."""
        ...

    async def close(self) -> None:
        """Leave the group, so that others take over at once."""
        ...
