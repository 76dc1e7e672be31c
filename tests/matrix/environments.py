"""An environment for each Python, made as the Makefile makes the first: from the locks, hash-checked. Kept."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tests.matrix.asking import running
from tests.matrix.warned import ROOT

FOLDER: Final = Path(".payments") / "matrix"
MAKE_S: Final = 1800.0


class NoEnvironment(Exception):  # noqa: N818 - what happened, as in Missing
    """The locked packages cannot be installed for a Python; the text says why."""


def python_of(version: str, interpreters: Mapping[str, Path], tell: Callable[[str], None]) -> Path:
    """Return the program of an environment for this Python; the one that runs us is used as it is.

    Raises NoEnvironment.
    """
    if version == running():
        return Path(sys.executable)
    venv = FOLDER / f"python{version}"
    tell(f"Python {version}: an environment in {venv}, from the locks (minutes the first time)")
    command = ["make", "--no-print-directory", f"VENV={venv}", f"PYTHON={interpreters[version]}", str(venv / ".dev")]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=MAKE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoEnvironment(f"Python {version}: no environment ({type(error).__name__}: {error})") from error
    if done.returncode != 0:
        raise NoEnvironment(f"Python {version}: no environment: {(done.stderr or done.stdout).strip()[-1500:]}")
    return ROOT / venv / "bin" / "python"
