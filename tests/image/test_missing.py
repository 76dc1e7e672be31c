"""Without a tool `make image` and `make chart` say which, and end with 2."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUN_S = 100


@pytest.mark.parametrize(
    ("program", "arguments", "told"),
    [
        ("tests.image", (), "docker is not on the PATH"),
        ("tests.image", ("--own-engine",), "dockerd and debootstrap not found"),
        ("tests.chart", (), "Go is not on the PATH"),
    ],
)
def test_a_missing_tool_is_named(tmp_path: Path, program: str, arguments: tuple[str, ...], told: str) -> None:
    code = f"""
import runpy, sys
from pathlib import Path
import tests.chart.tools, tests.image.docker
tests.chart.tools.FOLDER = Path({str(tmp_path)!r})
tests.image.docker.SYSTEM_PLACES = ""
sys.argv = {[program, *arguments]!r}
runpy.run_module({program!r}, run_name="__main__")
"""
    given = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=given, capture_output=True, text=True, timeout=RUN_S, check=False
    )
    assert (done.returncode, told in done.stderr) == (2, True), done.stderr
