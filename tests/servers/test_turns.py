import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.turns import Turns, put_first

WAIT_S = 60.0
NOT_YET_S = 0.2
"""How long is looked whether somebody goes in who must not: a fault may be missed in it, but nothing right fails."""


class Item:
    """A test as far as its turn is concerned: its file and its marks."""

    def __init__(self, name: str, path: str, *marks: str) -> None:
        self.name, self.path, self._marks = name, Path(path), marks

    def get_closest_marker(self, name: str) -> str | None:
        return name if name in self._marks else None


class Room:
    """Tests in threads of their own, in one run's turns."""

    def __init__(self, pool: ThreadPoolExecutor, directory: Path) -> None:
        self._pool = pool
        self._turns = Turns(directory)
        self.let_go = {name: threading.Event() for name in ("first", "second", "third")}
        self.is_in = {name: threading.Event() for name in self.let_go}
        self.came: list[str] = []

    def enter(self, name: str, *, alone: bool = False) -> "Future[None]":
        return self._pool.submit(self._have_a_turn, name, alone=alone)

    def _have_a_turn(self, name: str, *, alone: bool) -> None:
        with self._turns.turn(alone=alone):
            self.came.append(name)
            self.is_in[name].set()
            assert self.let_go[name].wait(WAIT_S)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with ThreadPoolExecutor(3) as pool:
        made = Room(pool, tmp_path)
        yield made
        for event in made.let_go.values():
            event.set()


def test_tests_that_need_not_be_alone_run_side_by_side(room: Room) -> None:
    room.enter("first")
    room.enter("second")
    assert room.is_in["first"].wait(WAIT_S)
    assert room.is_in["second"].wait(WAIT_S)


@pytest.mark.parametrize("alone", [(True, False), (False, True), (True, True)])
def test_a_test_that_must_be_alone_has_nobody_beside_it(room: Room, alone: tuple[bool, bool]) -> None:
    room.enter("first", alone=alone[0])
    assert room.is_in["first"].wait(WAIT_S)
    room.enter("second", alone=alone[1])
    assert not room.is_in["second"].wait(NOT_YET_S)
    room.let_go["first"].set()
    assert room.is_in["second"].wait(WAIT_S)


def test_who_waits_to_be_alone_is_not_overtaken(room: Room) -> None:
    room.enter("first")
    assert room.is_in["first"].wait(WAIT_S)
    room.enter("second", alone=True)
    assert not room.is_in["second"].wait(NOT_YET_S)
    room.enter("third")
    assert not room.is_in["third"].wait(NOT_YET_S)
    room.let_go["first"].set()
    room.let_go["second"].set()
    assert room.is_in["third"].wait(WAIT_S)
    assert room.came == ["first", "second", "third"]


def test_files_that_must_be_alone_come_first_then_the_long_ones_and_none_is_torn_apart() -> None:
    items: Any = [
        Item("quick", "a.py"),
        Item("also long", "b.py"),
        Item("long", "b.py", "kill"),
        Item("beside it", "c.py"),
        Item("alone", "c.py", "alone", "kill"),
        Item("whole", "d.py", "whole", "kill"),
    ]
    put_first(items)
    assert [item.name for item in items] == ["beside it", "alone", "whole", "also long", "long", "quick"]
