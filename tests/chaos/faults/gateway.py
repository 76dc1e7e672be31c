"""The gateway: gone, down, slow, answering after the time-out, or behind a wire that loses everything."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpx

from tests.chaos.faults.scene import Scene
from tests.chaos.fleet import SANDBOX

SLOW: Final = {"slow_share": 0.5, "slow_s": 1.2}
LATE: Final = {"slow_share": 0.4, "slow_s": 3.5}
"""More than a call waits (world.SETTINGS): executed, and nobody hears of it."""
WELL: Final = {"down": False, "slow_share": 0.0}
ANSWER_S: Final = 5


@contextmanager
def kill_sandbox(scene: Scene) -> Iterator[None]:
    """SIGKILL; its ledger survives."""
    world = scene.world
    world.wire.shut()
    world.fleet.kill(SANDBOX)
    try:
        yield
    finally:
        world.fleet.start(SANDBOX)
        world.wire.listen()


@contextmanager
def freeze_sandbox(scene: Scene) -> Iterator[None]:
    """SIGSTOP: it takes connections and says nothing."""
    scene.world.fleet.freeze(SANDBOX)
    try:
        yield
    finally:
        scene.world.fleet.thaw(SANDBOX)


@contextmanager
def take_down(scene: Scene) -> Iterator[None]:
    """Have it reset every connection."""
    with _weather(scene, {"down": True}):
        yield


@contextmanager
def slow_down(scene: Scene) -> Iterator[None]:
    """Have it answer half of the calls late, but in time."""
    with _weather(scene, SLOW):
        yield


@contextmanager
def answer_late(scene: Scene) -> Iterator[None]:
    """Have it execute many calls after their callers have given up."""
    with _weather(scene, LATE):
        yield


@contextmanager
def cut_wire(scene: Scene) -> Iterator[None]:
    """Lose every byte in both directions; calls that arrived before are executed, and nobody hears of it."""
    scene.world.wire.cut(is_cut=True)
    try:
        yield
    finally:
        scene.world.wire.cut(is_cut=False)


@contextmanager
def _weather(scene: Scene, wanted: dict[str, Any]) -> Iterator[None]:
    scene.insist(lambda: _ask(scene, wanted))
    try:
        yield
    finally:
        scene.insist(lambda: _ask(scene, WELL))


def _ask(scene: Scene, wanted: dict[str, Any]) -> None:
    answer = httpx.post(scene.world.gateway("faults"), json=wanted, trust_env=False, timeout=ANSWER_S)
    answer.raise_for_status()
