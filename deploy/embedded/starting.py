"""Starting servers in the background, so that an interruption leaves none behind."""

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from deploy.embedded.managed import Managed
from deploy.embedded.servers import stop_all

WAIT_S: Final = 0.1
GIVE_UP_S: Final = 10.0
INTERRUPTED: Final = 130


class Worker:
    """A thread whose end can be waited for and interrupted.

    Not by join(): interrupted, Python 3.11 takes the thread for ended (bpo-45274).
    """

    def __init__(self, work: Callable[[], object]) -> None:
        self.failure: BaseException | None = None
        self._work = work
        self._ended = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def ended(self, wait_s: float = WAIT_S) -> bool:
        """Wait a moment, and tell whether it has ended."""
        return self._ended.wait(wait_s)

    def end(self, servers: Sequence[Managed]) -> bool:
        """Wait until it has ended, and end whatever of these servers it starts meanwhile; False after GIVE_UP_S."""
        give_up_at = time.monotonic() + GIVE_UP_S
        while not self.ended():
            if time.monotonic() > give_up_at:
                return False
            stop_all(servers, immediate=True)
        return True

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - it is raised where somebody waits
            self.failure = error
        finally:
            self._ended.set()


def start_or_give_up(start: Callable[[], object], servers: Sequence[Managed]) -> None:
    """Start, or raise what that raises. Interrupted meanwhile, end what has been started, and raise the interruption.

    The work is done in a thread, for an exception in the middle of it could part a new process from its pid file. A
    download cannot be stopped: then this process ends at once, and the guard beside the folder clears up.
    """
    worker = Worker(start)
    try:
        while not worker.ended():
            pass
    except KeyboardInterrupt:
        if not worker.end(servers):
            sys.stderr.write("\npayments: interrupted\n")
            sys.stderr.flush()
            os._exit(INTERRUPTED)
        raise
    if worker.failure is not None:
        raise worker.failure
