"""From messages to events.

What can never be read becomes a dead letter. What may be read later holds up its partition.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

import structlog

from consumers.runtime.cutting import is_theirs
from consumers.runtime.letters import Letters
from consumers.runtime.ports import Decode
from domain.alarms import REMIND_S, ring
from domain.content import hash_content
from domain.dead_letter import DeadLetter
from domain.errors import RegistryDown
from domain.ids import OrderId
from domain.ports.source import Message
from domain.ports.tracing import Hop, Tracer
from domain.reaction import Reaction
from domain.values import Value
from schemas.events import Event, OrderEvent, OwnEvent
from schemas.registry import RegistryUnavailable, SchemaAwaited
from schemas.rejection import Reason, Rejected

NEWER_S: Final = 10
"""Between tries of a newer schema: a new release, or an operator's word, takes minutes."""
AWAITED_S: Final = 1
"""Between tries of a schema that the registry does not know yet."""
NEWER: Final = "its schema is newer than this release, or it is none of ours."


class Taken(Value, frozen=True):
    """A message and its event. content: the hash of what it says, see domain.content. hop: None: it is not traced."""

    message: Message
    event: Event
    content: bytes
    hop: Hop | None = None


class Failed(NamedTuple):
    """A message for which decoding raised an unexpected error."""

    message: Message
    error: Exception


Read = Taken | DeadLetter | Failed
"""A message that was read: its event, its dead letter if it is refused, or the error."""


def order_of(read: Read) -> OrderId | None:
    """Return the order of a message, if it can be read. A SKU counts as one that no order can be: it has a blank."""
    if not isinstance(read, Taken):
        return None
    event = read.event
    return OrderId(event.order_id if isinstance(event, OrderEvent) else f"SKU {event.subject}")


def place_of(read: Read) -> tuple[int, int]:
    """Return partition and offset."""
    at = read if isinstance(read, DeadLetter) else read.message
    return at.partition, at.offset


class Held(NamedTuple):
    """A message that may be read later. Nothing behind it in its partition was read.

    letter: kept if an operator passes over the message; None: nobody may pass over it.
    """

    message: Message
    seconds: float
    letter: DeadLetter | None = None


class Reading(NamedTuple):
    """A batch that was read. read: in the order of the messages. done: all messages before the held ones."""

    read: Sequence[Read]
    held: Sequence[Held]
    done: Sequence[Message]


class Reader:
    """Reads the messages of one reaction's topic. tracer: None: nothing is traced."""

    def __init__(self, reaction: Reaction, decode: Decode, letters: Letters, tracer: Tracer | None = None) -> None:
        self._tracer = tracer
        self._event_type = reaction.trigger.TYPE
        self._is_ours = issubclass(reaction.trigger, OwnEvent)
        self._decode = decode
        self._letters = letters
        self._rang: dict[tuple[str, int], tuple[int, float]] = {}
        self._log = structlog.get_logger("consumers.reader").bind(reaction=reaction.name)

    def read(self, messages: Sequence[Message]) -> Reading:
        """Decode a batch. Raises Transient when the schema registry does not answer."""
        read: list[Read] = []
        held: dict[int, Held] = {}
        for message in messages:
            if held and message.partition in held:
                continue
            try:
                read.append(self.read_one(message))
            except Rejected as rejected:
                if rejected.reason is Reason.UNKNOWN_SCHEMA and self._is_ours:
                    # A newer release of ours wrote it. It is a true event, and this release must not skip it.
                    letter = self._letters.of_message(message, rejected.reason, rejected.detail)
                    held[message.partition] = Held(message, NEWER_S, letter)
                    self._ring(message, rejected.detail)
                else:
                    read.append(self._letters.of_message(message, rejected.reason, rejected.detail))
            except SchemaAwaited:
                held[message.partition] = Held(message, AWAITED_S)
            except RegistryUnavailable as error:
                raise RegistryDown(str(error)) from error
            except Exception as error:
                if not is_theirs(error):
                    raise
                read.append(Failed(message, error))
        done = messages
        if held:
            stops = {partition: at.message.offset for partition, at in held.items()}
            done = [m for m in messages if m.offset < stops.get(m.partition, m.offset + 1)]
        return Reading(read, list(held.values()), done)

    def read_one(self, message: Message) -> Taken:
        """Decode one message. Raises Rejected, SchemaAwaited or RegistryUnavailable, as the decoder does."""
        event = self._decode(self._event_type, message.key, message.value)
        hop = None if self._tracer is None else self._tracer.hop(message, event)
        return Taken(message, event, hash_content(event, message.value or b""), hop)

    def _ring(self, message: Message, detail: str) -> None:
        """Ring once for a message, and again if it still waits after long."""
        now = asyncio.get_running_loop().time()
        place = (message.topic, message.partition)
        offset, at = self._rang.get(place, (-1, 0.0))
        if offset != message.offset or now >= at + REMIND_S:
            self._rang[place] = (message.offset, now)
            ring(
                self._log,
                "newer_schema",
                "a message of a schema that this release does not know; its partition waits, others go on",
                topic=message.topic,
                partition=message.partition,
                offset=message.offset,
                error=NEWER,
                detail=detail,
            )
