"""Turns of the tests in a run that several processes share (`-n`): a test marked `alone` waits until it is alone."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Turns:
    """The turns of one run. Every process of it names the same directory; one that dies gives its turn back."""

    def __init__(self, directory: Path) -> None:
        self._door = directory / "door"
        self._room = directory / "room"

    @contextmanager
    def turn(self, *, alone: bool) -> Iterator[None]:
        """Wait for a turn and have it. While one is had alone nobody else has one."""
        with self._door.open("ab") as door, self._room.open("ab") as room:
            # Who waits for the room to be empty holds the door, or the others would go in before it again and again.
            fcntl.flock(door, fcntl.LOCK_EX)
            fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            fcntl.flock(door, fcntl.LOCK_UN)
            yield


def put_first(items: list[pytest.Item]) -> None:
    """Put files with tests that must be alone first, then those of whole deployments, then those that kill processes.

    A file that must be alone begins beside nobody so; later everybody would wait until the others are through with
    their tests. What is long and comes late would leave one process at work and the others at rest.
    """
    first = [{item.path for item in items if item.get_closest_marker(name)} for name in ("alone", "whole", "kill")]
    items.sort(key=lambda item: [item.path not in files for files in first])
