"""The client for a registry with Confluent's HTTP interface: Confluent's own, Karapace, Apicurio and others."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Self

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from schemas.refused import explain_failure, explain_status
from schemas.registry import NotRegistered, NotThere, RegistryUnavailable, not_given
from schemas.rejection import Reason, Rejected
from schemas.topics import TOPICS, subject_name

TIMEOUT_S: Final = 3
REFUSAL_REMEMBERED_S: Final = 30.0
"""A flood of messages with a made-up id causes one question. An id that is registered later is found soon."""
REFUSALS_MAX: Final = 1_000
SLOW_S: Final = 1.0
SILENCE_REMEMBERED_S: Final = 10.0
"""After a slow failure nothing is asked for so long: a command that reads many bodies waits for one time-out only."""
ID_MAX: Final = 2**31 - 1
"""Registries count with Java's int. A greater id is made up; the answer to it could look like a broken registry."""
VERSIONS_MAX: Final = 100
"""Our schemas are compared with so many versions of a subject, the newest ones."""
SCHEMA_CHARS_MAX: Final = 1_000_000
"""Our schemas have a few thousand. A longer one would block an event loop for seconds."""
_NO_RECORD: Final = "is not one self-contained Avro record"
_NOT_THERE: Final = frozenset({40401, 40402, 40403})
"""Subject, version or schema not found. A 404 with another code comes from a proxy or means a wrong address."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a subject. schema, schema_id: None when it cannot be read; why says what is wrong."""

    number: int
    schema_id: int | None
    schema: dict[str, Any] | None
    why: str = ""


def connect(url: str, options: Mapping[str, str] = MappingProxyType({})) -> SchemaRegistryClient:
    """Make the client. The address may contain user and password. Raises ValueError for an invalid address.

    options: the client's own, for its login and its certificates.
    """
    return SchemaRegistryClient({"url": url, "timeout": TIMEOUT_S, "max.retries": 0, **options})


class ConfluentRegistry:
    """Asks the registry and caches the answers, for an id never changes its meaning. Registers nothing.

    Calls are synchronous and wait at most TIMEOUT_S for each step of an answer. An id that is known is not asked for
    again. clock: a monotonic clock, in seconds.
    """

    def __init__(self, client: SchemaRegistryClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._clients: Callable[[], SchemaRegistryClient] = lambda: client
        self._clock = clock
        self._ids: dict[str, int] = {}
        self._schemas: dict[tuple[str, int], dict[str, Any]] = {}
        self._refusals: dict[tuple[str, int], tuple[float, Reason, str]] = {}
        self._silent_until = 0.0
        self._silence = ""

    @classmethod
    def at(cls, url: str, options: Mapping[str, str] = MappingProxyType({})) -> "ConfluentRegistry":
        """Use the registry at this address. options: as connect. Raises ValueError for an invalid address."""
        return cls(connect(url, options))

    @classmethod
    def renewed(cls, clients: Callable[[], SchemaRegistryClient]) -> Self:
        """Ask each question with the client that `clients` returns then: another one after a login was changed."""
        made = cls(clients())
        made._clients = clients
        return made

    @property
    def _client(self) -> SchemaRegistryClient:
        return self._clients()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def id_of(self, subject: str, schema: dict[str, Any]) -> int:
        """Return the id under which our schema is registered. Raises NotRegistered or RegistryUnavailable."""
        known = self._ids.get(subject)
        if known is not None:
            return known
        found = ask(lambda: _whole(self._client.lookup_schema(subject, Schema(json.dumps(schema), "AVRO")).schema_id))
        if found is None:
            raise NotRegistered(f"the schema of {subject} is not in the registry: run `payments schemas register`")
        schema_id: int = found
        self._ids[subject] = schema_id
        return schema_id

    def schema_of(self, subject: str, schema_id: int) -> dict[str, Any]:
        """Return the schema of the id, if it belongs to the subject. Deleted versions are still read.

        Raises Rejected(UNKNOWN_SCHEMA or WRONG_SCHEMA), also for an id for which the registry fails while it answers
        for others. Raises RegistryUnavailable if it fails for others, too.
        """
        known = self._schemas.get((subject, schema_id))
        if known is not None:
            return known
        refused = self._refusals.get((subject, schema_id))
        if refused is not None and self._clock() < refused[0]:
            raise Rejected(refused[1], refused[2])
        began = self._clock()
        if began < self._silent_until:
            raise RegistryUnavailable(self._silence)
        try:
            found = self.look_up(subject, schema_id)
        except Rejected as refusal:
            self._remember((subject, schema_id), refusal.reason, refusal.detail)
            raise
        except RegistryUnavailable as error:
            took_s = self._clock() - began
            if not self.answers_for_others(schema_id, subject):
                if took_s >= SLOW_S:
                    self._silent_until, self._silence = self._clock() + SILENCE_REMEMBERED_S, str(error)
                raise
            found = not_given(schema_id, error)
        if isinstance(found, NotThere):
            self._remember((subject, schema_id), found.reason, found.detail)
            raise Rejected(found.reason, found.detail)
        self._schemas[subject, schema_id] = found
        return found

    def _remember(self, key: tuple[str, int], reason: Reason, detail: str) -> None:
        if len(self._refusals) >= REFUSALS_MAX:
            self._refusals.clear()
        self._refusals[key] = self._clock() + REFUSAL_REMEMBERED_S, reason, detail

    def look_up(self, subject: str, schema_id: int) -> dict[str, Any] | NotThere:
        """Ask for the schema, without the cache. NotThere may change if the registry lags behind.

        Raises Rejected for what can never change (another event's schema, not one Avro record), or RegistryUnavailable.
        """
        if schema_id > ID_MAX:
            raise Rejected(Reason.UNKNOWN_SCHEMA, _unknown(schema_id))
        subjects = ask(lambda: [_text(v.subject) for v in self._client.get_schema_versions(schema_id, deleted=True)])
        if not subjects:
            return NotThere(Reason.UNKNOWN_SCHEMA, _unknown(schema_id))
        if subject not in subjects:
            detail = f"The schema id {schema_id} does not belong to {subject}. Publish with a schema of this topic."
            if not _same_event(subject, subjects):
                raise Rejected(Reason.WRONG_SCHEMA, detail)
            # Another deployment registered the same schema. Equal schemas have one id, so our subject may follow.
            return NotThere(Reason.WRONG_SCHEMA, detail)
        found = ask(lambda: _content(self._client.get_schema(schema_id, subject_name=subject)))
        if found is None:
            return NotThere(Reason.UNKNOWN_SCHEMA, _unknown(schema_id))
        schema = _record(found)
        if schema is None:
            raise Rejected(
                Reason.UNKNOWN_SCHEMA,
                f"The schema id {schema_id} {_NO_RECORD}. Publish with one that is.",
            )
        return schema

    def answers_for_others(self, but_id: int | None, subject: str) -> bool:
        """Return whether the registry gives what it surely has. Then it fails for one id only, and is not down.

        Asks the same questions as for but_id, about a schema of ours whose id is known. If none is known, asks for the
        subject's versions. A 404 does not count as an answer: a registry that lost its data must not cause refusals.
        """
        ours = next(((of, known) for of, known in list(self._ids.items()) if known != but_id), None)
        try:
            if ours is None:
                return bool(ask(lambda: list(map(int, self._client.get_versions(subject)))))
            self._client.clear_caches()  # type: ignore[no-untyped-call] # else it answers from its cache
            return not isinstance(self.look_up(*ours), NotThere)
        except (RegistryUnavailable, Rejected):
            return False

    def versions(self, subject: str, *, deleted: bool, newest: int = VERSIONS_MAX) -> list[Version]:
        """Return the newest versions of a subject, oldest first; none if there is no such subject.

        deleted: include versions that were soft-deleted. newest: at most so many; each costs a question. A version
        for which alone the registry fails is returned without a schema. Raises RegistryUnavailable.
        """
        numbers = ask(lambda: sorted(map(int, self._client.get_versions(subject, deleted=deleted)))) or []
        found = [self._version_or_why(subject, number) for number in numbers[-newest:]]
        return [version for version in found if version is not None]

    def _version_or_why(self, subject: str, number: int) -> Version | None:
        try:
            return self._version(subject, number)
        except RegistryUnavailable as error:
            if not self.answers_for_others(None, subject):
                raise
            return Version(number, None, None, f"cannot be read: {error}")

    def _version(self, subject: str, number: int) -> Version | None:
        def question() -> Version:
            found = self._client.get_version(subject, number, deleted=True)
            schema = _record(_content(found.schema))
            return Version(number, _whole(found.schema_id), schema, "" if schema is not None else _NO_RECORD)

        version: Version | None = ask(question)
        return version


def ask(question: Callable[[], Any]) -> Any:
    """Return the registry's answer, None if it has no such thing. Raises RegistryUnavailable for any other error."""
    try:
        return question()
    except SchemaRegistryError as error:
        if error.error_code in _NOT_THERE:
            return None
        raise RegistryUnavailable(explain_status(error.http_status_code)) from error
    except Exception as error:  # the client also raises errors of its HTTP library and parser
        raise RegistryUnavailable(explain_failure(error)) from error


def _whole(number: Any) -> int:
    """Return a valid id. Raises TypeError for anything else: then it is not a registry that answers."""
    if isinstance(number, int) and 0 <= number <= ID_MAX:
        return number
    raise TypeError("an id is a whole number")


def _text(value: Any) -> str:
    """Return a text. Raises TypeError for anything else."""
    if isinstance(value, str):
        return value
    raise TypeError("a text is missing")


def _content(found: Schema) -> Schema:
    """Return a schema that has a text. Raises TypeError for one without."""
    _text(found.schema_str)
    return found


def _unknown(schema_id: int) -> str:
    return f"The registry does not know the schema id {schema_id}. Register the publisher's schema."


def _same_event(subject: str, others: list[str]) -> bool:
    """Return whether one of these subjects belongs to the same event with another prefix."""
    names = (subject_name("", event_type) for event_type in TOPICS)
    ends = tuple(name for name in names if subject.endswith(name))
    return any(other.endswith(ends) for other in others)


def _record(found: Schema) -> dict[str, Any] | None:
    """Return the schema as JSON if it is one Avro record without references; else None."""
    text = found.schema_str or ""
    if found.schema_type not in {"AVRO", None} or found.references or len(text) > SCHEMA_CHARS_MAX:
        return None
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return schema if isinstance(schema, dict) and schema.get("type") == "record" else None
