"""Processes of the pipeline: killed, frozen, or replaced by a deployment."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.chaos.faults.scene import Scene


@contextmanager
def kill(scene: Scene) -> Iterator[None]:
    """SIGKILL; another is started in its place, and the fault ends when that runs."""
    fleet, name = scene.world.fleet, scene.fault.target
    fleet.kill(name)
    try:
        yield
    finally:
        fleet.start(name)


@contextmanager
def freeze(scene: Scene) -> Iterator[None]:
    """SIGSTOP, and SIGCONT: a long pause of the machine. Connections stay, leases run out."""
    fleet, name = scene.world.fleet, scene.fault.target
    if not fleet.freeze(name):
        scene.notes.append("it was not there")
    try:
        yield
    finally:
        fleet.thaw(name)


@contextmanager
def redeploy(scene: Scene) -> Iterator[None]:
    """SIGTERM; once it has drained another is started in its place."""
    fleet, name = scene.world.fleet, scene.fault.target
    fleet.drain(name)
    try:
        yield
    finally:
        fleet.start(name)
