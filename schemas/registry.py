"""What the codec needs of a schema registry. schemas.confluent is the client for Confluent's interface."""

from dataclasses import dataclass
from typing import Any, Protocol

from schemas.rejection import Reason


class RegistryUnavailable(Exception):  # noqa: N818 - it says what is the matter, as Transient does
    """The schema registry does not answer; the same again may work later. Check PAYMENTS_SCHEMA_REGISTRY_URL."""


class NotRegistered(Exception):  # noqa: N818 - as above
    """A schema of ours is not in the registry; register it before this release writes."""


class SchemaAwaited(Exception):  # noqa: N818 - as above
    """The registry does not know this schema id yet: it may lag behind. Ask again in a second; others need not wait."""


@dataclass(frozen=True, slots=True)
class NotThere:
    """The registry does not have it, or not yet: one that lags behind answers so, too."""

    reason: Reason
    detail: str


def fails_over(schema_id: int, error: RegistryUnavailable) -> NotThere:
    """Say of an id that the registry fails over it alone."""
    return NotThere(
        Reason.UNKNOWN_SCHEMA, f"The registry answers for others, but not for schema id {schema_id}: {error}"
    )


class Registry(Protocol):
    """Finds schemas and ids under a subject; nothing is ever registered by asking."""

    def id_of(self, subject: str, schema: dict[str, Any]) -> int:
        """Return the id under which our schema is registered. Raises NotRegistered or RegistryUnavailable."""
        ...

    def schema_of(self, subject: str, schema_id: int) -> dict[str, Any]:
        """Return the schema that the id names, if it belongs to the subject.

        Raises Rejected(UNKNOWN_SCHEMA) for an id that the registry does not know, over which alone it fails, or whose
        schema is not one Avro record, Rejected(WRONG_SCHEMA) for one of other subjects, RegistryUnavailable when it
        does not answer. One that does not wait for answers raises SchemaAwaited until it has one.
        """
        ...
