"""The environment of the peers: their Python packages in a venv of their own, and Restate's server from npm."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
VENV = ROOT / ".venv" / "bench"
LOCK = Path(__file__).parent / "requirements.lock"
RESTATE_PACKAGE = "@restatedev/restate-server@1.7.12"
INSTALL_S = 900.0

Progress = Callable[[str], None]


class NotHere(Exception):  # noqa: N818 - it is no error: the peer is left out
    """A peer cannot run on this machine; the text says why."""


def inherited() -> dict[str, str]:
    """Return this process's environment without any setting of the pipeline: the benchmark is told by its options."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PAYMENTS_")}  # noqa: TID251


def peers_python(progress: Progress) -> Path:
    """Make the peers' venv if it is not there, or not of this lock; return its Python."""
    python = VENV / "bin" / "python"
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    stamp = VENV / "lock.sha256"
    if stamp.exists() and stamp.read_text(encoding="ascii") == digest:
        return python
    progress(f"installing what the peers need into {VENV} (hash-checked; a minute the first time)")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True, timeout=INSTALL_S)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "--no-deps", "-r", str(LOCK)], check=True, timeout=INSTALL_S)
    stamp.write_text(digest, encoding="ascii")
    return python


def restate_server(progress: Progress) -> Path:
    """Install Restate's server if it is not there; return its launcher. Raises NotHere without npm."""
    folder = VENV / "npm"
    launcher = folder / "node_modules" / ".bin" / "restate-server"
    if launcher.exists():
        return launcher
    npm = shutil.which("npm")
    if npm is None:
        raise NotHere("npm is not installed, and Restate's server comes from there (@restatedev/restate-server)")
    progress(f"installing {RESTATE_PACKAGE} with npm into {folder}")
    argv = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder), RESTATE_PACKAGE]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    if done.returncode != 0 or not launcher.exists():
        reason = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise NotHere(f"npm cannot install {RESTATE_PACKAGE}: {reason[-1]}")
    return launcher


def with_settings(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process that is measured: what is inherited, and these settings."""
    return {**inherited(), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **settings}
