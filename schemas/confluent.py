"""The registry behind Confluent's HTTP interface (Confluent's own, Karapace, Apicurio and others speak it)."""

import json
import time
from collections.abc import Callable
from typing import Any, Final

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from schemas.registry import NotRegistered, RegistryUnavailable
from schemas.rejection import Reason, Rejected

TIMEOUT_S: Final = 3
REFUSAL_REMEMBERED_S: Final = 30.0
"""A flood of messages with a made-up id asks the registry once; an id that appears later is found soon after."""
REFUSALS_MAX: Final = 1_000
ID_MAX: Final = 2**31 - 1
"""Registries count with Java's int; a greater id is garbage, and asking for it might look like a broken registry."""
_NOT_FOUND: Final = 404


class ConfluentRegistry:
    """Asks the registry and remembers what it said; ids never change their meaning. Registers nothing.

    Calls are synchronous and wait at most TIMEOUT_S seconds; after the first of an id there are none.
    clock counts seconds from anywhere and never goes back.
    """

    def __init__(self, client: SchemaRegistryClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._ids: dict[str, int] = {}
        self._schemas: dict[tuple[str, int], dict[str, Any]] = {}
        self._refusals: dict[tuple[str, int], tuple[float, Reason, str]] = {}

    @classmethod
    def at(cls, url: str) -> "ConfluentRegistry":
        """Use the registry at this address; user and password may be part of it. Raises ValueError for no address."""
        return cls(SchemaRegistryClient({"url": url, "timeout": TIMEOUT_S, "max.retries": 0}))

    def id_of(self, subject: str, schema: dict[str, Any]) -> int:
        """Return the id under which our schema is registered. Raises NotRegistered or RegistryUnavailable."""
        known = self._ids.get(subject)
        if known is not None:
            return known
        found = self._ask(lambda: self._client.lookup_schema(subject, Schema(json.dumps(schema), "AVRO")))
        if found is None or found.schema_id is None:
            raise NotRegistered(
                f"The schema of {subject} is not in the registry; register schemas/avro before starting."
            )
        schema_id = int(found.schema_id)
        self._ids[subject] = schema_id
        return schema_id

    def schema_of(self, subject: str, schema_id: int) -> dict[str, Any]:
        """Return the schema that the id names, if it belongs to the subject; deleted versions are still read.

        Raises Rejected(UNKNOWN_SCHEMA or WRONG_SCHEMA), or RegistryUnavailable.
        """
        known = self._schemas.get((subject, schema_id))
        if known is not None:
            return known
        refused = self._refusals.get((subject, schema_id))
        if refused is not None and self._clock() < refused[0]:
            raise Rejected(refused[1], refused[2])
        try:
            schema = self._schema_of(subject, schema_id)
        except Rejected as refusal:
            if len(self._refusals) >= REFUSALS_MAX:
                self._refusals.clear()
            until = self._clock() + REFUSAL_REMEMBERED_S
            self._refusals[subject, schema_id] = until, refusal.reason, refusal.detail
            raise
        self._schemas[subject, schema_id] = schema
        return schema

    def _schema_of(self, subject: str, schema_id: int) -> dict[str, Any]:
        places = None
        if schema_id <= ID_MAX:
            places = self._ask(lambda: self._client.get_schema_versions(schema_id, deleted=True))
        if not places:
            raise Rejected(
                Reason.UNKNOWN_SCHEMA,
                f"The registry does not know the schema id {schema_id}. Register the publisher's schema.",
            )
        if all(place.subject != subject for place in places):
            raise Rejected(
                Reason.WRONG_SCHEMA,
                f"The schema id {schema_id} does not belong to {subject}. Publish with a schema of this topic.",
            )
        found = self._ask(lambda: self._client.get_schema(schema_id, subject_name=subject))
        schema = _record(found)
        if schema is None:
            raise Rejected(
                Reason.UNKNOWN_SCHEMA,
                f"The schema id {schema_id} is not one self-contained Avro record. Publish with one that is.",
            )
        return schema

    def _ask(self, question: Callable[[], Any]) -> Any:
        """Return the registry's answer, or None when it has no such thing."""
        try:
            return question()
        except SchemaRegistryError as error:
            if error.http_status_code == _NOT_FOUND:
                return None
            raise RegistryUnavailable(
                f"The schema registry refuses to answer (HTTP {error.http_status_code}); check its state and address."
            ) from error
        except Exception as error:  # the client lets the errors of its HTTP library and parser through
            raise RegistryUnavailable(
                f"The schema registry does not answer ({type(error).__name__}); check PAYMENTS_SCHEMA_REGISTRY_URL."
            ) from error


def _record(found: Schema | None) -> dict[str, Any] | None:
    """Return the schema as JSON if it is one Avro record without references to others."""
    if found is None or found.schema_type != "AVRO" or found.references or found.schema_str is None:
        return None
    try:
        schema = json.loads(found.schema_str)
    except ValueError:
        return None
    return schema if isinstance(schema, dict) and schema.get("type") == "record" else None
