"""The registry behind Confluent's HTTP interface (Confluent's own, Karapace, Apicurio and others speak it)."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from schemas.registry import NotRegistered, NotThere, RegistryUnavailable, fails_over
from schemas.rejection import Reason, Rejected
from schemas.topics import TOPICS

TIMEOUT_S: Final = 3
REFUSAL_REMEMBERED_S: Final = 30.0
"""A flood of messages with a made-up id asks the registry once; an id that appears later is found soon after."""
REFUSALS_MAX: Final = 1_000
SLOW_S: Final = 1.0
SILENCE_REMEMBERED_S: Final = 10.0
"""A failure that took long is not repeated at once: a command that reads many bodies waits for a time-out once."""
ID_MAX: Final = 2**31 - 1
"""Registries count with Java's int; a greater id is garbage, and asking for it might look like a broken registry."""
VERSIONS_MAX: Final = 100
"""Versions of a subject that ours are held to, the newest ones."""
SCHEMA_CHARS_MAX: Final = 1_000_000
"""Ours have a few thousand. A longer one would keep an event loop busy for seconds."""
_NO_RECORD: Final = "is not one self-contained Avro record"
_NOT_THERE: Final = frozenset({40401, 40402, 40403})
"""Subject, version and schema not found. A 404 with another code comes from a proxy, or means a wrong address."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a subject. schema, schema_id: None when nothing can be made of it; why says what is the matter."""

    number: int
    schema_id: int | None
    schema: dict[str, Any] | None
    why: str = ""


def connect(url: str) -> SchemaRegistryClient:
    """Make the client; user and password may be part of the address. Raises ValueError for no address."""
    return SchemaRegistryClient({"url": url, "timeout": TIMEOUT_S, "max.retries": 0})


class ConfluentRegistry:
    """Asks the registry and remembers what it said; ids never change their meaning. Registers nothing.

    Calls are synchronous. A call waits at most TIMEOUT_S seconds for each step of an answer; after the first of an id
    there are none. clock counts seconds from anywhere and never goes back.
    """

    def __init__(self, client: SchemaRegistryClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._ids: dict[str, int] = {}
        self._schemas: dict[tuple[str, int], dict[str, Any]] = {}
        self._refusals: dict[tuple[str, int], tuple[float, Reason, str]] = {}
        self._silent_until = 0.0
        self._silence = ""

    @classmethod
    def at(cls, url: str) -> "ConfluentRegistry":
        """Use the registry at this address. Raises ValueError for no address."""
        return cls(connect(url))

    def close(self) -> None:
        """Give the connections up."""
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
        """Return the schema that the id names, if it belongs to the subject; deleted versions are still read.

        Raises Rejected(UNKNOWN_SCHEMA or WRONG_SCHEMA), for an id that the registry fails over, too, as long as it
        answers for others; else RegistryUnavailable.
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
            found = fails_over(schema_id, error)
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
        """Ask for the schema, whatever is remembered. NotThere may change when the registry lags behind.

        Raises Rejected for what can never change (another event's schema, not one Avro record), RegistryUnavailable.
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
            # Another deployment registered the same schema, and a registry gives equal schemas one id: ours may come.
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
        """Say whether the registry gives what it surely has: then its failure is about that one id, and no outage.

        The same questions are asked as were of but_id, about a schema of ours whose id is known. While none is known:
        which versions this subject has. A 404 is no proof: what lost its data must condemn nobody's message.
        """
        ours = next(((of, known) for of, known in list(self._ids.items()) if known != but_id), None)
        try:
            if ours is None:
                return bool(ask(lambda: list(map(int, self._client.get_versions(subject)))))
            self._client.clear_caches()  # type: ignore[no-untyped-call] # it would answer in the registry's place
            return not isinstance(self.look_up(*ours), NotThere)
        except (RegistryUnavailable, Rejected):
            return False

    def versions(self, subject: str, *, deleted: bool, newest: int = VERSIONS_MAX) -> list[Version]:
        """Return the newest versions of a subject, oldest first; none if there is no such subject.

        deleted: those, too, that were deleted, but not for good. newest: so many at the most, each costs a question.
        Raises RegistryUnavailable; one version over which the registry fails is there without a schema.
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
    """Return the registry's answer, or None when it has no such thing. Raises RegistryUnavailable for all else."""
    try:
        return question()
    except SchemaRegistryError as error:
        if error.error_code in _NOT_THERE:
            return None
        raise RegistryUnavailable(
            f"the schema registry refuses to answer (HTTP {error.http_status_code}): "
            "check its state and PAYMENTS_SCHEMA_REGISTRY_URL"
        ) from error
    except Exception as error:  # the client lets the errors of its HTTP library and parser through
        raise RegistryUnavailable(
            f"the schema registry does not answer as one ({type(error).__name__}): check PAYMENTS_SCHEMA_REGISTRY_URL"
        ) from error


def _whole(number: Any) -> int:
    """Return an id as it must be. Raises TypeError for anything else: what answers is no registry."""
    if isinstance(number, int) and 0 <= number <= ID_MAX:
        return number
    raise TypeError("an id is a whole number")


def _text(value: Any) -> str:
    """Return a text as it must be. Raises TypeError for anything else."""
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
    """Say whether one of these subjects is the same event's, behind another prefix."""
    ends = tuple(f"{event_type}-value" for event_type in TOPICS if subject.endswith(f"{event_type}-value"))
    return any(other.endswith(ends) for other in others)


def _record(found: Schema) -> dict[str, Any] | None:
    """Return the schema as JSON if it is one Avro record without references to others."""
    text = found.schema_str or ""
    if found.schema_type not in {"AVRO", None} or found.references or len(text) > SCHEMA_CHARS_MAX:
        return None
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return schema if isinstance(schema, dict) and schema.get("type") == "record" else None
