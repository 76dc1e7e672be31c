"""Servers on a folder that goes when they do, even if the program that wanted them is killed."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from deploy.embedded import guard
from deploy.embedded.servers import EmbeddedServers

GUARD_END_S = 15.0


@contextmanager
def temporary_servers(
    *,
    progress: Callable[[str], None],
    fast: bool = True,
    prefix: str = "payments-",
) -> Iterator[EmbeddedServers]:
    """Make servers, not started yet, on a temporary folder; they are killed and it is deleted on leaving.

    A SIGKILL of this process leaves neither behind: a guard process sees it and clears up.
    """
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix=prefix)).resolve()
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.enter_context(_guarded(folder))
        servers = EmbeddedServers(folder, progress=progress, fast=fast)
        stack.callback(servers.stop, immediate=True)
        yield servers


@contextmanager
def _guarded(folder: Path) -> Iterator[None]:
    """Keep the guard while inside. It is told by closing its standard input, as this process's death would."""
    argv = [sys.executable, "-P", guard.__file__, str(folder)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, start_new_session=True) as child:
        try:
            yield
        finally:
            assert child.stdin is not None
            child.stdin.close()
            child.wait(GUARD_END_S)
