"""What both drivers share: publishing, watching, customers who answer their bank, and the wait for rest."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, LiteralString

import httpx
import psycopg

from tests.chaos.clock import unix_s
from tests.chaos.messages import Message
from tests.chaos.outlet import Outlet
from tests.chaos.published import Published
from tests.chaos.world import PREFIX, World
from tests.minds import messages
from tests.minds.evidence import OURS
from tests.minds.script import ASKED, FAILED, Customer, Order
from tests.minds.timeline import Lookout, Timeline
from tests.minds.watch import Watch

ANSWER_S: Final = 10
LOOK_S: Final = 0.5
MOVING: Final[Mapping[str, LiteralString]] = {
    "events to be sent": "SELECT count(*) FROM outbox",
    "calls under way": "SELECT count(*) FROM operation WHERE state IN ('open', 'pending', 'unknown')",
    "goods held": "SELECT count(*) FROM reservation r JOIN orders o USING (order_number)"
    " WHERE r.state = 'held' AND o.status <> 'manual_review'",
    "messages before their order": "SELECT count(*) FROM early_message",
    "requests without an end": "SELECT count(*) FROM order_request r JOIN orders o USING (order_number)"
    " WHERE r.state NOT IN ('done', 'refused') AND o.status <> 'manual_review'",
    "orders without an end": "SELECT count(*) FROM orders"
    " WHERE status NOT IN ('paid_and_confirmed', 'payment_failed', 'cancelled', 'manual_review')",
}
Heard = Callable[[str, dict[str, Any], Order], None]


class Shop:
    """heard: told of every event of ours about a known order, once each, in a thread of its own."""

    def __init__(self, world: World, published: Published, timeline: Timeline, orders: Mapping[str, Order]) -> None:
        self.world = world
        self.published = published
        self.timeline = timeline
        self._orders = orders
        self.outlet = Outlet(world.bootstrap, PREFIX, published)
        self._watch: Watch | None = None
        # Of their own: their time to answer is short.
        self._customers = Timeline()
        self.heard: Heard = lambda _type, _fields, _order: None

    def open(self) -> None:
        """Begin to watch."""
        self._watch = Watch(self.world.bootstrap, PREFIX, OURS, self._hear)

    def close(self) -> None:
        """Say nothing more. May be repeated."""
        self.timeline.close()
        self._customers.close()
        if self._watch is not None:
            self._watch.close()
        self.outlet.close()

    @property
    def errors(self) -> list[str]:
        """What went wrong with the harness itself."""
        return [*self.timeline.errors, *self._customers.errors, *([] if self._watch is None else self._watch.errors)]

    def send(self, message: Message, then: Callable[[], None] | None = None) -> None:
        """Publish. then: done once the broker has it."""
        self.outlet.send(message, None if then is None else lambda _: then())

    def rows(self, query: LiteralString, *parameters: Any) -> list[tuple[Any, ...]]:
        """Ask the database."""
        return self.world.rows(query, *parameters)

    def lookout(self, query: LiteralString) -> Lookout:
        """Watch for orders in the database. query: names those of a list of ids that are there."""
        return Lookout(self.timeline, lambda order_ids: [row[0] for row in self.rows(query, order_ids)])

    def post(self, path: str, **content: Any) -> httpx.Response:
        """Ask the sandbox for something of its own, past the wire."""
        return httpx.post(self.world.gateway(path), trust_env=False, timeout=ANSWER_S, **content)

    def _hear(self, event_type: str, fields: dict[str, Any]) -> None:
        order = self._orders.get(fields["order_id"])
        if order is None:
            return
        if event_type == ASKED:
            self._answer_bank(order, str(fields["transaction_id"]))
        if event_type == FAILED and fields["retryable"] and fields["attempt"] < len(order.kind.tokens):
            self.timeline.after(0.5, lambda: self.send(messages.retry(order, fields["attempt"])))
        self.heard(event_type, fields, order)

    def _answer_bank(self, order: Order, transaction_id: str) -> None:
        if order.kind.customer is Customer.NEVER_COMES:
            return
        outcome = "passed" if order.kind.customer is Customer.CONFIRMS else "failed"

        def answer() -> bool:
            said = self.post(f"3ds/{transaction_id}", data={"outcome": outcome})
            return said.status_code < httpx.codes.INTERNAL_SERVER_ERROR

        self._customers.after(1.0, lambda: self._customers.until(answer))

    def await_rest(self, timeout_s: float, ready: Callable[[], bool] = lambda: True) -> dict[str, int]:
        """Wait until nothing is under way any more; return what still is, when the time is over."""
        end, left = unix_s() + timeout_s, {"the database did not answer": 1}
        while True:
            with suppress(psycopg.OperationalError):
                left = {name: int(self.rows(query)[0][0]) for name, query in MOVING.items()}
                left = {name: count for name, count in left.items() if count}
                if not left and ready():
                    return {}
            if unix_s() > end:
                return left or {"orders or refunds that the product has not heard of": 1}
            self.timeline.after(LOOK_S, lambda: None)
            self.timeline.wait(LOOK_S * 4)
