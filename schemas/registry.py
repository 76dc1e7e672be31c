"""What the codec needs of a schema registry. schemas.confluent has the client for Confluent's interface."""

from dataclasses import dataclass
from typing import Any, Protocol

from schemas.rejection import Reason


class RegistryUnavailable(Exception):  # noqa: N818 - named by what is wrong, as Transient is
    """The schema registry does not answer; trying again later may work. Check PAYMENTS_SCHEMA_REGISTRY_URL."""


class NotRegistered(Exception):  # noqa: N818 - as above
    """A schema of ours is not in the registry; register it before this release writes."""


class SchemaAwaited(Exception):  # noqa: N818 - as above
    """The registry does not know this schema id yet: it may lag behind. Ask again in a second; other ids go on."""


@dataclass(frozen=True, slots=True)
class NotThere:
    """The registry does not have it, or not yet: a registry that lags behind gives the same answer."""

    reason: Reason
    detail: str


def not_given(schema_id: int, error: RegistryUnavailable) -> NotThere:
    """Return the answer for an id for which alone the registry fails."""
    return NotThere(
        Reason.UNKNOWN_SCHEMA, f"The registry answers for others, but not for schema id {schema_id}: {error}"
    )


class Registry(Protocol):
    """Finds schemas and ids under a subject. It never registers anything."""

    def id_of(self, subject: str, schema: dict[str, Any]) -> int:
        """Return the id under which our schema is registered. Raises NotRegistered or RegistryUnavailable."""
        ...

    def schema_of(self, subject: str, schema_id: int) -> dict[str, Any]:
        """Return the schema of the id, if it belongs to the subject.

        Raises Rejected(UNKNOWN_SCHEMA) if the registry does not know the id, fails for this id only, or has a schema
        that is not one Avro record; Rejected(WRONG_SCHEMA) if the id belongs to other subjects; RegistryUnavailable if
        the registry does not answer. A registry that does not wait raises SchemaAwaited until it has an answer.
        """
        ...
