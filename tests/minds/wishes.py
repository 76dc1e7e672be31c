"""When somebody cancels an order, and how: drawn from a seed, a point of each order's life."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tests.minds.script import AUTHORIZED, FAILED, PAID, Order


class Moment(StrEnum):
    """When the cancel is sent. ON: at an event of ours about the order."""

    BEFORE = "before its order"
    KEPT_BEFORE = "kept before its order came"
    TOGETHER = "together with its order"
    AT_ONCE = "as soon as its order was acknowledged"
    A_WHILE = "a while after its order"
    ON = "at an event"
    WITHIN = "paid, within the window"
    TOO_LATE = "paid, the window over"
    WITH_PREPARATION = "together with the begin of the preparation"
    PREPARED = "after the preparation had begun"
    PREPARED_EARLY = "the preparation said before its order"


class Variant(StrEnum):
    """How often it is said, and what else is."""

    PLAIN = "once"
    SAME_BYTES = "the same message twice"
    SAME_CONTENT = "the same request under two event ids"
    TWO_IDS = "two requests at once"
    ANOTHER_LATER = "another request, once the first is answered"
    OTHER_CONTENT = "the same request id with other content"
    WITH_RETRY = "together with a retry"
    WITH_REFUND = "together with a refund request"


ANY_TIME: Final = (
    Moment.BEFORE,
    Moment.KEPT_BEFORE,
    Moment.TOGETHER,
    Moment.AT_ONCE,
    Moment.A_WHILE,
)
WHEN_PAID: Final = (
    Moment.WITHIN,
    Moment.TOO_LATE,
    Moment.WITH_PREPARATION,
    Moment.PREPARED,
    Moment.PREPARED_EARLY,
)
VARIANTS: Final = (
    (Variant.PLAIN, 50),
    (Variant.SAME_BYTES, 8),
    (Variant.SAME_CONTENT, 8),
    (Variant.TWO_IDS, 10),
    (Variant.ANOTHER_LATER, 6),
    (Variant.OTHER_CONTENT, 6),
    (Variant.WITH_RETRY, 6),
    (Variant.WITH_REFUND, 6),
)


@dataclass(frozen=True, slots=True)
class Wish:
    """event: of Moment.ON. share: of the time that a moment leaves open, from 0 to 1. first: cancel, then the other."""

    moment: Moment
    variant: Variant
    event: str = ""
    share: float = 0.0
    first: bool = True

    @property
    def title(self) -> str:
        """Name it for people."""
        return f"{self.moment} {self.event}".strip() + f", {self.variant}"


def wishes(seed: int, orders: Sequence[Order]) -> dict[str, Wish]:
    """Draw one wish an order, by order id."""
    draw = random.Random(f"wishes of {seed}")
    return {order.order_id: _draw(draw, order) for order in orders}


def _draw(draw: random.Random, order: Order) -> Wish:
    moments: list[tuple[Moment, str]] = [(moment, "") for moment in ANY_TIME]
    # As often as all others together: at the events, where calls begin and end.
    moments += [(Moment.ON, event) for event in order.kind.life]
    if order.kind.ends_paid:
        moments += [(moment, "") for moment in WHEN_PAID]
    moment, event = draw.choice(moments)
    variant = draw.choices([v for v, _ in VARIANTS], [weight for _, weight in VARIANTS])[0]
    if variant is Variant.WITH_RETRY and FAILED in order.kind.life and draw.random() < 0.7:
        moment, event = Moment.ON, FAILED
    if variant is Variant.WITH_REFUND and order.kind.ends_paid and draw.random() < 0.7:
        moment, event = draw.choice(((Moment.ON, PAID), (Moment.WITHIN, ""), (Moment.ON, AUTHORIZED)))
    return Wish(moment, variant, event, draw.random(), draw.random() < 0.5)
