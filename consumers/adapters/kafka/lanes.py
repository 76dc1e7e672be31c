"""What is known of each partition that is ours: where we are in it, how it is read, and what keeps it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from aiokafka import TopicPartition

from domain.ports.source import Stretch

RETRY_S: Final = 30
"""A stretch that could not be read is tried again: the broker may have healed it, or a release reads it."""
CALM_S: Final = 5
"""So long after the last trouble a partition is read apart: trouble comes in numbers, and each costs the others."""
GAPS_CHECKED_S: Final = 600
"""A partition in which offsets are missing for a good reason (transactions, compaction) has more such gaps."""


@dataclass(slots=True)
class Lane:
    """One partition. next: the offset behind all that was handed out; None: not known yet.

    apart: it is read over the wire, for the group's client failed at it. apart_to: at least so far. calm_at: at least
    until then. waits_until: nothing is read before. stretch: what cannot be read. rang_at: when we said so.
    searched_at: when its end was looked for last.
    gaps_until: missing offsets are no surprise before. stalls: how often in a row the client gave nothing, wrongly, and
    stalled_at: since when.
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
        """Whether the group's client must not read it."""
        return self.apart or self.waits_until > 0

    def read_apart(self, calm_at: float, to: int = -1) -> None:
        """Have it read over the wire until it is calm."""
        self.apart = True
        self.apart_to = max(self.apart_to, to)
        self.calm_at = max(self.calm_at, calm_at)

    def read_together(self) -> None:
        """Have it read by the group's client again."""
        self.apart = False
        self.apart_to = -1


@dataclass(slots=True)
class Lanes:
    """The partitions of this member. quiet: none is apart or waits, so that nobody need look at each.

    topic_id: of the topic as last seen; empty where brokers do not say. anew: what was known was about another topic,
    or about what was cut off, and the runtime has not heard of it yet.
    """

    of: dict[TopicPartition, Lane] = field(default_factory=dict)
    unsettled: set[TopicPartition] = field(default_factory=set)
    quiet: bool = True
    topic_id: str = ""
    anew: bool = False

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """Take over another assignment. What is blocked stays so until it is known where the group stands."""
        before, self.of = self.of, {}
        for partition in partitions:
            lane = before.get(partition)
            self.of[partition] = lane if lane is not None and lane.stretch is not None else Lane(partition)
        self.unsettled = set(self.of)
        self.look()

    def look(self) -> None:
        """Note whether any lane needs attention."""
        self.quiet = not any(lane.is_stopped for lane in self.of.values())

    def together(self) -> list[Lane]:
        """List the lanes that the group's client reads."""
        return [lane for lane in self.of.values() if not lane.is_stopped]


def is_regular(lane: Lane, records: Sequence[Any]) -> bool:
    """Whether these records follow each other, and what was handed out before, without a gap."""
    return lane.next is None or records[-1].offset - lane.next + 1 == len(records)


def is_possible(lane: Lane, records: Sequence[Any], end: int | None, now: float) -> bool:
    """Whether records with gaps between them may be so.

    No checksum is over the offset at which a batch says it begins: with one flipped bit it lies elsewhere, and others
    seem to be missing.
    """
    if now >= lane.gaps_until or (end is not None and records[-1].offset >= end):
        return False
    return all(a.offset < b.offset for a, b in pairwise(records))
