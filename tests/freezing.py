"""Servers that stand still: SIGSTOP, as a dead host, or a virtual machine that is moved, looks from outside."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil


@contextmanager
def frozen(pid: int | None) -> Iterator[None]:
    """SIGSTOP this process and all of its children meanwhile."""
    assert pid is not None, "the server does not run"
    server = psutil.Process(pid)
    frozen: list[psutil.Process] = []
    try:
        # A child that was born while the others were stopped is seen at the second look.
        for _ in range(2):
            for process in (server, *server.children(recursive=True)):
                with suppress(psutil.Error):
                    process.send_signal(signal.SIGSTOP)
                    frozen.append(process)
        yield
    finally:
        for process in frozen:
            with suppress(psutil.Error):
                process.send_signal(signal.SIGCONT)
