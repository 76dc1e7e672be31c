"""One hold of goods as our books have it, beside what the inventory has of it (pure)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from domain.ids import OrderId
from domain.order import HoldState, Status, reservation_id
from domain.ports.inventory_lists import TheirState

ATTEMPTS_TRIED: Final = 20
"""Ids of holds are derived from order and attempt. So many attempts of an order that we do not have are tried."""


class HoldKind(StrEnum):
    """What differs."""

    HELD_UNKNOWN = "held_unknown"
    STILL_HELD = "still_held"
    HOLD_GONE = "hold_gone"
    SOLD_UNPAID = "sold_unpaid"
    PAID_UNSOLD = "paid_unsold"
    LINES = "lines"
    RESTOCKED = "restocked"
    STOCK = "stock"


@dataclass(frozen=True, slots=True)
class HoldDifference:
    """One difference. ours, theirs: the state of the hold, or units; None: there is none. text: says it to people."""

    kind: HoldKind
    order_id: str | None
    text: str
    attempt: int | None = None
    reservation_id: str | None = None
    ours: str | None = None
    theirs: str | None = None


class OurHold(NamedTuple):
    """A hold in our books. listed: whether the inventory's list reaches back to it; if not, a lack says nothing.

    restocked: what came back, as the inventory answered us. working: somebody works on the order, or did since the
    list was begun. given_up: an operator must settle it.
    """

    order_id: str
    attempt: int
    state: str
    expires_at: datetime
    pinned: bool
    lines: Mapping[str, int]
    restocked: Mapping[str, int]
    status: str
    listed: bool
    given_up: bool

    @property
    def waits_for_operator(self) -> bool:
        """Whether an operator knows of the order already."""
        return self.given_up or self.status == Status.MANUAL_REVIEW

    @property
    def sold(self) -> bool:
        """Whether we count its goods as sold, whatever came back since."""
        return self.state not in {HoldState.HELD, HoldState.RELEASED, HoldState.EXPIRED}


class TheirHold(NamedTuple):
    """A hold in the inventory's list."""

    order_id: str
    state: TheirState
    lines: Mapping[str, int]
    restocked: Mapping[str, int]
    until: datetime


class HoldPair(NamedTuple):
    """One hold on both sides. working: its order is being worked on. known: we have the order that they name."""

    reservation_id: str
    ours: OurHold | None
    theirs: TheirHold | None
    working: bool
    known: bool

    @property
    def foreign(self) -> bool:
        """Whether it is another shop's: we do not have the order, and the id is none that we derive from it."""
        if self.ours is not None or self.known or self.theirs is None:
            return False
        order_id = OrderId(self.theirs.order_id)
        derived = (str(reservation_id(order_id, attempt)) for attempt in range(1, ATTEMPTS_TRIED + 1))
        return self.reservation_id not in derived


def hold_differences(pair: HoldPair, at: datetime) -> Iterator[HoldDifference]:
    """Compare a hold that is not foreign, and on which nobody works. at: now."""
    ours, theirs = pair.ours, pair.theirs
    if ours is None:
        if theirs is not None:
            yield from _of_unknown(pair.reservation_id, theirs, at)
    elif theirs is None:
        if ours.listed:
            yield from _of_missing(pair.reservation_id, ours, at)
    else:
        yield from _of_both(pair.reservation_id, ours, theirs, at)


def _of_unknown(reservation: str, theirs: TheirHold, at: datetime) -> Iterator[HoldDifference]:
    order_id, state = theirs.order_id, str(theirs.state)
    if theirs.state is TheirState.CONFIRMED:
        text = f"hold {reservation} is sold there, and unknown here: {_words(theirs.lines)}"
        yield HoldDifference(HoldKind.SOLD_UNPAID, order_id, text, None, reservation, None, state)
    elif _is_held(theirs, at):
        text = f"hold {reservation} is kept there until {theirs.until:%F %T}, and unknown here: {_words(theirs.lines)}"
        yield HoldDifference(HoldKind.HELD_UNKNOWN, order_id, text, None, reservation, None, state)


def _of_missing(reservation: str, ours: OurHold, at: datetime) -> Iterator[HoldDifference]:
    if ours.sold:
        kind, text = HoldKind.PAID_UNSOLD, f"attempt {ours.attempt} is paid, and its goods are unknown there"
    elif _is_live(ours, at):
        kind, text = HoldKind.HOLD_GONE, f"attempt {ours.attempt} counts on goods that are unknown there"
    else:
        return
    yield HoldDifference(kind, ours.order_id, text, ours.attempt, reservation, ours.state, None)


def _of_both(reservation: str, ours: OurHold, theirs: TheirHold, at: datetime) -> Iterator[HoldDifference]:
    def difference(kind: HoldKind, text: str, our: str = ours.state, their: str = str(theirs.state)) -> HoldDifference:
        return HoldDifference(
            kind, ours.order_id, f"attempt {ours.attempt} {text}", ours.attempt, reservation, our, their
        )

    confirmed, held = theirs.state is TheirState.CONFIRMED, _is_held(theirs, at)
    if ours.sold and not confirmed:
        yield difference(HoldKind.PAID_UNSOLD, f"is paid, and its goods are {theirs.state} there")
    elif confirmed and not ours.sold:
        yield difference(HoldKind.SOLD_UNPAID, f"is not paid, and its goods are sold there: {_words(theirs.lines)}")
    elif held and ours.state != HoldState.HELD:
        text = f"needs no goods, and they are kept there until {theirs.until:%F %T}: {_words(theirs.lines)}"
        yield difference(HoldKind.STILL_HELD, text)
    elif not (held or confirmed) and _is_live(ours, at):
        yield difference(HoldKind.HOLD_GONE, f"counts on goods that are {theirs.state} there")
    counts = confirmed or held
    if theirs.order_id != ours.order_id:
        text = f"shares hold {reservation} with order {theirs.order_id}"
        yield difference(HoldKind.LINES, text, ours.order_id, theirs.order_id)
    elif counts and theirs.lines != ours.lines:
        our, their = _words(ours.lines), _words(theirs.lines)
        yield difference(HoldKind.LINES, f"is about {our}, and there about {their}", our, their)
    if confirmed and ours.sold and theirs.restocked != ours.restocked:
        our, their = _words(ours.restocked), _words(theirs.restocked)
        yield difference(HoldKind.RESTOCKED, f"has put back {our}, and there {their} came back", our, their)


def _is_live(ours: OurHold, at: datetime) -> bool:
    return ours.state == HoldState.HELD and (ours.pinned or ours.expires_at > at)


def _is_held(theirs: TheirHold, at: datetime) -> bool:
    """Whether its goods are kept still. The list may have been read just before it lapsed."""
    return theirs.state is TheirState.HELD and theirs.until > at


def _words(lines: Mapping[str, int]) -> str:
    named: Sequence[str] = [f"{quantity} x {sku}" for sku, quantity in lines.items()]
    return ", ".join([*named[:5], *([f"{len(named) - 5} more"] if len(named) > 5 else [])]) or "nothing"
