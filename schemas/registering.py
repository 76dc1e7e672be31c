"""Our schemas in a registry: whether they fit what is there, and how they get there.

What is there is read back. A registry may lag behind, and then readers do not get it yet: they would refuse messages.
So that is asked again for LAG_S at most, for all subjects together.
"""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from schemas.compatibility import compatible
from schemas.confluent import SLOW_S, ConfluentRegistry, ask
from schemas.registry import NotRegistered, NotThere, RegistryUnavailable
from schemas.rejection import Rejected
from schemas.releases import without_docs
from schemas.shapes import load
from schemas.topics import topic_name

LEVEL: Final = "FULL_TRANSITIVE"
WORDS_MAX: Final = 500
LAG_S: Final = 30.0
AGAIN_S: Final = 0.5
_NOT_GIVEN: Final = (
    "it is there, and the registry does not give it to readers yet; run `payments schemas check` before a process "
    "starts"
)
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
    """Compares and registers. prefix: that of the topics. lag_s: how long a registry may lag behind. tell: progress.

    A subject for which the registry fails is a Registration with a problem, and the others go on. When it fails for
    all of them, RegistryUnavailable is raised.
    """

    def __init__(
        self,
        client: SchemaRegistryClient,
        prefix: str,
        *,
        lag_s: float = LAG_S,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._client = client
        self._registry = ConfluentRegistry(client)
        self._prefix = prefix
        self._lag_s = lag_s
        self._tell = tell

    def compare(self, *event_types: str) -> list[Registration]:
        """Say whether our schemas are there, and what of the live versions there they do not fit."""
        return self._read_back(self._each(event_types, self._compare))

    def register(self, *event_types: str) -> list[Registration]:
        """Put our schemas there, with the level FULL_TRANSITIVE for their subjects. May be repeated.

        What does not fit the versions there is not put there: the registry's own rules let a change of meaning pass.
        """
        return self._read_back(self._each(event_types, self._register))

    def _each(self, event_types: Iterable[str], do: Callable[[str], Registration]) -> list[Registration]:
        done, failures, answered = [], [], False
        for event_type in event_types:
            began = time.monotonic()
            try:
                done.append(do(event_type))
                answered = True
            except RegistryUnavailable as error:
                if not answered and time.monotonic() - began >= SLOW_S:
                    raise
                failures.append(error)
                done.append(Registration(event_type, self._subject(event_type), None, "not answered", (str(error),)))
        if failures and not answered:
            raise failures[0]
        return done

    def _compare(self, event_type: str) -> Registration:
        subject, ours = self._subject(event_type), load(event_type)
        problems = tuple(self._misfits(subject, ours))
        try:
            schema_id = self._registry.id_of(subject, ours)
        except NotRegistered:
            return Registration(event_type, subject, None, "not registered", problems)
        return Registration(event_type, subject, schema_id, "registered", problems)

    def _register(self, event_type: str) -> Registration:
        before = self._compare(event_type)
        if before.problems:
            return replace(before, did="refused")
        subject, schema_id = before.subject, before.schema_id
        # Some registries know no level of a subject that is not there yet.
        changed = self._set_level(subject) if self._registry.versions(subject, deleted=False, newest=1) else False
        if schema_id is None:
            answer = self._put(subject, load(event_type))
            if isinstance(answer, str):
                return Registration(event_type, subject, None, "refused", (answer,))
            schema_id = answer
        changed = self._set_level(subject) or changed
        did = "registered" if before.schema_id is None else f"set to {LEVEL}" if changed else "there already"
        return Registration(event_type, subject, schema_id, did)

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
                problems.append(f"version {version.number} there {version.why}")
            else:
                problems += [f"version {version.number} there: {why}" for why in compatible(version.schema, ours)]
        return problems

    def _read_back(self, done: Sequence[Registration]) -> list[Registration]:
        """Add what is wrong with what the registry gives readers; wait together for what it does not give yet."""
        until = time.monotonic() + self._lag_s
        problems: dict[str, list[str]] = {}
        late = [one for one in done if one.schema_id is not None]
        told = False
        while late:
            found = [(one, self._kept_as(one)) for one in late]
            problems |= {one.subject: kept.problems for one, kept in found}
            late = [one for one, kept in found if kept.late]
            if not late or time.monotonic() >= until:
                break
            if not told:
                told = True
                self._tell(f"the registry lags behind: waiting up to {self._lag_s:g} s until it gives {_named(late)}")
            time.sleep(AGAIN_S)
        return [replace(one, problems=(*one.problems, *problems.get(one.subject, ()))) for one in done]

    def _kept_as(self, one: Registration) -> "_Kept":
        """Read back what the registry gives readers: some take schemas for equal that differ in an enum's default."""
        assert one.schema_id is not None
        self._client.clear_caches()  # type: ignore[no-untyped-call] # it would give back what we sent
        try:
            theirs = self._registry.look_up(one.subject, one.schema_id)
        except Rejected as refusal:
            return _Kept([refusal.detail])
        except RegistryUnavailable as error:
            return _Kept([f"{_NOT_GIVEN}: {error}"], late=True)
        if isinstance(theirs, NotThere):
            return _Kept([f"{_NOT_GIVEN}: {theirs.detail}"], late=True)
        place = _difference(without_docs(load(one.event_type)), without_docs(theirs), "")
        if place is None:
            return _Kept([])
        problem = (
            f"under id {one.schema_id} the registry gives readers another schema, it differs at {place}: an older "
            "version counts as the same there; delete that version for good, then register again"
        )
        return _Kept([problem])

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


class _Kept(NamedTuple):
    """What is wrong with what readers get. late: they may get it soon, for the registry may lag behind."""

    problems: list[str]
    late: bool = False


def _named(late: Sequence[Registration]) -> str:
    return late[0].subject + (f" and {len(late) - 1} more" if late[1:] else "")


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
