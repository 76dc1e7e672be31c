"""A program of a kit that lacks a setting, or has a wrong one, says so in one line and ends with 2."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.neighbours.kits import Prepared
from tests.neighbours.running import environment

WRONG_SETTING: Final = 2
END_S: Final = 60.0
RIGHT: Final = {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "DATABASE_URL": "postgresql://nobody:secret@127.0.0.1:1/nothing",
    "SCHEMAS": "schemas",
}
_OF_BOTH: Final = {"KAFKA_BOOTSTRAP_SERVERS": ("",), "SCHEMAS": ("nowhere",)}
_OF_SUBSCRIBERS: Final = {
    **_OF_BOTH,
    "DATABASE_URL": ("", "secret@127.0.0.1:1"),
    "COMMIT_INTERVAL_MS": ("soon",),
    "SESSION_TIMEOUT_MS": ("0",),
}


def check_settings(kit: Prepared) -> None:
    """Start the kit's programs with each setting missing or wrong. Nothing of theirs can be connected to meanwhile."""
    for program, wrong in ((kit.publish, _OF_BOTH), (kit.subscribe, _OF_SUBSCRIBERS)):
        for name, values in wrong.items():
            for value in values:
                _check(program, kit.folder, name, RIGHT | {name: value})


def _check(program: Sequence[str], folder: Path, name: str, variables: Mapping[str, str]) -> None:
    done = subprocess.run(
        program,
        cwd=folder,
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=END_S,
        check=False,
    )
    said = done.stdout + done.stderr
    asked = f"{program[-1]} with {name}={variables[name]!r}"
    assert done.returncode == WRONG_SETTING, f"{asked} ended with {done.returncode}:\n{said[-2_000:]}"
    assert said.count("\n") == 1, f"{asked} said more than a line:\n{said[-2_000:]}"
    assert name in said, f"{asked} said: {said}"
    assert "secret" not in said, f"{asked} said a password: {said}"
