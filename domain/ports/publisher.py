"""Where the relay sends what the outbox holds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

from domain.errors import Transient
from domain.values import Value


class OutgoingMessage(Value, frozen=True):
    """One message to send. id: of the journal; answers name messages by it. topic: with its prefix."""

    id: int
    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


class Scope(Enum):
    """What must wait until the cause of a refusal is removed."""

    MESSAGE = auto()
    """This message, and later ones of its topic with the same key."""
    TOPIC = auto()
    """Every message of its topic."""
    BEHIND = auto()
    """Only this message. It was not sent, because it is behind a refused one; send it again after that one."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused message. why: what is wrong and what to do. alarm: a reason of domain.alarms."""

    why: str
    scope: Scope
    alarm: str = "produce_refused"


@dataclass(frozen=True, slots=True)
class Published:
    """What became of a batch. acknowledged: ids that all in-sync replicas have. refused: by id."""

    acknowledged: Sequence[int]
    refused: dict[int, Refusal] = field(default_factory=dict)


class Interrupted(Transient):
    """Not all messages could be sent. published: those that have an answer; they need not be sent again."""

    def __init__(self, why: str, published: Published) -> None:
        super().__init__(why)
        self.published = published


def always() -> bool:
    """Return True: for publishing without a lease."""
    return True


class Publisher(Protocol):
    """An idempotent producer that waits for all in-sync replicas."""

    async def publish(self, messages: Sequence[OutgoingMessage], *, allowed: Callable[[], bool] = always) -> Published:
        """Send all messages and wait for the acknowledgements. Messages of one key stay in the given order.

        allowed is called before each request; after the first False nothing more is sent. Every id is returned,
        acknowledged or refused. Refusals of a message, its topic or its partition are values. Any other failure raises
        Transient, or Interrupted if there are answers already. Then more messages may have been sent, this publisher
        is no longer usable, and a new one must start again from the lowest id.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...
