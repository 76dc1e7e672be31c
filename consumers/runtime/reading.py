"""From messages to events. What cannot be read, ever, is a dead letter; what can be read later keeps its partition."""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

import structlog

from consumers.runtime.letters import Letters
from consumers.runtime.ports import Decode
from domain.alarms import ring
from domain.errors import Transient
from domain.ports.source import Message
from domain.ports.store import DeadLetter
from domain.reaction import Reaction
from schemas.events import Event, OwnEvent
from schemas.registry import RegistryUnavailable, SchemaAwaited
from schemas.rejection import Reason, Rejected

NEWER_S: Final = 30
"""Until a release that knows the schema may have been deployed."""
AWAITED_S: Final = 1
"""Until a registry that lags behind may know a schema."""
REMIND_S: Final = 600
"""An alarm that nobody has answered is told again."""


class Taken(NamedTuple):
    """A message and what it says."""

    message: Message
    event: Event


class Held(NamedTuple):
    """A message that can be read later, perhaps. Nothing behind it in its partition was read."""

    message: Message
    seconds: float


class Reading(NamedTuple):
    """A batch, read. done: the messages that are taken or in a letter, in their order."""

    taken: Sequence[Taken]
    letters: Sequence[DeadLetter]
    held: Sequence[Held]
    done: Sequence[Message]


class Reader:
    """Reads the messages of one reaction's topic."""

    def __init__(self, reaction: Reaction, decode: Decode, letters: Letters) -> None:
        self._event_type = reaction.trigger.TYPE
        self._is_ours = issubclass(reaction.trigger, OwnEvent)
        self._decode = decode
        self._letters = letters
        self._rang: dict[tuple[str, int], tuple[int, float]] = {}
        self._log = structlog.get_logger("consumers.reader").bind(reaction=reaction.name)

    def read(self, messages: Sequence[Message]) -> Reading:
        """Decode a batch. Raises Transient when the schema registry does not answer."""
        taken: list[Taken] = []
        letters: list[DeadLetter] = []
        held: dict[int, Held] = {}
        for message in messages:
            if held and message.partition in held:
                continue
            try:
                taken.append(Taken(message, self._decode(self._event_type, message.key, message.value)))
            except Rejected as rejected:
                if rejected.reason is Reason.UNKNOWN_SCHEMA and self._is_ours:
                    # A newer release of ours wrote it; it is true, and this release must not pass it over.
                    held[message.partition] = Held(message, NEWER_S)
                    self._ring(message)
                else:
                    letters.append(self._letters.of_message(message, rejected.reason, rejected.detail))
            except SchemaAwaited:
                held[message.partition] = Held(message, AWAITED_S)
            except RegistryUnavailable as error:
                raise Transient(str(error)) from error
        done = messages if not held else [m for m in messages if _is_done(m, held)]
        return Reading(taken, letters, list(held.values()), done)

    def _ring(self, message: Message) -> None:
        """Ring once for a message, and again when nothing has come of it for long."""
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
            )


def _is_done(message: Message, held: dict[int, Held]) -> bool:
    found = held.get(message.partition)
    return found is None or message.offset < found.message.offset
