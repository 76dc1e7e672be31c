"""Orders of every kind, and one cancel each, at a point of its life that a seed has drawn."""

import threading
from collections.abc import Callable
from typing import Any, Final, LiteralString

from tests.chaos.clock import unix_s
from tests.chaos.messages import Message
from tests.chaos.published import Published
from tests.chaos.world import World
from tests.minds import messages
from tests.minds.script import ELSEWHERE, FAILED, KINDS, PAID, Order, Script
from tests.minds.shop import Shop
from tests.minds.timeline import Timeline
from tests.minds.wishes import Moment, Variant, Wish, wishes

ANSWERS: Final = ("OrderCancelled", "CancellationRefused")
FALL_BACK_S: Final = 2.0
"""After an order's end: an event that it was to meet does not come any more."""
FIRST, SECOND, MONEY = "cancel-1", "cancel-2", "refund-1"
OF_NOBODY: Final = "nobody-"
NOBODIES: Final = 3
KEPT: Final[LiteralString] = """
    SELECT DISTINCT order_id FROM early_message WHERE order_id = ANY(%s) AND topic LIKE '%%OrderCancelRequested'"""
"""The cancel itself: a refund request that was sent with it may be kept while the cancel is still on its way."""
PREPARED: Final[LiteralString] = (
    "SELECT order_id FROM orders WHERE order_id = ANY(%s) AND preparation_started_at IS NOT NULL"
)


class Cancels:
    """rate: orders a second. window_s: PAYMENTS_CANCEL_WINDOW_S.

    overtaken, prepared, nobodies, foreign: as in oracle.Case.
    """

    def __init__(self, world: World, seed: int, count: int, rate: float, window_s: float, prefix: str = "m") -> None:
        made = Script(seed, prefix, [*KINDS, *(ELSEWHERE if world.inventory else ())]).orders(count)
        self.orders = {order.order_id: order for order in made}
        self.wishes = wishes(seed, made)
        self.window_s = window_s
        self._nobodies = Script(seed, f"{OF_NOBODY}{prefix}", KINDS[:1]).orders(NOBODIES)
        self._rate = rate
        self._timeline = Timeline()
        self.published = Published()
        self.shop = Shop(world, self.published, self._timeline, self.orders)
        self.shop.heard = self._hear
        self._kept = self.shop.lookout(KEPT)
        self._prepared = self.shop.lookout(PREPARED)
        self._lock = threading.Lock()
        self._asked: set[str] = set()
        self._again: set[str] = set()
        self._failed: dict[str, int] = {}
        self.overtaken = frozenset(i for i, wish in self.wishes.items() if wish.moment is Moment.KEPT_BEFORE)
        self.prepared = frozenset(i for i, wish in self.wishes.items() if wish.moment is Moment.PREPARED)
        self.nobodies = frozenset(order.order_id for order in self._nobodies)
        self.foreign: dict[str, int] = {}

    @property
    def titles(self) -> dict[str, str]:
        """Say of each order when and how it is cancelled."""
        return {order_id: wish.title for order_id, wish in self.wishes.items()}

    @property
    def progress(self) -> float:
        """How many of the cancels are sent, from 0 to 1."""
        return len(self._asked) / max(1, len(self.orders))

    def start(self) -> None:
        """Let the orders flow."""
        self.shop.open()
        for order in self._nobodies:
            self.shop.send(messages.cancel(order, FIRST))
        for number, order in enumerate(self.orders.values()):
            self._timeline.after(number / self._rate, _later(self._begin, order))

    def wait(self, timeout_s: float) -> bool:
        """Wait until every cancel is sent; tell whether it is."""
        end = unix_s() + timeout_s
        return self._timeline.wait(timeout_s, lambda: self.progress >= 1) and self.shop.outlet.wait(end - unix_s())

    def _begin(self, order: Order) -> None:
        wish, said, send = self.wishes[order.order_id], messages.confirmed(order), self.shop.send
        match wish.moment:
            case Moment.BEFORE:
                self._ask(order, then=lambda: send(said))
            case Moment.KEPT_BEFORE:
                self._ask(order)
                self._kept.when_there(order.order_id, lambda: send(said))
            case Moment.TOGETHER:
                for one in (self._ask, lambda _: send(said)) if wish.first else (lambda _: send(said), self._ask):
                    one(order)
            case Moment.AT_ONCE:
                send(said, lambda: self._ask(order))
            case Moment.A_WHILE:
                send(said, lambda: self._timeline.after(3 * wish.share, lambda: self._ask(order)))
            case Moment.PREPARED_EARLY:
                send(messages.preparation(order), lambda: send(said))
            case _:
                send(said)

    def _hear(self, event_type: str, fields: dict[str, Any], order: Order) -> None:
        wish = self.wishes[order.order_id]
        if event_type == FAILED:
            self._failed[order.order_id] = fields["attempt"]
        if event_type in ANSWERS and wish.variant is Variant.ANOTHER_LATER and order.order_id not in self._again:
            self._again.add(order.order_id)
            self.shop.send(messages.cancel(order, SECOND, reason="still"))
        if wish.moment is Moment.ON and event_type == wish.event:
            self._ask(order)
        elif event_type == PAID:
            self._when_paid(order, wish)
        elif event_type == FAILED and not (fields["retryable"] and fields["attempt"] < len(order.kind.tokens)):
            self._timeline.after(FALL_BACK_S, lambda: self._ask(order))

    def _when_paid(self, order: Order, wish: Wish) -> None:
        ask: Callable[[], None] = lambda: self._ask(order)  # noqa: E731
        match wish.moment:
            case Moment.WITHIN:
                self._timeline.after(0.3 + wish.share * self.window_s / 3, ask)
            case Moment.TOO_LATE:
                self._timeline.after(self.window_s + 1, ask)
            case Moment.WITH_PREPARATION:
                self.shop.send(messages.preparation(order))
                ask()
            case Moment.PREPARED:
                self.shop.send(messages.preparation(order))
                self._prepared.when_there(order.order_id, ask)
            case _:
                self._timeline.after(FALL_BACK_S, ask)

    def _ask(self, order: Order, then: Callable[[], None] | None = None) -> None:
        """Send the cancel, once an order."""
        with self._lock:
            if order.order_id in self._asked:
                return
            self._asked.add(order.order_id)
        wish = self.wishes[order.order_id]
        said = self._said(order, wish)
        for number, message in enumerate(said, start=1):
            self.shop.send(message, then if number == len(said) else None)

    def _said(self, order: Order, wish: Wish) -> list[Message]:
        one = messages.cancel(order, FIRST)
        match wish.variant:
            case Variant.SAME_BYTES:
                return [one, one]
            case Variant.SAME_CONTENT:
                return [one, messages.cancel(order, FIRST, copy=1)]
            case Variant.TWO_IDS:
                return [one, messages.cancel(order, SECOND, reason="very much so")]
            case Variant.OTHER_CONTENT:
                return [one, messages.cancel(order, FIRST, reason="for another reason")]
            case Variant.WITH_RETRY if order.order_id in self._failed:
                pair = [one, messages.retry(order, self._failed[order.order_id])]
            case Variant.WITH_REFUND if order.total_minor:
                half = order.total_minor // 2 if wish.share < 0.5 else None
                pair = [one, messages.refund(order, MONEY, half or None)]
            case _:
                return [one]
        return pair if wish.first else pair[::-1]


def _later(work: Callable[[Order], None], order: Order) -> Callable[[], None]:
    return lambda: work(order)
