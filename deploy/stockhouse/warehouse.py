"""The stock and its holds, in memory. A change is put in whole; sums follow from it."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from heapq import heappop, heappush
from typing import NamedTuple


class State(StrEnum):
    """What has become of a hold."""

    HELD = "held"
    CONFIRMED = "confirmed"
    RELEASED = "released"
    LAPSED = "lapsed"


class Effect(NamedTuple):
    """Something that truly happened to a hold. key: of the call that did it; None: its time was over."""

    kind: str
    key: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Hold:
    """Goods kept for an order. lines, restocked: whole units by SKU. number: of holds in the order they were made."""

    number: int
    reservation_id: str
    order_id: str
    state: State
    lines: Mapping[str, int]
    restocked: Mapping[str, int]
    until: datetime
    changed_at: datetime
    effects: tuple[Effect, ...]

    def changed(self, effect: Effect, **changes: object) -> "Hold":
        """Return it after an effect."""
        return replace(self, changed_at=effect.at, effects=(*self.effects, effect), **changes)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Restocked:
    """Sold goods that came back. lines: whole units by SKU. key: of the call that did it."""

    restock_id: str
    reservation_id: str
    order_id: str
    request_id: str | None
    lines: Mapping[str, int]
    made_at: datetime
    key: str | None


class Shelf(NamedTuple):
    """Whole units of one SKU."""

    available: int
    held: int
    sold: int


class Warehouse:
    """What is there. now: the clock, by which holds lapse."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self.holds: dict[str, Hold] = {}
        self.restocks: dict[str, Restocked] = {}
        self.put_in: dict[str, int] = {}
        self._held: Counter[str] = Counter()
        self._sold: Counter[str] = Counter()
        self._made: list[str] = []
        self._ends: list[tuple[datetime, str]] = []
        self._skus: list[str] | None = None

    @property
    def next_number(self) -> int:
        """Return the number of the next new hold."""
        return len(self._made) + 1

    def lapse(self) -> None:
        """Let every hold lapse whose time is over."""
        at = self.now()
        while self._ends and self._ends[0][0] <= at:
            _, reservation_id = heappop(self._ends)
            hold = self.holds[reservation_id]
            if hold.state is State.HELD and hold.until <= at:
                self.put(hold.changed(Effect("lapse", None, hold.until), state=State.LAPSED))

    def put(self, hold: Hold) -> None:
        """Put in a new hold, or a change of one."""
        before = self.holds.get(hold.reservation_id)
        if before is None:
            self._made.append(hold.reservation_id)
        else:
            self._count(before, -1)
        self._count(hold, 1)
        self.holds[hold.reservation_id] = hold
        if hold.state is State.HELD and (before is None or before.until != hold.until):
            heappush(self._ends, (hold.until, hold.reservation_id))

    def put_restock(self, restock: Restocked) -> None:
        """Put in a restock. Its hold, with what came back, is put in with it."""
        self.restocks[restock.restock_id] = restock

    def put_stock(self, sku: str, put_in: int) -> None:
        """Say how many units of a SKU were put in, in all."""
        if sku not in self.put_in:
            self._skus = None
        self.put_in[sku] = put_in

    def shelf(self, sku: str) -> Shelf | None:
        """Return what is there of a SKU; None: it is not known here."""
        put_in = self.put_in.get(sku)
        if put_in is None:
            return None
        held, sold = self._held[sku], self._sold[sku]
        return Shelf(put_in - held - sold, held, sold)

    def skus(self, after: str | None = None) -> Iterator[str]:
        """Return SKUs in their order, from the one after `after` on."""
        if self._skus is None:
            self._skus = sorted(self.put_in)
        start = 0 if after is None else bisect_right(self._skus, after)
        return (self._skus[number] for number in range(start, len(self._skus)))

    def made(self, after: int = 0) -> Iterator[Hold]:
        """Return holds in the order in which they were made, from the one with the number after `after` on."""
        return (self.holds[self._made[number]] for number in range(after, len(self._made)))

    def _count(self, hold: Hold, sign: int) -> None:
        match hold.state:
            case State.HELD:
                for sku, quantity in hold.lines.items():
                    self._held[sku] += sign * quantity
            case State.CONFIRMED:
                for sku, quantity in hold.lines.items():
                    self._sold[sku] += sign * (quantity - hold.restocked.get(sku, 0))
            case State.RELEASED | State.LAPSED:
                pass
