"""What we know of each partition of ours: our position, how we read it, and what it waits for."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from aiokafka import TopicPartition

from domain.ports.source import Stretch

RETRY_S: Final = 30
"""After that we try a stretch again that could not be read: the broker may have repaired it."""
CALM_S: Final = 5
"""How long a partition is still read apart after the last fault: faults come together, and each delays the others."""
GAPS_CHECKED_S: Final = 600
"""How long we accept missing offsets after we have checked one gap: transactions and compaction leave many."""


@dataclass(slots=True)
class Lane:
    """One partition.

    next: the offset behind the last message that was handed out; None: not known yet.
    apart: it is read over the wire, because the group's client failed at it.
    apart_to: it is read apart up to this offset at least.
    calm_at: it is read apart until this time at least.
    waits_until: nothing is read before.
    stretch: what cannot be read.
    rang_at: when the alarm about the stretch rang.
    searched_at: when we last searched for the end of the stretch.
    gaps_until: until then missing offsets need no check.
    stalls: how many times in a row the client gave nothing although there were messages.
    stalled_at: when the first of these was noticed.
    """

    partition: TopicPartition
    next: int | None = None
    apart: bool = False
    apart_to: int = -1
    calm_at: float = 0
    waits_until: float = 0
    stretch: Stretch | None = None
    rang_at: float | None = None
    searched_at: float | None = None
    gaps_until: float = 0
    stalls: int = 0
    stalled_at: float = 0

    @property
    def is_stopped(self) -> bool:
        """Whether the group's client must not read it now."""
        return self.apart or self.waits_until > 0

    def read_apart(self, calm_at: float, to: int = -1) -> None:
        """Read it over the wire until it is calm."""
        self.apart = True
        self.apart_to = max(self.apart_to, to)
        self.calm_at = max(self.calm_at, calm_at)


@dataclass(slots=True)
class Lanes:
    """The partitions of this member.

    unplaced: those whose first position is still to be found.
    quiet: no lane is apart or waits, so nobody needs to look at each.
    topic_id: of the topic as last seen; empty where brokers do not say.
    anew: the topic was made anew or cut off, and the runtime has not asked for it yet.
    """

    of: dict[TopicPartition, Lane] = field(default_factory=dict)
    unplaced: set[TopicPartition] = field(default_factory=set)
    quiet: bool = True
    topic_id: str = ""
    anew: bool = False

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """Take another assignment. A blocked lane stays blocked until we know the group's position."""
        before, self.of = self.of, {}
        for partition in partitions:
            lane = before.get(partition)
            self.of[partition] = lane if lane is not None and lane.stretch is not None else Lane(partition)
        self.unplaced = set(self.of)
        self.note_quiet()

    def note_quiet(self) -> None:
        """Note whether any lane is apart or waits."""
        self.quiet = not any(lane.is_stopped for lane in self.of.values())

    def of_group(self) -> list[Lane]:
        """List the lanes that the group's client reads."""
        return [lane for lane in self.of.values() if not lane.is_stopped]


def is_gapless(lane: Lane, records: Sequence[Any]) -> bool:
    """Whether no offset is missing in these records, nor between them and those handed out before."""
    return lane.next is None or records[-1].offset - lane.next + 1 == len(records)


def may_have_gaps(lane: Lane, records: Sequence[Any], end: int | None, now: float) -> bool:
    """Whether we accept these records although offsets are missing.

    No checksum covers the first offset of a batch. One flipped bit moves the batch, and other offsets seem missing.
    """
    if now >= lane.gaps_until or (end is not None and records[-1].offset >= end):
        return False
    return all(a.offset < b.offset for a, b in pairwise(records))


def clock() -> float:
    """Return the seconds of the event loop's clock, which all times of a lane are on."""
    return asyncio.get_running_loop().time()
