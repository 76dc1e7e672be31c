"""Servers on a temporary folder. Both are cleared away at the end, even if this program is killed."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from deploy.embedded import guard
from deploy.embedded.programs import OURS, Programs
from deploy.embedded.servers import EmbeddedServers

# The guard kills and deletes in a second. On a machine with forty programs for two cores it has taken 20.
GUARD_END_S = 120.0


@contextmanager
def temporary_servers(
    *,
    progress: Callable[[str], None],
    fast: bool = True,
    prefix: str = "payments-",
    parent: Path | None = None,
    programs: Programs = OURS,
) -> Iterator[EmbeddedServers]:
    """Make servers on a temporary folder, not started yet. On leaving they are killed and it is deleted.

    After a SIGKILL of this process the guard process does that. parent: of the folder, else the system's temporary one.
    programs: other versions than those of the packages.
    """
    with temporary_folder(prefix, parent) as folder, ExitStack() as stack:
        servers = EmbeddedServers(folder, progress=progress, fast=fast, programs=programs)
        stack.callback(servers.stop, immediate=True)
        yield servers


@contextmanager
def temporary_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """Make a temporary folder. On leaving it is deleted.

    After a SIGKILL of this process the guard process kills the servers whose pid files lie in it, and deletes it.
    """
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent)).resolve()
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.enter_context(_with_guard(folder))
        yield folder


@contextmanager
def _with_guard(folder: Path) -> Iterator[None]:
    """Run the guard while inside. Closing its standard input makes it clear up, as the death of this process would."""
    argv = [sys.executable, "-P", guard.__file__, str(folder)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, start_new_session=True) as child:
        try:
            yield
        finally:
            assert child.stdin is not None
            child.stdin.close()
            child.wait(GUARD_END_S)
