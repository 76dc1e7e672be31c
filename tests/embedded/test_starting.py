"""Starting servers side by side: whatever ends it early, none of them is left running."""

import signal
import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest

from deploy.embedded.errors import EmbeddedError
from deploy.embedded.managed import Managed
from deploy.embedded.servers import start_all

STOPPED_TOO_EARLY_S = 0.3
ALL_SUBMITTED_S = 0.05
"""After that the main thread waits for results. If it should not yet, the test is easier to pass, and not wrong."""


class Slow:
    """A server that is still starting when something happens."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.ended = threading.Event()
        self.runs = False
        self._stopped = threading.Event()

    def start(self) -> None:
        self.begun.set()
        # Should it be stopped while it starts, it would run all the same in the end.
        self._stopped.wait(STOPPED_TOO_EARLY_S)
        self.runs = True
        self.ended.set()

    def stop(self, *, immediate: bool = False) -> None:
        del immediate
        self.runs = False
        self._stopped.set()


class Hindrance:
    """A server whose start does not succeed."""

    def __init__(self, slow: Slow, what: Any) -> None:
        self._slow = slow
        self._what = what

    def start(self) -> None:
        self._slow.begun.wait()
        self._slow.ended.wait(ALL_SUBMITTED_S)
        self._what()

    def stop(self, *, immediate: bool = False) -> None:
        del immediate


def fail() -> None:
    raise EmbeddedError("no")


def interrupt() -> None:
    """Do as Ctrl-C does: the signal meets the main thread while it waits."""
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGINT)


@pytest.fixture(autouse=True)
def sigint_interrupts() -> Iterator[None]:
    """Have SIGINT raise KeyboardInterrupt; in a job that began in the background it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("what", "error"), [(fail, EmbeddedError), (interrupt, KeyboardInterrupt)])
def test_server_that_is_still_starting_is_stopped_too(what: Any, error: type[BaseException]) -> None:
    slow = Slow()
    servers = [slow, Hindrance(slow, what)]
    with pytest.raises(error):
        start_all(cast("list[Managed]", servers))
    assert slow.ended.wait(10)
    assert not slow.runs
