"""The codec of a deployment: its prefix, limits and registry.

That of a process that runs knows the registry's ids before it begins, and never waits for them later.
"""

from typing import Final

from deploy.settings import Settings
from schemas.awaiting import AwaitingRegistry
from schemas.codec import Codec
from schemas.registry import Registry
from schemas.topics import CONSUMED, TOPICS, topic_name

LEARNED_MAX: Final = 20
"""Versions of a subject that are read at start. An older one is asked for when a message has it."""


def codec_of(settings: Settings, *, written_max: int = 0, registry: Registry | None = None) -> Codec:
    """Make the codec of this deployment.

    written_max: how many events it keeps in mind that it wrote and will read. registry: what to use for that of the
    settings; by default one that waits for every answer, which a command may and an event loop must not.
    """
    if registry is None and settings.schema_registry_url is not None:
        from schemas.confluent import ConfluentRegistry  # noqa: PLC0415 - a large library, and most have no registry

        registry = ConfluentRegistry.at(settings.schema_registry_url)
    return Codec(
        registry=registry,
        prefix=settings.topic_prefix,
        message_bytes_max=settings.message_bytes_max,
        amount_max_minor=settings.amount_max_minor,
        written_max=written_max,
    )


class Contracts:
    """A codec for an event loop. With a registry, `prepare` comes first."""

    def __init__(self, settings: Settings, *, written_max: int) -> None:
        self._prefix = settings.topic_prefix
        self._source = None
        self._registry = None
        if settings.schema_registry_url is not None:
            from schemas.confluent import ConfluentRegistry  # noqa: PLC0415 - as above

            self._source = ConfluentRegistry.at(settings.schema_registry_url)
            self._registry = AwaitingRegistry(self._source)
        self.codec = codec_of(settings, written_max=written_max, registry=self._registry)

    def prepare(self) -> None:
        """Learn the ids that this process writes with, and the schemas that are registered for what it reads.

        It waits for the registry's answers. Raises NotRegistered, naming the command that registers our schemas, or
        RegistryUnavailable.
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
        """Give the registry up."""
        if self._source is not None and self._registry is not None:
            self._registry.close()
            self._source.close()
