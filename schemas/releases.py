"""The schemas as they were released: readers have them, and messages on topics are written with them.

`released/<release>/<Event>.avsc` is never changed. A release adds a folder with the schemas that are new or changed.
The folder of the coming release has today's, and follows `avro/` until the release: `python -m schemas.releases` copies
them. Nobody outside has these yet, so no promise is made of them.
"""

from collections.abc import Iterable
from importlib.resources import files
from json import loads
from pathlib import Path
from typing import Any, Final, NamedTuple

from schemas.compatibility import compatible, enums
from schemas.models import EVENTS
from schemas.shapes import load
from schemas.version import RELEASE

COMING: Final = RELEASE
"""The version of this code: a release that is not made yet. CONTRIBUTING.md tells how it is made."""
_SUFFIX: Final = ".avsc"
_FOLDER: Final = files("schemas").joinpath("released")


class Released(NamedTuple):
    """A schema as it was in a release."""

    release: str
    event_type: str
    schema: dict[str, Any]


def releases() -> list[Released]:
    """Return every released schema, the oldest release first."""
    names = sorted((entry.name for entry in _FOLDER.iterdir() if entry.is_dir()), key=_number)
    return [released for release in names if release != COMING for released in _schemas_of(release)]


def candidates() -> list[Released]:
    """Return the schemas that are kept for the coming release; empty right after a release."""
    return _schemas_of(COMING) if _FOLDER.joinpath(COMING).is_dir() else []


def new_or_changed() -> list[str]:
    """Return the events whose schemas of today are in no release: what the coming release adds. Docs may differ."""
    return [event_type for event_type in EVENTS if release_of(event_type) is None]


def _schemas_of(release: str) -> list[Released]:
    return [
        Released(release, file.name.removesuffix(_SUFFIX), loads(file.read_text(encoding="utf-8")))
        for file in sorted(_FOLDER.joinpath(release).iterdir(), key=lambda file: file.name)
        if file.name.endswith(_SUFFIX)
    ]


def release_of(event_type: str) -> str | None:
    """Return the first release that has today's schema of this event; None if there is none. Docs may differ."""
    ours = without_docs(load(event_type))
    return next(
        (r.release for r in releases() if r.event_type == event_type and without_docs(r.schema) == ours),
        None,
    )


def broken_promises(promised: Iterable[Released]) -> list[str]:
    """Return where today's schemas are not compatible with released ones, a line each; empty if they all are."""
    problems = []
    for released in promised:
        if released.event_type not in EVENTS:
            problems.append(f"{released.event_type} was released in {released.release} and is no event any more")
            continue
        problems += [
            f"{released.event_type} does not fit release {released.release}: {problem}"
            for problem in compatible(released.schema, load(released.event_type))
        ]
    return problems


def undefaulted(schema: dict[str, Any]) -> list[str]:
    """Return why a schema may not be released or registered: enums without a default, a line each.

    A reader of a version without it can never read a new symbol. Some registries (Apicurio 3.3) take the version that
    adds the default for the same, and drop it.
    """
    return [
        f"the enum {enum['name']} has no default: give it one before the schema is registered for the first time; "
        "afterwards no version can mend it"
        for enum in enums(schema)
        if "default" not in enum
    ]


def without_docs(schema: Any) -> Any:
    """Copy a schema without its docs."""
    if isinstance(schema, list):
        return [without_docs(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: part if name == "default" else without_docs(part) for name, part in schema.items() if name != "doc"}


def _number(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split("."))


def _keep_candidates(folder: Path) -> None:
    """Have the coming release's folder hold today's new and changed schemas, and no others. folder: of this package."""
    kept = folder / "released" / COMING
    kept.mkdir(exist_ok=True)
    wanted = {f"{event_type}{_SUFFIX}" for event_type in new_or_changed()}
    for name in wanted:
        (kept / name).write_bytes((folder / "avro" / name).read_bytes())
    for file in kept.iterdir():
        if file.name not in wanted:
            file.unlink()


if __name__ == "__main__":
    _keep_candidates(Path(__file__).parent)
