"""The tools that judge: stripe-mock and its specification from the Go module, localstripe and JSON Schema from PyPI.

They are installed once into `.venv/conformance`, never into the product's environment. localstripe is under the GPL: it
runs as a process of its own, and nothing here imports it.
"""

import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.eventually import eventually

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".venv" / "conformance"
LOCK = Path(__file__).parent / "requirements.lock"
MOCK_MODULE: Final = "github.com/stripe/stripe-mock"
MOCK_VERSION: Final = "v0.203.0"
INSTALL_S = 540.0
START_S = 30.0
STOP_S = 10.0

# localstripe's own command listens on every address, and its store is written to a file in /tmp on every change.
_LOCALSTRIPE = """
import sys
from aiohttp import web
from localstripe import resources, server
resources.Store.dump_to_disk = lambda store: None
web.run_app(server.app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
"""

Progress = Callable[[str], None]


class Missing(Exception):  # noqa: N818 - it is no error: the step is left out and says so
    """A tool is not here; the text says which, and how to get it."""


@dataclass(frozen=True, slots=True)
class Mock:
    """stripe-mock's program, and the specification that it carries."""

    program: Path
    specification: Path


def stripe_mock(*, install: bool, progress: Progress) -> Mock:
    """Return stripe-mock, installed with Go if it is not there. Raises Missing."""
    folder = FOLDER / "go"
    program = folder / "bin" / "stripe-mock"
    module = folder / "pkg" / "mod" / f"{MOCK_MODULE}@{MOCK_VERSION}"
    mock = Mock(program, module / "embedded" / "openapi" / "spec3.json")
    if program.exists() and mock.specification.exists():
        return mock
    if not install:
        raise Missing("stripe-mock is not installed here: run make conformance once")
    if shutil.which("go") is None:
        raise Missing(f"Go is not installed, and {MOCK_MODULE} is built with it")
    progress(f"building stripe-mock {MOCK_VERSION} into {folder} (a minute the first time)")
    environment = _environment() | {"GOPATH": str(folder), "GOBIN": str(program.parent), "GOFLAGS": "-modcacherw"}
    _install(["go", "install", f"{MOCK_MODULE}@{MOCK_VERSION}"], environment)
    return mock


def tools_python(*, install: bool, progress: Progress) -> Path:
    """Return the Python of a venv with localstripe and jsonschema, made if it is not there. Raises Missing."""
    venv = FOLDER / "python"
    python = venv / "bin" / "python"
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    stamp = venv / "lock.sha256"
    if stamp.exists() and stamp.read_text(encoding="ascii") == digest:
        return python
    if not install:
        raise Missing("localstripe and jsonschema are not installed here: run make conformance once")
    progress(f"installing localstripe and jsonschema into {venv} (hash-checked)")
    _install([sys.executable, "-m", "venv", "--clear", str(venv)], _environment())
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _install([*pip, "--require-hashes", "--no-deps", "-r", str(LOCK)], _environment())
    stamp.write_text(digest, encoding="ascii")
    return python


@contextmanager
def running_mock(mock: Mock) -> Iterator[str]:
    """Run stripe-mock for the length of a block; give its address. Without -https-addr it would listen everywhere."""
    argv = [str(mock.program), "-http-addr", "127.0.0.1:0", "-https-addr", "127.0.0.1:0"]
    with _running(argv) as process:
        assert process.stdout is not None
        for line in process.stdout:
            match = re.match(r"Listening for HTTP at address: (127\.0\.0\.1:\d+)", line)
            if match is not None:
                yield f"http://{match[1]}"
                return
        raise AssertionError("stripe-mock ended before it listened")


@contextmanager
def running_localstripe(python: Path) -> Iterator[str]:
    """Run localstripe for the length of a block; give its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with _running([str(python), "-c", _LOCALSTRIPE, str(port)]) as process:

        def listens() -> bool:
            assert process.poll() is None, "localstripe ended before it listened"
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        eventually(listens, "localstripe listens", START_S)
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _running(argv: list[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=_environment(), start_new_session=True
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _environment() -> dict[str, str]:
    return dict(os.environ)  # noqa: TID251 - the tools need PATH, HOME and the proxies of this machine


def _install(argv: list[str], environment: Mapping[str, str]) -> None:
    try:
        done = subprocess.run(
            argv, env=environment, capture_output=True, text=True, timeout=INSTALL_S, check=False, cwd=ROOT
        )
    except subprocess.TimeoutExpired as slow:
        raise Missing(f"{argv[0]} {argv[1]} did not end within {INSTALL_S:g} s") from slow
    if done.returncode != 0:
        reason = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise Missing(f"{' '.join(argv[:3])} does not work here: {reason[-1]}")
