"""Something is lost amid the load, in a thread beside it, and operators bring it back."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tests.chaos.world import World

LOOK_S: Final = 0.1


@dataclass(slots=True, kw_only=True)
class Loss(ABC):
    """lost_at: progress of the run at which it is lost. done: what was done; errors: what failed, for the verdict.

    forgotten: from when to when what a database noted was lost with it, Unix seconds.
    """

    world: World
    progress: Callable[[], float]
    say: Callable[[str], None]
    lost_at: float
    done: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    forgotten: tuple[float, float] | None = None
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Wait until it is over. May be repeated."""
        if self._thread is not None:
            self._thread.join()

    @abstractmethod
    def happen(self) -> None:
        """Lose it when its time has come, and bring it back."""

    def await_progress(self, progress: float) -> None:
        """Wait until the run has come so far."""
        wait = threading.Event()
        while self.progress() < progress:
            wait.wait(LOOK_S)

    def _run(self) -> None:
        try:
            self.happen()
        except Exception as error:  # noqa: BLE001 - it is told in the verdict
            self.errors.append(f"{type(error).__name__}: {error}")
            self.say(self.errors[-1])
