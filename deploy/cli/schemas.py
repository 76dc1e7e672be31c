"""`payments schemas`: the contracts, held to what was released and to what a registry has."""

from typing import TYPE_CHECKING

import click

from deploy.cli.common import answer, emit, emit_json, json_option, say, settings_for_command
from deploy.settings import Settings, SettingsError
from schemas.models import EVENTS
from schemas.releases import COMING, broken_promises, release_of, releases, undefaulted
from schemas.shapes import SHAPES, load
from schemas.texts import counted
from schemas.topics import topic_name

if TYPE_CHECKING:
    from schemas.reading_back import Registration
    from schemas.registering import Registrar

_FOREIGN = (
    "a version that does not fit is not of this release: somebody else registered it, or a newer release. Messages of "
    "it are dead letters (unknown_schema); on topics of ours their partition waits (alarm newer_schema). A version of "
    "somebody else: when no message of it is on a topic any more, delete it for good (DELETE, then DELETE with "
    "?permanent=true), and repeat this command"
)


@click.group()
def schemas() -> None:
    """Contracts: show them, compare them, put them in a registry."""


@schemas.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """Show every event's schema: its fingerprint (CRC-64-AVRO, as a single object carries it) and its release."""
    settings = settings_for_command()
    rows = [
        {
            "event": event_type,
            "fingerprint": shape.fingerprint.hex(),
            "released": release_of(event_type),
            "subject": topic_name(settings.topic_prefix, event_type) + "-value",
        }
        for event_type, shape in SHAPES.items()
    ]
    width = max(map(len, SHAPES))
    lines = (f"{row['event']:{width}}  {row['fingerprint']}  {row['released'] or COMING}" for row in rows)
    answer({"schemas": rows}, lines, as_json=as_json)


@schemas.command()
@json_option
def check(*, as_json: bool) -> int:
    """Hold today's schemas to every release and, if one is set, to the live versions in the registry.

    Readers and writers of all versions must understand each other, the meaning of values included (logical types), and
    every enum must have a default. Exit 1 if not.
    """
    settings = settings_for_command()
    problems = broken_promises(releases())
    problems += [f"{event_type}: {problem}" for event_type in EVENTS for problem in undefaulted(load(event_type))]
    missing: list[str] = []
    there: list[Registration] = []
    if settings.schema_registry_url is not None:
        there = _registrar(settings).compare(*EVENTS)
        problems += [f"{found.subject}: {problem}" for found in there for problem in found.problems]
        missing = [found.subject for found in there if found.did == "not registered"]
    if as_json:
        emit_json({"compatible": not problems, "problems": problems, "not_registered": missing})
        return 1 if problems else 0
    for problem in problems:
        say(problem)
    _say_what_to_do(there)
    if missing:
        say(f"not in the registry yet: {', '.join(missing)}; `payments schemas register` puts them there")
    names = sorted({released.release for released in releases()})
    against = f"release {', '.join(names)}" + (" and the registry" if settings.schema_registry_url else "")
    ours = f"{counted(len(EVENTS), 'schema')} of {COMING}"
    emit(f"{ours}: {counted(len(problems), 'problem')} with {against}")
    return 1 if problems else 0


@schemas.command()
@json_option
def register(*, as_json: bool) -> int:
    """Put every schema in the registry of PAYMENTS_SCHEMA_REGISTRY_URL, under the subject `<topic>-value`.

    Sets the compatibility level FULL_TRANSITIVE for each subject. May be repeated: what is there stays as it is. What
    does not fit a version that is there, or that the registry takes for the same as an older version, is refused before
    anything is changed, and the exit code is 1; the others are registered. Then each is read back, for 30 seconds at
    most: what the registry does not give to readers by then is a problem, too.
    """
    settings = settings_for_command()
    done = _registrar(settings).register(*EVENTS)
    bad = [one for one in done if one.problems]
    if as_json:
        rows = [
            {"event": d.event_type, "subject": d.subject, "id": d.schema_id, "did": d.did, "problems": list(d.problems)}
            for d in done
        ]
        emit_json({"schemas": rows})
        return 1 if bad else 0
    for one in done:
        emit(f"{one.subject}: {one.did}" + (f", id {one.schema_id}" if one.schema_id is not None else ""))
        for problem in one.problems:
            say(f"{one.subject}: {problem}")
    _say_what_to_do(done)
    new = sum(one.did == "registered" for one in done)
    emit(f"{counted(len(done), 'schema')}, {new} registered now, {len(bad)} with problems")
    return 1 if bad else 0


def _say_what_to_do(done: "list[Registration]") -> None:
    """Say once what to do about versions of others in the registry."""
    if any(problem.startswith("version ") for one in done for problem in one.problems):
        say(_FOREIGN)


def _registrar(settings: Settings) -> "Registrar":
    from schemas.confluent import connect  # noqa: PLC0415 - a large library, and most have no registry
    from schemas.registering import Registrar  # noqa: PLC0415 - as above

    if settings.schema_registry_url is None:
        raise SettingsError("set PAYMENTS_SCHEMA_REGISTRY_URL to the registry's address, as https://user:password@host")
    client = connect(settings.schema_registry_url, settings.registry_options())
    return Registrar(client, settings.topic_prefix, report=say)
