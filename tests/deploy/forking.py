"""Starts commands as forks of a process that has imported them: starting Python anew for each takes a second of a core.

A fork has its own settings, folder, streams and exit code, as a process of the shell has. The process that forks is
`python -m tests.deploy.forking`; it ends when its standard input ends.
"""

import array
import contextlib
import gc
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

FRAME = struct.Struct("!I")
STREAMS = 3
IMPORTED = ("asyncio", "uvloop", "sqlalchemy.ext.asyncio", "psycopg", "confluent_kafka", "stripe", "aiohttp")
"""What commands import late, and what costs most; the commands themselves are imported besides."""


class Forks:
    """The process that forks, as the tests know it. It starts with the first command."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None
        self._lock = threading.Lock()

    def run(
        self, directory: Path, arguments: Sequence[str], stdin: bytes, environment: Mapping[str, str], timeout_s: float
    ) -> tuple[int, bytes, bytes]:
        """Run a command to its end; return its exit code and what it printed. Raises TimeoutExpired, and kills it."""
        link, theirs = socket.socketpair()
        with link, theirs, TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
            given.write(stdin)
            given.seek(0)
            what = {"directory": str(directory), "arguments": list(arguments), "environment": dict(environment)}
            self._ask(what, [given, out, err], theirs)
            theirs.close()
            link.settimeout(timeout_s)
            pid = int(_line(link))
            try:
                code = int(_line(link))
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(list(arguments), timeout_s) from None
            return code, _all(out), _all(err)

    def close(self) -> None:
        """End it."""
        if self._process is not None and self._link is not None:
            self._link.close()
            self._process.wait(10)
            self._process = None

    def _ask(self, what: dict[str, Any], streams: Sequence[IO[bytes]], answers: socket.socket) -> None:
        with self._lock:
            if self._process is None:
                self._link, theirs = socket.socketpair()
                with theirs:
                    command = [sys.executable, "-m", "tests.deploy.forking"]
                    root = Path(__file__).parents[2]
                    self._process = subprocess.Popen(command, stdin=theirs.fileno(), cwd=root, env={"PATH": os.defpath})
            assert self._link is not None
            body = json.dumps(what).encode()
            handles = array.array("i", [*(each.fileno() for each in streams), answers.fileno()])
            self._link.sendmsg([FRAME.pack(len(body))], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, handles)])
            self._link.sendall(body)


def _line(link: socket.socket) -> bytes:
    read = bytearray()
    while not read.endswith(b"\n"):
        more = link.recv(1)
        if not more:
            raise RuntimeError("the process that forks is gone")
        read += more
    return bytes(read)


def _all(stream: IO[bytes]) -> bytes:
    stream.seek(0)
    return stream.read()


def _serve(link: socket.socket) -> None:
    while frame := _frame(link):
        what, handles = frame
        if os.fork() == 0:
            # The first fork waits for the second one, so that the server itself never waits.
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            link.close()
            answers = socket.socket(fileno=handles[-1])
            pid = os.fork()
            if pid == 0:
                answers.close()
                _become(what, handles[:STREAMS])
            answers.sendall(b"%d\n" % pid)
            _, status = os.waitpid(pid, 0)
            with contextlib.suppress(OSError):
                answers.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
            os._exit(0)
        for handle in handles:
            os.close(handle)


def _frame(link: socket.socket) -> "tuple[dict[str, Any], array.array[int]] | None":
    handles = array.array("i")
    head, ancillary, _, _ = link.recvmsg(FRAME.size, socket.CMSG_SPACE((STREAMS + 1) * handles.itemsize))
    if not head:
        return None
    for _level, _kind, data in ancillary:
        handles.frombytes(data)
    left, body = FRAME.unpack(head)[0], b""
    while len(body) < left:
        body += link.recv(left - len(body))
    return json.loads(body), handles


def _become(what: Mapping[str, Any], streams: Sequence[int]) -> None:
    """Be the command, and never return."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, handle in enumerate(streams):
            os.dup2(handle, number)
        os.chdir(what["directory"])
        os.environ.clear()  # noqa: TID251 - what a shell would give the command
        os.environ.update(what["environment"])  # noqa: TID251 - as above
        sys.argv = ["payments", *what["arguments"]]
        from deploy.cli import main

        main(prog_name="payments")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter does it
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _import_all() -> None:
    from importlib import import_module

    from deploy.cli import COMMANDS

    for name in (*IMPORTED, *(command.place.partition(":")[0] for command in COMMANDS)):
        import_module(name)


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _import_all()
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=os.dup(0)) as link:
        _serve(link)
