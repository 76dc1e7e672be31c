"""What operators do in the end: pass over what cannot be read, and redrive what was refused."""

import itertools
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.chaos.faults.scene import Stage
from tests.processes import Process

COMMAND_S: Final = 120.0
OPERATORS: Final = 2
NOT_YET: Final = "the consumer stands "
"""What `dlq pass` says while another stretch of the partition comes first."""
Command = tuple[str, ...]
"""Of `payments dlq`."""
Refused = tuple[str, str]
"""A command that failed, and its last words."""


def pass_over(stage: Stage) -> list[Refused]:
    """Pass over each stretch that was made unreadable, one after the other on each partition."""
    commands: dict[str, list[Command]] = {}
    for partition in sorted({stretch.partition for stretch in stage.stretches}):
        stretches = sorted((s for s in stage.stretches if s.partition == partition), key=lambda stretch: stretch.first)
        commands[f"pass-{partition}"] = [
            (
                "pass",
                s.topic,
                str(partition),
                "--from",
                str(s.first),
                "--to",
                str(s.last),
                "--reason",
                "spoilt by chaos",
            )
            for s in stretches
        ]
    return _side_by_side(stage, commands, {0})


def redrive_all(stage: Stage) -> list[Refused]:
    """Redrive every letter, by two operators at once. Every one is refused again, so that 1 is the right answer."""
    commands: dict[str, list[Command]] = {
        f"redrive-{number}": [("redrive", "--all", "--json")] for number in range(1, OPERATORS + 1)
    }
    return _side_by_side(stage, commands, {0, 1})


def _side_by_side(stage: Stage, commands: dict[str, list[Command]], right: set[int]) -> list[Refused]:
    """Run lists of `payments dlq` commands, one list beside the other."""
    refused: list[Refused] = []

    def run(name: str, listed: Sequence[Command]) -> None:
        for number, arguments in enumerate(listed):
            code, words = _run_in_time(stage, f"{name}-{number}", arguments)
            if code not in right:
                refused.append((f"dlq {' '.join(arguments[:3])} ended with {code}", words))

    threads = [threading.Thread(target=run, args=one, daemon=True) for one in commands.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return refused


def _run_in_time(stage: Stage, name: str, arguments: Command) -> tuple[int, str]:
    """Run a command; again while the consumer has not come to the stretch yet that it is about."""
    end, tries = time.monotonic() + COMMAND_S, itertools.count(1)
    while True:
        code, words = _run(stage, stage.world.folder / "operator" / f"{name}-{next(tries)}", arguments)
        if NOT_YET not in words or time.monotonic() > end:
            return code, words


def _run(stage: Stage, directory: Path, arguments: Command) -> tuple[int, str]:
    directory.mkdir(parents=True)
    process = Process(directory, ("dlq", *arguments), stage.world.fleet.settings)
    try:
        code = process.wait(COMMAND_S)
    except AssertionError:
        process.kill()
        return -9, f"not within {COMMAND_S:g} s"
    return code, (process.log.strip().splitlines() or [""])[-1]
