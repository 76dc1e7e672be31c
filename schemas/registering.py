"""Our schemas in a registry: whether they fit what is there, and how they get there."""

import json
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from schemas.compatibility import compatible
from schemas.confluent import ConfluentRegistry, ask
from schemas.registry import NotRegistered
from schemas.releases import without_docs
from schemas.shapes import load
from schemas.topics import topic_name

LEVEL: Final = "FULL_TRANSITIVE"
WORDS_MAX: Final = 500
_REFUSED: Final = frozenset({409, 422})
"""Incompatible; or not valid there, which a subject that is read only answers, too."""
_NO_LEVEL: Final = frozenset({40401, 40408})


@dataclass(frozen=True, slots=True)
class Registration:
    """What became of one schema. schema_id: None when it is not there. problems: none when all is well."""

    event_type: str
    subject: str
    schema_id: int | None
    did: str
    problems: tuple[str, ...] = ()


class Registrar:
    """Compares and registers. prefix: that of the topics. Every call may raise RegistryUnavailable."""

    def __init__(self, client: SchemaRegistryClient, prefix: str) -> None:
        self._client = client
        self._registry = ConfluentRegistry(client)
        self._prefix = prefix

    def compare(self, event_type: str) -> Registration:
        """Say whether our schema is there, and what of the live versions there it does not fit."""
        subject, ours = self._subject(event_type), load(event_type)
        problems = self._misfits(subject, ours)
        try:
            schema_id = self._registry.id_of(subject, ours)
        except NotRegistered:
            return Registration(event_type, subject, None, "not registered", tuple(problems))
        problems += self._kept_as(subject, schema_id, ours)
        return Registration(event_type, subject, schema_id, "registered", tuple(problems))

    def register(self, event_type: str) -> Registration:
        """Put our schema there, with the level FULL_TRANSITIVE for its subject. May be repeated.

        What does not fit the versions there is not put there: the registry's own rules let a change of meaning pass.
        """
        before = self.compare(event_type)
        if before.problems:
            return Registration(event_type, before.subject, before.schema_id, "refused", before.problems)
        subject, ours, schema_id = before.subject, load(event_type), before.schema_id
        # Some registries know no level of a subject that is not there yet.
        changed = self._set_level(subject) if self._registry.versions(subject, deleted=False) else False
        if schema_id is None:
            answer = self._put(subject, ours)
            if isinstance(answer, str):
                return Registration(event_type, subject, None, "refused", (answer,))
            schema_id = answer
        changed = self._set_level(subject) or changed
        did = "registered" if before.schema_id is None else f"set to {LEVEL}" if changed else "there already"
        return Registration(event_type, subject, schema_id, did, tuple(self._kept_as(subject, schema_id, ours)))

    def _put(self, subject: str, ours: dict[str, Any]) -> int | str:
        """Register a schema; return its id, or the words with which the registry refuses it."""

        def question() -> int | str:
            try:
                return int(self._client.register_schema(subject, Schema(json.dumps(ours), "AVRO")))
            except SchemaRegistryError as error:
                if error.http_status_code not in _REFUSED:
                    raise
                return f"the registry refuses it: {' '.join(str(error.error_message).split())[:WORDS_MAX]}"

        answer: int | str = ask(question)
        return answer

    def _subject(self, event_type: str) -> str:
        return topic_name(self._prefix, event_type) + "-value"

    def _misfits(self, subject: str, ours: dict[str, Any]) -> list[str]:
        problems = []
        for version in self._registry.versions(subject, deleted=False):
            if version.schema is None:
                problems.append(f"version {version.number} there is not one self-contained Avro record")
            else:
                problems += [f"version {version.number} there: {why}" for why in compatible(version.schema, ours)]
        return problems

    def _kept_as(self, subject: str, schema_id: int, ours: dict[str, Any]) -> list[str]:
        """Read back what the registry gives readers: some take schemas for equal that differ in an enum's default."""
        self._client.clear_caches()  # type: ignore[no-untyped-call] # it would give back what we sent
        theirs = self._registry.schema_of(subject, schema_id)
        place = _difference(without_docs(ours), without_docs(theirs), "")
        if place is None:
            return []
        return [
            (
                f"under id {schema_id} the registry gives readers another schema, it differs at {place}: an older "
                "version counts as the same there; delete that version for good, then register again"
            )
        ]

    def _set_level(self, subject: str) -> bool:
        """Have the registry refuse what is not FULL_TRANSITIVE; say whether that was new."""

        def level() -> str | None:
            try:
                return str(self._client.get_compatibility(subject))
            except SchemaRegistryError as error:
                if error.error_code in _NO_LEVEL:
                    return None
                raise

        if ask(level) == LEVEL:
            return False
        ask(lambda: self._client.set_compatibility(subject, LEVEL))
        return True


def _difference(ours: Any, theirs: Any, path: str) -> str | None:
    """Name the first place where two schemas differ; None when they do not."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        name = f"{path}.{ours['name']}" if "name" in ours else path
        for part in sorted(ours.keys() | theirs.keys()):
            found = _difference(ours.get(part), theirs.get(part), f"{name}.{part}" if part == "default" else name)
            if found is not None:
                return found
        return None
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        places = (_difference(a, b, path) for a, b in zip(ours, theirs, strict=True))
        return next((place for place in places if place is not None), None)
    return None if ours == theirs else path.lstrip(".")
