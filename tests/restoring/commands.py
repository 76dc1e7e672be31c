"""The commands of deploy/RESTORE.md, run as an operator runs them."""

import itertools
import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from tests.chaos.clock import unix_s
from tests.chaos.world import World
from tests.processes import Process

COMMAND_S: Final = 300.0
_NUMBER = itertools.count()


class Answer(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    log: str

    def document(self) -> dict[str, Any]:
        """Return what it printed with --json."""
        return dict(json.loads(self.out))


class Operator:
    """Runs commands with the settings of the world's processes. said: every command and its exit code."""

    def __init__(self, world: World, say: Callable[[str], None]) -> None:
        self._world = world
        self._say = say
        self.said: list[str] = []

    def run(self, *arguments: str) -> Answer:
        """Run `payments` with these arguments to its end."""
        directory = self._world.folder / "restore" / str(next(_NUMBER))
        directory.mkdir(parents=True)
        began = unix_s()
        process = Process(directory, arguments, self._world.fleet.settings)
        try:
            code = process.wait(COMMAND_S)
        finally:
            process.kill()
        words = f"payments {' '.join(arguments)}: exit {code}, {unix_s() - began:.1f} s"
        self.said.append(words)
        self._say(words)
        return Answer(code, process.out, process.log)

    def must(self, *arguments: str) -> Answer:
        """Run it; it must do what it is for."""
        answer = self.run(*arguments)
        assert answer.code == 0, f"payments {' '.join(arguments)}: {answer.out[-3_000:]}{answer.log[-3_000:]}"
        return answer
