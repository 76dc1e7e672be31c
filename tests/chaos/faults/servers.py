"""Kafka and PostgreSQL: killed and started again, or frozen."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from deploy.embedded import EmbeddedError
from tests.chaos.faults.scene import Scene
from tests.chaos.fleet import ROLES, SANDBOX
from tests.freezing import frozen

STARTS_MAX: Final = 3


@contextmanager
def kill_kafka(scene: Scene) -> Iterator[None]:
    """SIGKILL the broker; what it acknowledged stays, for the machine lives."""
    kafka = scene.world.servers.kafka
    kafka.kill()
    try:
        yield
    finally:
        _start(scene, kafka.start)


@contextmanager
def kill_postgres(scene: Scene) -> Iterator[None]:
    """SIGKILL the postmaster; the next start recovers from its log."""
    postgres = scene.world.servers.postgres
    postgres.kill()
    try:
        yield
    finally:
        _start(scene, postgres.start)


@contextmanager
def cut_power(scene: Scene) -> Iterator[None]:
    """SIGKILL everything at once: servers, gateway and all processes. What was written stays, for the machine lives."""
    world = scene.world
    world.wire.shut()
    for name in (SANDBOX, *ROLES):
        world.fleet.kill(name)
    world.servers.kafka.kill()
    world.servers.postgres.kill()
    try:
        yield
    finally:
        _start(scene, world.servers.kafka.start)
        _start(scene, world.servers.postgres.start)
        world.fleet.start(SANDBOX, *ROLES)
        world.wire.listen()


@contextmanager
def freeze_kafka(scene: Scene) -> Iterator[None]:
    """SIGSTOP the broker."""
    with frozen(scene.world.servers.kafka.pid):
        yield


@contextmanager
def freeze_postgres(scene: Scene) -> Iterator[None]:
    """SIGSTOP the postmaster and every process of it."""
    with frozen(scene.world.servers.postgres.pid):
        yield


def _start(scene: Scene, start: object) -> None:
    assert callable(start)
    for again in range(STARTS_MAX):
        try:
            start()
        except EmbeddedError as error:
            if again == STARTS_MAX - 1:
                raise
            scene.notes.append(str(error).splitlines()[0])
        else:
            return
