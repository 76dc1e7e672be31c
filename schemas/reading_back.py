"""Whether a registry gives readers the schemas that were registered.

A registry may lag behind: readers do not get a new schema yet, and would refuse messages. So it is asked again, for
all subjects together.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from confluent_kafka.schema_registry import SchemaRegistryClient

from schemas.confluent import ConfluentRegistry
from schemas.registry import NotThere, RegistryUnavailable
from schemas.rejection import Rejected
from schemas.releases import without_docs

AGAIN_S: Final = 0.5
_NOT_GIVEN: Final = (
    "it is there, and the registry does not give it to readers yet; run `payments schemas check` before a process "
    "starts"
)


@dataclass(frozen=True, slots=True)
class Registration:
    """What became of one schema. schema_id: None if it is not there. problems: empty if all is well."""

    event_type: str
    subject: str
    schema_id: int | None
    did: str
    problems: tuple[str, ...] = ()


class _Given(NamedTuple):
    """What is wrong with the schema that readers get. late: the registry may only lag behind."""

    problems: list[str]
    late: bool = False


def read_back(
    client: SchemaRegistryClient,
    done: Sequence[Registration],
    *,
    ours: Callable[[str], dict[str, Any]],
    lag_s: float,
    report: Callable[[str], None],
) -> list[Registration]:
    """Add what is wrong with what readers get. Wait for late schemas, for lag_s at most.

    ours: gives the schema of an event. report: gets the wait.
    """
    registry = ConfluentRegistry(client)
    until = time.monotonic() + lag_s
    problems: dict[str, list[str]] = {}
    late = [one for one in done if one.schema_id is not None]
    reported = False
    while late:
        given = [(one, _read(client, registry, one, ours(one.event_type))) for one in late]
        problems |= {one.subject: found.problems for one, found in given}
        late = [one for one, found in given if found.late]
        if not late or time.monotonic() >= until:
            break
        if not reported:
            reported = True
            names = late[0].subject + (f" and {len(late) - 1} more" if late[1:] else "")
            report(f"the registry lags behind: waiting up to {lag_s:g} s until it gives {names}")
        time.sleep(AGAIN_S)
    return [replace(one, problems=(*one.problems, *problems.get(one.subject, ()))) for one in done]


def gives_another(client: SchemaRegistryClient, one: Registration, ours: dict[str, Any]) -> bool:
    """Return whether the registry surely gives readers another schema than ours, under the id that it has for ours."""
    given = _read(client, ConfluentRegistry(client), one, ours)
    return bool(given.problems) and not given.late


def _read(client: SchemaRegistryClient, registry: ConfluentRegistry, one: Registration, ours: dict[str, Any]) -> _Given:
    """Compare the schema that readers get. Some registries ignore a difference in an enum's default."""
    assert one.schema_id is not None
    client.clear_caches()  # type: ignore[no-untyped-call] # else it returns what we sent
    try:
        theirs = registry.look_up(one.subject, one.schema_id)
    except Rejected as refusal:
        return _Given([refusal.detail])
    except RegistryUnavailable as error:
        return _Given([f"{_NOT_GIVEN}: {error}"], late=True)
    if isinstance(theirs, NotThere):
        return _Given([f"{_NOT_GIVEN}: {theirs.detail}"], late=True)
    place = _find_difference(without_docs(ours), without_docs(theirs), "")
    if place is None:
        return _Given([])
    problem = (
        f"under id {one.schema_id} the registry gives readers another schema, it differs at {place}: an older "
        "version counts as the same there. When no message with that id is on a topic any more, delete that version "
        "for good (DELETE, then DELETE with ?permanent=true), then register again"
    )
    return _Given([problem])


def _find_difference(ours: Any, theirs: Any, path: str) -> str | None:
    """Return the path of the first place where two schemas differ; None if they are equal."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        name = f"{path}.{ours['name']}" if "name" in ours else path
        places = (
            _find_difference(ours.get(part), theirs.get(part), f"{name}.{part}" if part == "default" else name)
            for part in sorted(ours.keys() | theirs.keys())
        )
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        places = (_find_difference(a, b, path) for a, b in zip(ours, theirs, strict=True))
    else:
        return None if ours == theirs else path.lstrip(".")
    return next((place for place in places if place is not None), None)
