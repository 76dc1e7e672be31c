"""Where the relay sends what the outbox holds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

from domain.errors import Transient
from domain.values import Value


class OutgoingMessage(Value, frozen=True):
    """One message as it goes out. id is the journal's: the answer names messages by it. topic carries its prefix."""

    id: int
    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


class Scope(Enum):
    """Who has to wait for the cause of a refusal to be mended."""

    MESSAGE = auto()
    """This message, and behind it those of its topic with the same key."""
    TOPIC = auto()
    """Every message of its topic."""
    BEHIND = auto()
    """It was not tried, for it stands behind another. It comes again as soon as that one lets it."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """why: what is wrong and what to do. alarm: a reason of domain.alarms."""

    why: str
    scope: Scope
    alarm: str = "produce_refused"


@dataclass(frozen=True, slots=True)
class Published:
    """What became of a batch: ids that all in-sync replicas have; refused: by id."""

    acknowledged: Sequence[int]
    refused: dict[int, Refusal] = field(default_factory=dict)


class Interrupted(Transient):
    """Not all could be sent. published: what was answered until then; it need not be sent again."""

    def __init__(self, why: str, published: Published) -> None:
        super().__init__(why)
        self.published = published


def always() -> bool:
    """Allow it, for who publishes without a lease."""
    return True


class Publisher(Protocol):
    """An idempotent producer that waits for all in-sync replicas."""

    async def publish(self, messages: Sequence[OutgoingMessage], *, allowed: Callable[[], bool] = always) -> Published:
        """Send all in the given order (per key the order is kept) and wait for the acknowledgements.

        allowed is asked before each request; from its first no on, nothing more is sent. Every id comes back,
        acknowledged or refused. Refusals about a record, its topic or its partition are values. Raises Transient for
        anything else, Interrupted if something was answered before; then some more may have been sent, the publisher
        is no longer usable, and a new one starts again from the lowest id.
        """
        ...

    async def close(self) -> None:
        """Give up connections."""
        ...
