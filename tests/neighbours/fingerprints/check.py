"""Builds the programs of each language, asks them, and compares. A folder is kept: what is built is not built again."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.neighbours.fingerprints.cases import cases, compare
from tests.neighbours.missing import Missing
from tests.neighbours.running import environment

HERE: Final = Path(__file__).parent
BUILD_S: Final = 900.0
ASK_S: Final = 60.0
ELSEWHERE: Final = ("/usr/local/go/bin", "~/.cargo/bin")
"""Where installers put these languages without adding them to the PATH."""

Say = Callable[[str], None]


def check_go(folder: Path, say: Say) -> str:
    """Compare hamba/avro and goavro with the table. Raises Missing or AssertionError."""
    go = _find("go", "Go")
    shutil.copytree(HERE / "go", folder, dirs_exist_ok=True)
    paths = {"GOPATH": str(folder / "gopath"), "GOCACHE": str(folder / "cache"), "GOFLAGS": "-modcacherw"}
    say(f"fingerprints: building with Go in {folder}")
    _run([go, "build", "-o", "name-schemas", "."], folder, paths)
    answers = _ask([str(folder / "name-schemas")])
    count = compare("hamba/avro", "hamba/avro", answers)
    assert compare("goavro", "goavro", answers) == count
    return f"hamba/avro 2.31.0 and goavro 2.15.0 name and write {count} schemas as the table says; all were read"


def check_rust(folder: Path, say: Say) -> str:
    """Compare apache-avro with the table. Raises Missing or AssertionError."""
    cargo = _find("cargo", "Rust (cargo)")
    shutil.copytree(HERE / "rust", folder, dirs_exist_ok=True)
    say(f"fingerprints: building with cargo in {folder} (minutes the first time)")
    _run([cargo, "build", "--release", "--quiet", "--jobs", "1"], folder, {"CARGO_HOME": str(folder / "cargo")})
    count = compare("apache-avro", "avro and apache-avro", _ask([str(folder / "target" / "release" / "fingerprints")]))
    return f"apache-avro 0.22.0 (Rust) names and writes {count} schemas as the table says; all were read"


def check_python(folder: Path, say: Say) -> str:
    """Compare Apache's avro for Python with the table. Raises Missing or AssertionError."""
    python = folder / "venv" / "bin" / "python"
    if not (folder / "installed").exists():
        say(f"fingerprints: installing avro into {folder}")
        _run([sys.executable, "-m", "venv", "--clear", str(folder / "venv")], folder, {})
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
        _run([*pip, "--no-deps", "-r", str(HERE / "requirements.txt")], folder, {})
        (folder / "installed").touch()
    count = compare("avro", "avro and apache-avro", _ask([str(python), str(HERE / "name_schemas.py")]))
    return f"avro 1.12.1 (Python) names and writes {count} schemas as the table says; all were read"


CHECKS: Final[dict[str, Callable[[Path, Say], str]]] = {
    "fingerprints-go": check_go,
    "fingerprints-rust": check_rust,
    "fingerprints-python": check_python,
}


def _path() -> str:
    return ":".join([environment().get("PATH", ""), *(str(Path(place).expanduser()) for place in ELSEWHERE)])


def _find(program: str, language: str) -> str:
    found = shutil.which(program, path=_path())
    if found is None:
        raise Missing(f"{language} is not installed here")
    return found


def _run(command: Sequence[str], folder: Path, variables: Mapping[str, str]) -> None:
    """Build or install. Raises Missing: what cannot be had here is no fault of ours."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment(PATH=_path(), **variables),
            capture_output=True,
            text=True,
            timeout=BUILD_S,
            check=False,
        )
    except subprocess.TimeoutExpired as slow:
        raise Missing(f"{' '.join(command[:2])} did not end within {BUILD_S:g} s") from slow
    if done.returncode != 0:
        raise Missing(f"{' '.join(command[:2])} does not work here: {(done.stderr or done.stdout).strip()[-600:]}")


def _ask(command: Sequence[str]) -> list[str]:
    """Give a program every case; return its lines."""
    question = "".join(case.line for case in cases())
    done = subprocess.run(
        command, input=question, env=environment(), capture_output=True, text=True, timeout=ASK_S, check=False
    )
    assert done.returncode == 0, f"{Path(command[0]).name} ended with {done.returncode}: {done.stderr[-600:]}"
    return done.stdout.splitlines()
