"""Compares our schemas with those in a registry, registers them, and reads them back."""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from schemas.compatibility import compatible
from schemas.confluent import SLOW_S, ConfluentRegistry, ask
from schemas.reading_back import Registration, gives_another, read_back
from schemas.registry import NotRegistered, RegistryUnavailable
from schemas.releases import undefaulted
from schemas.shapes import load
from schemas.topics import subject_name

LEVEL: Final = "FULL_TRANSITIVE"
WORDS_MAX: Final = 500
LAG_S: Final = 30.0
_REFUSED: Final = frozenset({409, 422})
"""Incompatible (409), or invalid (422). A read-only subject also answers 422."""
_NO_LEVEL: Final = frozenset({40401, 40408})


class Registrar:
    """Compares our schemas with those of a registry, and registers them.

    prefix: of the topics. lag_s: how long a registry may lag behind. report: gets progress. ours: gives the schema of
    an event. If the registry fails for a subject, its Registration has a problem and the others go on. If it fails for
    all subjects, RegistryUnavailable is raised.
    """

    def __init__(
        self,
        client: SchemaRegistryClient,
        prefix: str,
        *,
        lag_s: float = LAG_S,
        report: Callable[[str], None] = lambda _: None,
        ours: Callable[[str], dict[str, Any]] = load,
    ) -> None:
        self._client = client
        self._registry = ConfluentRegistry(client)
        self._prefix = prefix
        self._lag_s = lag_s
        self._report = report
        self._ours = ours

    def compare(self, *event_types: str) -> list[Registration]:
        """Return whether our schemas are registered, and which live versions they are not compatible with."""
        return self._read_back(self._run(event_types, self._compare))

    def register(self, *event_types: str) -> list[Registration]:
        """Register our schemas, and set the level FULL_TRANSITIVE for their subjects. Safe to repeat.

        A schema is refused before the registry is asked to take it, and nothing is changed there, if it does not fit
        the registered versions (the registry's own rules accept a change of meaning), if an enum of it has no default,
        or if the registry would give readers another schema in its place.
        """
        return self._read_back(self._run(event_types, self._register))

    def _read_back(self, done: list[Registration]) -> list[Registration]:
        return read_back(self._client, done, ours=self._ours, lag_s=self._lag_s, report=self._report)

    def _run(self, event_types: Iterable[str], work: Callable[[str, str], Registration]) -> list[Registration]:
        """Do this work for each event type and its subject."""
        done, failures, answered = [], [], False
        for event_type in event_types:
            subject, began = subject_name(self._prefix, event_type), time.monotonic()
            try:
                done.append(work(event_type, subject))
                answered = True
            except RegistryUnavailable as error:
                if not answered and time.monotonic() - began >= SLOW_S:
                    raise
                failures.append(error)
                done.append(Registration(event_type, subject, None, "not answered", (str(error),)))
        if failures and not answered:
            raise failures[0]
        return done

    def _compare(self, event_type: str, subject: str) -> Registration:
        ours = self._ours(event_type)
        problems = tuple(self._find_problems(subject, ours))
        try:
            schema_id = self._registry.id_of(subject, ours)
        except NotRegistered:
            return Registration(event_type, subject, None, "not registered", problems)
        return Registration(event_type, subject, schema_id, "registered", problems)

    def _register(self, event_type: str, subject: str) -> Registration:
        before = self._compare(event_type, subject)
        if before.schema_id is None:
            before = replace(before, problems=(*before.problems, *undefaulted(self._ours(event_type))))
        elif gives_another(self._client, before, self._ours(event_type)):
            # A problem of its own comes from reading back.
            return replace(before, did="refused")
        if before.problems:
            return replace(before, did="refused")
        schema_id = before.schema_id
        # Some registries accept no level for a subject that does not exist yet.
        changed = self._set_level(subject) if self._registry.versions(subject, deleted=False, newest=1) else False
        if schema_id is None:
            answer = self._put(subject, self._ours(event_type))
            if isinstance(answer, str):
                return Registration(event_type, subject, None, "refused", (answer,))
            schema_id = answer
        changed = self._set_level(subject) or changed
        did = "registered" if before.schema_id is None else f"set to {LEVEL}" if changed else "there already"
        return Registration(event_type, subject, schema_id, did)

    def _put(self, subject: str, ours: dict[str, Any]) -> int | str:
        """Register a schema; return its id, or the text with which the registry refuses it."""

        def question() -> int | str:
            try:
                return int(self._client.register_schema(subject, Schema(json.dumps(ours), "AVRO")))
            except SchemaRegistryError as error:
                if error.http_status_code not in _REFUSED:
                    raise
                return f"the registry refuses it: {' '.join(str(error.error_message).split())[:WORDS_MAX]}"

        answer: int | str = ask(question)
        return answer

    def _find_problems(self, subject: str, ours: dict[str, Any]) -> list[str]:
        problems = []
        for version in self._registry.versions(subject, deleted=False):
            if version.schema is None:
                problems.append(f"version {version.number} there {version.why}")
            else:
                found = compatible(version.schema, ours, checked=True)
                problems += [f"version {version.number} there: {why}" for why in found]
        return problems

    def _set_level(self, subject: str) -> bool:
        """Set the compatibility level FULL_TRANSITIVE; return whether it was another one before."""

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
