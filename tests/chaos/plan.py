"""The schedule of faults, from a seed alone: waves of a few at a time, each with its length, and calm between waves.

A last stage has the batches that are made unreadable on the broker's disk. No broker is killed from there on: its
recovery would cut the log off at them, and Kafka itself would lose what lies behind.
"""

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tests.chaos.fleet import ROLES
from tests.chaos.messages import ORDER, RETRY

CODECS: Final = ("gzip", "snappy", "lz4", "zstd")
LIMITS: Final = ("transaction_timeout", "idle_in_transaction_session_timeout", "statement_timeout")
RECODED: Final = (ORDER, RETRY, "PaymentAuthorized", "ItemsReserved", "ReservationFailed", "PaymentFailed")
UNREADABLE: Final = (
    *(f"garbled {codec}" for codec in CODECS),
    "flipped none",
    "flipped zstd",
    "short none",
    "long none",
    "tiny none",
)
"""What is written into a batch (see faults.segments), and its codec."""


@dataclass(frozen=True, slots=True)
class Kind:
    """resource: kinds of the same one never overlap; "target": each target is one, ALONE: nothing else is dealt then.

    seconds: least and most.
    """

    name: str
    resource: str
    seconds: tuple[float, float] = (0, 0)
    targets: tuple[str, ...] = ("",)


ALONE: Final = "everything"
PROCESSES: Final = (
    Kind("killed", "target", (1, 4), tuple(ROLES)),
    Kind("frozen", "target", (3, 22), tuple(ROLES)),
    Kind("redeployed", "target", (0, 2), tuple(ROLES)),
)
KINDS: Final = (
    *PROCESSES,
    Kind("power cut", ALONE, (1, 3)),
    Kind("kafka killed", "kafka", (1, 5)),
    Kind("kafka frozen", "kafka", (3, 8)),
    Kind("postgres killed", "postgres", (1, 4)),
    Kind("postgres frozen", "postgres", (3, 8)),
    Kind("sessions ended", "postgres", (1, 5)),
    Kind("read only", "postgres", (20, 20)),
    Kind("dump", "postgres", (8, 20)),
    Kind("row locked", "postgres", (8, 20), ("order", "goods")),
    Kind("time limit", "postgres", (5, 10), LIMITS),
    Kind("sandbox killed", "gateway", (1, 5)),
    Kind("sandbox frozen", "gateway", (3, 8)),
    Kind("gateway down", "gateway", (4, 12)),
    Kind("gateway slow", "gateway", (5, 10)),
    Kind("gateway late", "gateway", (5, 10)),
    Kind("wire cut", "gateway", (3, 8)),
    Kind("compressed", "messages", targets=CODECS),
    Kind("garbage", "messages"),
    Kind("headers", "messages"),
    Kind("duplicates", "messages"),
    Kind("open transaction", "transaction", (3, 10)),
    Kind("aborted transaction", "transaction", (2, 6)),
    Kind("topic recoded", "topics", (5, 12), tuple(f"{topic} {codec}" for topic in RECODED for codec in CODECS)),
    Kind("partitions added", "topics", targets=(ORDER, ORDER, RETRY)),
)
UNREADABLE_KIND: Final = Kind("unreadable", "segment", targets=UNREADABLE)
NAMES: Final = tuple(kind.name for kind in (*KINDS, UNREADABLE_KIND))
EACH_ONCE: Final = 30
"""So many faults have every kind once, and three unreadable batches."""
FEW: Final = 60
"""Up to so many faults it is the short form: shorter faults, less calm."""
SHORTER: Final = 0.4
OVERHEAD_S: Final = 4.0
"""What a wave takes beyond its faults' lengths: a server or a process that is started."""
UNREADABLE_SHARE: Final = 0.1
UNREADABLE_S: Final = 1.5
BLOCKED_PARTITIONS: Final = 3


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. begins_s: after its wave began. lasts_s: between its dealing and its end."""

    number: int
    kind: str
    target: str
    begins_s: float
    lasts_s: float


@dataclass(frozen=True, slots=True)
class Wave:
    """Faults that may overlap, and the calm after them."""

    faults: tuple[Fault, ...]
    calm_s: float

    @property
    def seconds(self) -> float:
        """How long it takes, about."""
        return max(fault.begins_s + fault.lasts_s for fault in self.faults) + OVERHEAD_S + self.calm_s


@dataclass(frozen=True, slots=True)
class Plan:
    """waves: with everything but unreadable batches; last: with these. blocked: the partitions that they are on."""

    seed: int
    waves: tuple[Wave, ...]
    last: tuple[Wave, ...]
    blocked: tuple[int, ...]

    @property
    def faults(self) -> Iterator[Fault]:
        """Every fault, in order."""
        return (fault for wave in (*self.waves, *self.last) for fault in wave.faults)

    @property
    def seconds(self) -> float:
        """How long the faults take, about."""
        return sum(wave.seconds for wave in (*self.waves, *self.last))


def write_plan(
    seed: int, count: int, partitions: int, only: Collection[str] = (), without: Collection[str] = ()
) -> Plan:
    """Write a plan of so many faults. only, without: names of kinds. The same arguments write the same plan."""
    draw = random.Random(f"plan of {seed}")
    wanted = [kind for kind in KINDS if (not only or kind.name in only) and kind.name not in without]
    unreadable = UNREADABLE_KIND.name in only or (not only and UNREADABLE_KIND.name not in without)
    last = 0
    if unreadable and count:
        last = count if not wanted else max(1, round(count * UNREADABLE_SHARE))
    writer = _Writer(draw, short=count <= FEW)
    waves = writer.waves(_deck(draw, wanted, count - last)) if wanted else ()
    return Plan(
        seed,
        tuple(waves),
        tuple(writer.last(_deck(draw, [UNREADABLE_KIND], last), wanted)),
        tuple(sorted(draw.sample(range(partitions), BLOCKED_PARTITIONS))),
    )


def _deck(draw: random.Random, kinds: Sequence[Kind], count: int) -> list[tuple[Kind, str]]:
    """Draw kinds with targets: no kind for the next time before every other had its turn, and so with its targets."""
    found: list[tuple[Kind, str]] = []
    targets: dict[str, list[str]] = {}
    while len(found) < count:
        for kind in draw.sample(list(kinds), len(kinds)):
            if not targets.get(kind.name):
                targets[kind.name] = draw.sample(list(kind.targets), len(kind.targets))
            found.append((kind, targets[kind.name].pop()))
    return found[:count]


class _Writer:
    def __init__(self, draw: random.Random, *, short: bool) -> None:
        self._draw = draw
        self._number = 0
        self._factor = SHORTER if short else 1.0
        self._sizes = (3, 4) if short else (1, 2, 2, 3)
        self._calm_s = (3.0, 4.0) if short else (9.0, 13.0)

    def waves(self, deck: list[tuple[Kind, str]]) -> Iterator[Wave]:
        """Lay the deck out, a few at a time, whose resources differ."""
        while deck:
            size = self._draw.choice(self._sizes)
            taken: list[Fault] = []
            left: list[tuple[Kind, str]] = []
            used: set[str] = set()
            for kind, target in deck:
                resource = target if kind.resource == "target" else kind.resource
                if len(taken) < size and resource not in used and not (taken and ALONE in {resource, *used}):
                    used.add(resource)
                    taken.append(self._fault(kind, target, self._draw.uniform(0, 3) if taken else 0))
                else:
                    left.append((kind, target))
            deck = left
            yield Wave(tuple(taken), self._draw.uniform(*self._calm_s))

    def last(self, deck: list[tuple[Kind, str]], others: Sequence[Kind]) -> Iterator[Wave]:
        """Lay out the unreadable batches, one after the other, and a process that dies meanwhile for every few."""
        if not deck:
            return
        faults = [self._fault(kind, target, number * UNREADABLE_S) for number, (kind, target) in enumerate(deck)]
        kinds = [kind for kind in PROCESSES if kind in others]
        end_s = len(deck) * UNREADABLE_S
        for _ in range(max(1, len(deck) // 6) if kinds else 0):
            kind = self._draw.choice(kinds)
            faults.append(self._fault(kind, self._draw.choice(kind.targets), self._draw.uniform(0, end_s)))
        apart = {fault.target if fault.kind != UNREADABLE_KIND.name else str(fault.number): fault for fault in faults}
        yield Wave(tuple(sorted(apart.values(), key=lambda fault: fault.begins_s)), self._draw.uniform(*self._calm_s))

    def _fault(self, kind: Kind, target: str, begins_s: float) -> Fault:
        self._number += 1
        lasts_s = self._draw.uniform(*kind.seconds) * self._factor
        return Fault(self._number, kind.name, target, round(begins_s, 2), round(lasts_s, 2))
