"""The migrations in their order, and of which kind each is. Their files' names say it: every start asks.

`0019_names.py` expands: it only adds, so processes of older releases run on. `0020_contract_names.py` contracts: it
takes away what older releases use.
"""

from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple


class Kind(StrEnum):
    """What a migration means for processes of older releases: they run on, or none may run."""

    EXPAND = "expand"
    CONTRACT = "contract"


class Step(NamedTuple):
    """A migration. oldest: the least schema that a process must be made for to work after it."""

    revision: str
    kind: Kind
    oldest: str


PAUSES: Final = frozenset({"0002", "0003", "0013"})
"""From before migrations had kinds: each adds and takes away in one, so nothing of another release works beside it."""


def steps_of(names: list[str]) -> tuple[Step, ...]:
    """Read the names of the files of migrations, oldest first."""
    made: list[Step] = []
    oldest = expanded = ""
    for name in sorted(names):
        revision, _, rest = name.partition("_")
        kind = Kind.CONTRACT if rest.startswith(Kind.CONTRACT) or revision in PAUSES else Kind.EXPAND
        if kind is Kind.EXPAND or revision in PAUSES:
            expanded = revision
        if kind is Kind.CONTRACT or not oldest:
            # It takes away what the release no longer uses that brought the last expansion before it.
            oldest = expanded
        made.append(Step(revision, kind, oldest))
    return tuple(made)


@cache
def steps() -> tuple[Step, ...]:
    """Return the migrations of this release, oldest first."""
    folder = files("outbox.schema") / "migrations" / "versions"
    names = [file.name for file in folder.iterdir() if file.name.endswith(".py") and file.name[0].isdigit()]
    return steps_of(names)


def revisions() -> tuple[str, ...]:
    """Name the migrations, oldest first."""
    return tuple(step.revision for step in steps())


def needed(of: tuple[Step, ...] | None = None) -> str:
    """Return the least schema that this release works on: its last one, without contractions at its end."""
    chain = steps() if of is None else of
    return next(step.revision for step in reversed(chain) if step.kind is Kind.EXPAND or step.revision in PAUSES)
