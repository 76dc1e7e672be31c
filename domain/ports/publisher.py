"""Where the relay sends what the outbox holds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from domain.values import Value


class OutgoingMessage(Value, frozen=True):
    """One message as it goes out. id is the journal's: the answer names messages by it. topic carries its prefix."""

    id: int
    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class Published:
    """What became of a batch: ids that all in-sync replicas have; refused: id -> why, for good."""

    acknowledged: Sequence[int]
    refused: dict[int, str] = field(default_factory=dict)


class Publisher(Protocol):
    """An idempotent producer that waits for all in-sync replicas."""

    async def publish(self, messages: Sequence[OutgoingMessage]) -> Published:
        """Send all in the given order (per key the order is kept) and wait for the acknowledgements.

        Refusals about one record or its topic (too large, topic unknown or not allowed) are values. Raises Transient
        for anything else; then some may have been sent, the publisher is no longer usable, and a new one starts again
        from the lowest id.
        """
        ...

    async def close(self) -> None:
        """Give up connections."""
        ...
