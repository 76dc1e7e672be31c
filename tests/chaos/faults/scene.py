"""What a fault is dealt in: the world, the shop, the ledger, and its own seeded dice."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import httpx
import psycopg
from confluent_kafka import KafkaException

from tests.chaos.clock import unix_s
from tests.chaos.plan import Fault
from tests.chaos.published import Published
from tests.chaos.script import Script
from tests.chaos.shop import Shop
from tests.chaos.world import PREFIX, World

T = TypeVar("T")
AWAY: Final = (psycopg.Error, KafkaException, httpx.HTTPError, OSError)
PATIENCE_S: Final = 90.0
AGAIN_S: Final = 0.25


class Interrupted(Exception):  # noqa: N818 - it answers an order
    """The run was told to end."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Offsets of a partition that no client can read, both included."""

    topic: str
    partition: int
    first: int
    last: int


@dataclass(slots=True)
class Stage:
    """What all faults of a run share. stop: set when it is told to end. stretches: what was made unreadable so far.

    spoilt: the sizes of the batches there, by file and place, for their own length may be wrong.
    """

    world: World
    shop: Shop
    published: Published
    script: Script
    blocked: tuple[int, ...]
    stop: threading.Event = field(default_factory=threading.Event)
    stretches: list[Stretch] = field(default_factory=list)
    spoilt: dict[tuple[Path, int], int] = field(default_factory=dict)


@dataclass(slots=True)
class Scene:
    """One fault in its stage.

    places: the partitions whose orders it may delay, (topic, number) each; None: any order, empty: none at all.
    """

    stage: Stage
    fault: Fault
    draw: random.Random
    places: frozenset[tuple[str, int]] | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def world(self) -> World:
        """Where it happens."""
        return self.stage.world

    @property
    def name(self) -> str:
        """A name for what the fault publishes itself."""
        return f"f{self.fault.number}"

    def topic(self, event_type: str) -> str:
        """Return the topic of an event."""
        return PREFIX + event_type

    def pause(self, seconds: float) -> None:
        """Let time pass. Raises Interrupted when the run is told to end."""
        if self.stage.stop.wait(seconds):
            raise Interrupted

    def insist(self, work: Callable[[], T]) -> T:
        """Do it, again and again while a server is away: another fault of the wave may have taken it."""
        end = unix_s() + PATIENCE_S
        while True:
            try:
                return work()
            except AWAY as error:
                if unix_s() > end:
                    raise
                self.notes.append(f"again, for {type(error).__name__}") if not self.notes else None
                self.pause(AGAIN_S)
