"""The codec of a deployment: its prefix, limits and registry.

A role learns the registry's ids before it begins, so that its event loop never waits for them.
"""

import sys
from typing import TYPE_CHECKING, Final

from deploy.settings import Settings
from schemas.awaiting import AwaitingRegistry
from schemas.codec import Codec
from schemas.framing import FrameReader
from schemas.registry import Registry
from schemas.topics import CONSUMED, TOPICS, topic_name

if TYPE_CHECKING:
    from schemas.confluent import ConfluentRegistry

LEARNED_MAX: Final = 20
"""So many versions of a subject are read at start. Older ones are fetched when a message has one."""


def codec_of(settings: Settings, *, written_max: int = 0, registry: Registry | None = None) -> Codec:
    """Make the codec of this deployment.

    written_max: how many events that it wrote it keeps, to read them without decoding. registry: used in place of the
    default one, which blocks until the registry answers: commands may block, an event loop must not.
    """
    return Codec(
        registry=registry or _registry_of(settings),
        prefix=settings.topic_prefix,
        message_bytes_max=settings.message_bytes_max,
        amount_max_minor=settings.amount_limits(),
        written_max=written_max,
    )


def frames_of(settings: Settings) -> FrameReader:
    """Make what finds the schema of a message, of any size and of any release. It blocks while it asks a registry."""
    return FrameReader(_registry_of(settings), settings.topic_prefix, sys.maxsize)


def _registry_of(settings: Settings) -> "ConfluentRegistry | None":
    if settings.schema_registry_url is None:
        return None
    from deploy.connecting.registry import RenewedClients  # noqa: PLC0415 - a large library, and most have no registry
    from schemas.confluent import ConfluentRegistry  # noqa: PLC0415 - as above

    return ConfluentRegistry.renewed(RenewedClients(settings.schema_registry_url, settings.registry_options))


class Contracts:
    """A codec for an event loop. With a registry, call `prepare` first."""

    def __init__(self, settings: Settings, *, written_max: int) -> None:
        self._prefix = settings.topic_prefix
        self._source = _registry_of(settings)
        self._registry = None if self._source is None else AwaitingRegistry(self._source)
        self.codec = codec_of(settings, written_max=written_max, registry=self._registry)

    def prepare(self) -> None:
        """Learn the ids that this process writes, and the registered schemas of what it reads.

        It blocks until the registry has answered. Raises NotRegistered, which names the command that registers our
        schemas, or RegistryUnavailable.
        """
        if self._source is None or self._registry is None:
            return
        self.codec.prepare(event_type for event_type, topic in TOPICS.items() if topic.ours)
        for event_type in CONSUMED:
            subject = topic_name(self._prefix, event_type) + "-value"
            for version in self._source.versions(subject, deleted=True, newest=LEARNED_MAX):
                if version.schema is not None and version.schema_id is not None:
                    self._registry.learn(subject, version.schema_id, version.schema)

    def close(self) -> None:
        """Close the registry."""
        if self._source is not None and self._registry is not None:
            self._registry.close()
            self._source.close()
