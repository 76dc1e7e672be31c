"""What people want back of one order: drawn from a seed, several requests each, and what races them."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tests.minds.script import Order

UNKNOWN_SKU: Final = "moon-dust"


class Pattern(StrEnum):
    """What the amounts of an order's requests are."""

    PARTS = "parts that make up the whole"
    OVER = "parts of more than the whole"
    ALL = "all that is kept, several times"
    BEYOND = "more than was paid, then a part"
    TINY = "a minor unit each"
    MIXED = "parts, and all that is kept"


class Copy(StrEnum):
    """How a request is said again."""

    NONE = "not"
    BYTES = "byte for byte"
    CONTENT = "under another event id"
    OTHER = "with other content"


@dataclass(frozen=True, slots=True)
class Claim:
    """One request. lines: units by SKU that are back. after_s: since the order was paid; 0: at once, in a race."""

    request_id: str
    amount_minor: int | None
    lines: dict[str, int]
    after_s: float
    copy: Copy


@dataclass(frozen=True, slots=True)
class Plan:
    """All of one order. early: the first one comes right after the order. cancels: a cancel races them.

    dashboard_minor: what somebody refunds at the gateway meanwhile; 0: nobody does. wins: the dispute is won, and
    somebody asks once more then.
    """

    pattern: Pattern
    claims: tuple[Claim, ...]
    early: bool
    cancels: bool
    dashboard_minor: int
    wins: bool

    @property
    def title(self) -> str:
        """Name it for people."""
        more = [name for name, is_so in (("early", self.early), ("a cancel", self.cancels)) if is_so]
        more += [f"{self.dashboard_minor} in the dashboard"] if self.dashboard_minor else []
        said = [f"{claim.request_id}={claim.amount_minor}" for claim in self.claims]
        return f"{self.pattern} ({', '.join(said)})" + (f", with {', '.join(more)}" if more else "")

    @property
    def messages(self) -> int:
        """How many messages it takes."""
        return len(self.claims) + sum(claim.copy is not Copy.NONE for claim in self.claims)


def plan(draw: random.Random, order: Order) -> Plan:
    """Draw what somebody wants back of this order."""
    pattern = draw.choice(list(Pattern))
    amounts = list(_amounts(draw, pattern, order.total_minor))
    racing = draw.random() < 0.6
    lines = _shares(draw, order, len(amounts))
    claims = [
        Claim(
            f"refund-{number}",
            amount,
            lines[number],
            0.0 if racing else draw.uniform(0, 6),
            draw.choices(list(Copy), (70, 12, 9, 9))[0],
        )
        for number, amount in enumerate(amounts)
    ]
    dashboard = order.total_minor // 3 if draw.random() < 0.06 else 0
    return Plan(pattern, tuple(claims), draw.random() < 0.06, draw.random() < 0.1, dashboard, draw.random() < 0.5)


def _amounts(draw: random.Random, pattern: Pattern, total: int) -> Iterator[int | None]:
    count = draw.randint(2, 7)
    match pattern:
        case Pattern.PARTS:
            yield from _parts(draw, total, count)
        case Pattern.OVER:
            yield from _parts(draw, total + total // 2 + 1, count)
        case Pattern.ALL:
            yield from [None] * draw.randint(2, 3)
        case Pattern.BEYOND:
            yield from (total + 1, max(1, total // 4), total + 100_000)
        case Pattern.TINY:
            yield from [1] * count
        case Pattern.MIXED:
            yield from (*_parts(draw, max(total // 2, 2), count), None)


def _parts(draw: random.Random, total: int, count: int) -> Sequence[int]:
    cuts = sorted(draw.sample(range(1, total), min(count, total) - 1)) if total > 1 else []
    parts = [b - a for a, b in zip([0, *cuts], [*cuts, total], strict=True)]
    return [part for part in parts if part] or [1]


def _shares(draw: random.Random, order: Order, count: int) -> list[dict[str, int]]:
    """Give some requests units to put back: of what was bought, now and then more than that."""
    found: list[dict[str, int]] = []
    for _ in range(count):
        if draw.random() < 0.6:
            found.append({})
            continue
        sku, units = draw.choice(sorted(order.units.items()))
        found.append({sku: draw.randint(1, units + (draw.random() < 0.1))})
    return found
