"""Which cells a run has: those that are asked for and can run here. What cannot is named with what to do."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.matrix.versions import KAFKAS, POSTGRES, PYTHONS, Cell

AXES: Final = {"kafka": tuple(KAFKAS), "postgres": POSTGRES, "python": PYTHONS}


class BadChoice(Exception):  # noqa: N818 - what was wrong with what was asked
    """`--only` names no axis or version of the matrix; the text says what there is."""


@dataclass(frozen=True, slots=True)
class Asked:
    """cells: to run. missing: what the matrix has and this machine has not, each with how to get it."""

    cells: Sequence[Cell]
    missing: Sequence[str]


def chosen(only: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Read `--only`: axis=version, several times or with commas. Raises BadChoice."""
    named: dict[str, list[str]] = {}
    for text in only:
        for part in text.split(","):
            axis, _, version = part.partition("=")
            if version not in AXES.get(axis, ()):
                there = "; ".join(f"{name}={' or '.join(versions)}" for name, versions in AXES.items())
                raise BadChoice(f"--only {part}: there is no such version; choose {there}")
            named.setdefault(axis, []).append(version)
    return {axis: tuple(named.get(axis, versions)) for axis, versions in AXES.items()}


def ask(only: Sequence[str], interpreters: Mapping[str, Path], postgres_here: Sequence[str]) -> Asked:
    """Lay out the cells. Of Python the oldest and the newest that are here are taken, unless some are asked for.

    interpreters, postgres_here: what this machine has.

    Raises BadChoice.
    """
    named = chosen(only)
    pythons = _pythons(named["python"], interpreters, asked=any("python=" in text for text in only))
    missing = [
        f"Python {version} is not here: put python{version} on the PATH, or install it with pyenv"
        for version in named["python"]
        if version not in interpreters
    ]
    postgres = [version for version in named["postgres"] if version in postgres_here]
    if len(postgres) < len(named["postgres"]):
        missing.append(
            "PostgreSQL 15 is not here: apt-get install postgresql-15 (Debian 12 has it; else apt.postgresql.org)"
        )
    cells = [Cell(kafka, version, python) for python in pythons for kafka in named["kafka"] for version in postgres]
    return Asked(cells, missing)


def _pythons(versions: Sequence[str], interpreters: Mapping[str, Path], *, asked: bool) -> list[str]:
    here = [version for version in versions if version in interpreters]
    return here if asked or len(here) < 2 else [here[0], here[-1]]


def running() -> str:
    """Return the version of the Python that runs, as 3.11."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"
