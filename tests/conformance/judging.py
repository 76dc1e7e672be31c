"""The judge as a process: answers in, violations out."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PROGRAM = Path(__file__).parent / "judge.py"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of a server. path: as the specification writes it, `/v1/refunds/{refund}`. what: for the report."""

    what: str
    method: str
    path: str
    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def code(self) -> str | None:
        """The code of a refusal."""
        error = self.body.get("error") if isinstance(self.body, dict) else None
        return error.get("code") if isinstance(error, dict) else None


class Judge:
    """Asks the judge's process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.asked = 0

    def violations(self, answer: Answer) -> list[str]:
        """Return what the specification has against an answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        question = {"method": answer.method, "path": answer.path, "status": answer.status, "body": answer.body}
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the judge has ended"
        self.asked += 1
        return [f"{answer.what}: {violation}" for violation in json.loads(line)]


@contextmanager
def judging(python: Path, specification: Path) -> Iterator[Judge]:
    """Run a judge for the length of a block. python: one that has jsonschema."""
    process = subprocess.Popen(
        [str(python), "-I", str(_PROGRAM), str(specification)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield Judge(process)
    finally:
        process.communicate()
