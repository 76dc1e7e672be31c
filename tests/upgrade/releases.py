"""Older releases as they were: `deploy/releases.toml` names their commits, git has them, each gets its own venv."""

import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.upgrade.copies import ROOT
from tests.upgrade.fleet import Release

FILE: Final = ROOT / "deploy" / "releases.toml"
KEPT: Final = ROOT / ".payments" / "releases"
"""Environments are kept: one takes a minute to make."""
_MAIN: Final = "from deploy.cli import main; main(prog_name='payments')"


class Missing(Exception):  # noqa: N818 - it is no error: the pair is left out, and the report says so
    """Something outside is not here. The text says what, and how to get it."""


@dataclass(frozen=True, slots=True)
class Released:
    """A release of the file."""

    version: str
    tag: str
    commit: str
    schema: str
    beside: tuple[str, ...]


def released() -> tuple[Released, ...]:
    """Read the file, oldest first."""
    document = tomllib.loads(FILE.read_text("utf-8"))
    return tuple(Released(**{**entry, "beside": tuple(entry["beside"])}) for entry in document["release"])


def install(release: Released) -> Release:
    """Take the release out of git and make its environment, unless that was done before. Raises Missing."""
    folder = KEPT / release.version
    source, environment, done = folder / "source", folder / "venv", folder / release.commit
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        source.mkdir(parents=True)
        _take_out(release, source)
        _run([sys.executable, "-m", "venv", str(environment)], "venv and pip of Python (Debian: python3-venv)")
        pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        lock = str(source / "requirements.lock")
        _run([*pip, "--require-hashes", "--no-deps", "-r", lock], f"the packages that release {release.version} locks")
        done.touch()
    return Release(f"release {release.version}", environment / "bin" / "python", str(source), prefix=("-c", _MAIN))


def has_commit(commit: str) -> bool:
    """Whether this clone has it. A shallow one has not."""
    asked = ["git", "-C", str(ROOT), "cat-file", "-e", f"{commit}^{{commit}}"]
    return shutil.which("git") is not None and subprocess.run(asked, capture_output=True, check=False).returncode == 0


def file_of(commit: str, path: str) -> str:
    """Return a file as it was."""
    shown = ["git", "-C", str(ROOT), "show", f"{commit}:{path}"]
    return subprocess.run(shown, capture_output=True, text=True, check=True).stdout


def _take_out(release: Released, into: Path) -> None:
    if not has_commit(release.commit):
        raise Missing(
            f"release {release.version} is commit {release.commit}, which this clone does not have: "
            "git fetch --unshallow, then again"
        )
    archive = into / "archive.tar"
    _run(["git", "-C", str(ROOT), "archive", "-o", str(archive), release.commit], "git")
    _run(["tar", "-x", "-f", str(archive), "-C", str(into)], "tar")


def _run(command: list[str], needs: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise Missing(f"this needs {needs}") from error
    if done.returncode != 0:
        raise Missing(f"this needs {needs}: {' '.join((done.stderr or done.stdout).split())[-500:]}")
