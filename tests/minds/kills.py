"""SIGKILL, at seeded points of a run's progress: of the pipeline's processes, the sandbox and the servers."""

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from deploy.embedded import EmbeddedError
from tests.chaos.clock import told, unix_s
from tests.chaos.fleet import INVENTORY, ROLES, SANDBOX
from tests.chaos.world import World

SERVERS: Final = ("kafka", "postgres")
VICTIMS: Final = (*ROLES, *ROLES, SANDBOX, *SERVERS)
AWAY_S: Final = (0.3, 3.0)
LOOK_S: Final = 0.1
STARTS_MAX: Final = 3


@dataclass(slots=True)
class Kills:
    """progress: from 0 to 1, how far the run is. Kill number i falls due at (i + 0.5) / count, more or less."""

    world: World
    seed: int
    count: int
    progress: Callable[[], float]
    say: Callable[[str], None]
    victims: Sequence[str] = VICTIMS
    done: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    forgotten: tuple[float, float] | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, name="kills", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Kill no more, and wait until everything is up again. May be repeated."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        draw = random.Random(f"kills of {self.seed}")
        victims: list[str] = []
        everybody = [*self.victims, *([INVENTORY] if self.world.inventory else [])]
        for number in range(self.count):
            due = (number + draw.uniform(0.2, 0.8)) / self.count
            victims = victims or draw.sample(everybody, len(everybody))
            victim, away_s = victims.pop(), draw.uniform(*AWAY_S)
            while self.progress() < due:
                if self._stop.wait(LOOK_S):
                    return
            try:
                self._kill(victim, away_s)
            except Exception as error:  # noqa: BLE001 - it is told in the verdict
                self.errors.append(f"{victim}: {type(error).__name__}: {error}")

    def _kill(self, victim: str, away_s: float) -> None:
        self.done.append(f"{victim} at {told(unix_s())}")
        self.say(f"killed {victim}, away for {away_s:.1f} s ({len(self.done)} of {self.count})")
        if victim in SERVERS:
            server = getattr(self.world.servers, victim)
            server.kill()
            self._stop.wait(away_s)
            _insist(server.start)
        elif victim == SANDBOX:
            self.world.wire.shut()
            self.world.fleet.kill(SANDBOX)
            self._stop.wait(away_s)
            self.world.fleet.start(SANDBOX)
            self.world.wire.listen()
        else:
            self.world.fleet.kill(victim)
            self._stop.wait(away_s)
            self.world.fleet.start(victim)


def _insist(start: Callable[[], object]) -> None:
    for again in range(STARTS_MAX):
        try:
            start()
        except EmbeddedError:
            if again == STARTS_MAX - 1:
                raise
        else:
            return
