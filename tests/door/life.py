"""What becomes of what the door accepts, in the domain alone: plan, reserve, ask, settle, until nothing is under way.

Whatever is decided is brought to the form in which it is kept and sent, so that a value which has none is found here.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from consumers.adapters.inventory.internal import _Shelf
from consumers.reactions import BY_NAME, BY_TRIGGER
from consumers.runtime.work import inventory_call
from domain.decision import Decision
from domain.goods import expire_hold
from domain.ids import EventId, OrderId
from domain.operation import GATEWAY_KINDS, Operation, OperationKind
from domain.order import FINAL, Order
from domain.outcome import Outcome
from domain.ports.inventory import InventoryCall
from domain.rules import Context, Rules
from domain.stuck import revive
from domain.values import replace
from outbox.driver.batches import Insert, Row
from outbox.driver.binary import ARRAYS
from outbox.journal.rows import RowEncoder
from outbox.schema.mapping import ATTEMPTS, HOLDS, OPERATIONS, ORDERS
from schemas.codec import Codec
from schemas.events import Event
from schemas.fields import LARGEST_EVENT_BYTES, LONG_MAX
from schemas.topics import CONSUMED
from tests.door.made_up import GOOD, Said

RULES: Final = Rules()
ROUNDS_MAX: Final = 40
LOCAL_ROUNDS_MAX: Final = 4


class Life:
    """Any number of orders, one shelf. stock: whole units of each SKU; None: of none has anybody heard.

    Everything else of a SKU was sold before, as much as a column can count.
    """

    def __init__(self, at: datetime, stock: int | None, answers: Sequence[Said]) -> None:
        self.now = at
        self.orders: dict[OrderId, Order] = {}
        self.told: list[Event] = []
        self._stock = stock
        self._shelf = _Shelf({})
        self._answers = deque(answers)
        self._codec = Codec()
        self._encoder = RowEncoder(self._codec.encode, "", LARGEST_EVENT_BYTES)
        self._waiting: deque[Event] = deque()

    def accept(self, event: Event) -> None:
        """Let in what the door let in."""
        self._waiting.append(event)

    def run(self, pauses: Sequence[float]) -> None:
        """Let everything happen that follows. pauses: seconds that pass, one after each round."""
        left = deque(pauses)
        for _ in range(ROUNDS_MAX):
            while self._waiting:
                self._plan(self._waiting.popleft())
            calls = [o for order in self.orders.values() for o in order.operations if o.unfinished]
            for operation in calls:
                said = self._answers.popleft() if self._answers else GOOD
                self._settle(operation, said.about(operation))
            ended = all(order.status in FINAL for order in self.orders.values())
            if ended and not calls and not left and not self._waiting:
                return
            self.now += timedelta(seconds=left.popleft() if left else 1)
            self._sweep()
        raise AssertionError("the orders never come to their end")

    def _plan(self, event: Event) -> None:
        order_id = OrderId(event.subject)
        context = Context(self.now, EventId(event.event_id), RULES)
        decision = BY_TRIGGER[event.TYPE].plan(self.orders.get(order_id), event, context)
        assert decision.refused is None or event not in self.told, f"our own {event.TYPE}: {decision.detail}"
        self._transact(decision)

    def _settle(self, operation: Operation, outcome: Outcome) -> None:
        context = Context(self.now, operation.causation_id, RULES)
        settle = BY_NAME[operation.reaction].settle
        self._transact(settle(self.orders[operation.order_id], operation, outcome, context))

    def _sweep(self) -> None:
        """Let holds run out, and look at orders on which nobody works."""
        for order_id in list(self.orders):
            for hold in self.orders[order_id].holds:
                decision = expire_hold(self.orders[order_id], hold.attempt, Context(self.now, None, RULES))
                if decision.order is not None:
                    self._transact(decision)
                    lines = self.orders[order_id].lines
                    self._shelf.release(
                        InventoryCall(_NOBODYS, OperationKind.RELEASE, hold.reservation_id, lines, self.now)
                    )
            if not self._waiting and (revived := revive(self.orders[order_id], Context(self.now, None, RULES))):
                self._transact(revived)

    def _transact(self, decision: Decision) -> None:
        """Apply a decision, and settle what it asks of the shelf, as consumers.runtime.work does."""
        self._apply(decision)
        if decision.order is None:
            return
        order_id = decision.order.order_id
        for _ in range(LOCAL_ROUNDS_MAX):
            order = self.orders[order_id]
            local = [o for o in order.operations if o.unfinished and o.kind not in GATEWAY_KINDS]
            for operation in local:
                self._stock_up(order)
                context = Context(self.now, operation.causation_id, RULES)
                answer = self._ask_shelf(inventory_call(order, operation, context))
                settle = BY_NAME[operation.reaction].settle
                self._apply(settle(self.orders[order_id], operation, answer, context))
            if not local:
                break
        order = self.orders[order_id]
        self.orders[order_id] = replace(order, operations=tuple(o for o in order.operations if o.unfinished))

    def _stock_up(self, order: Order) -> None:
        if self._stock is not None:
            for line in order.lines:
                self._shelf._available.setdefault(line.sku, self._stock)

    def _ask_shelf(self, call: InventoryCall) -> Outcome:
        ask = {
            OperationKind.RESERVE: self._shelf.reserve,
            OperationKind.CONFIRM: self._shelf.confirm,
            OperationKind.RELEASE: self._shelf.release,
        }[call.kind]
        return ask(call)

    def _apply(self, decision: Decision) -> None:
        for event in decision.events:
            value = self._encoder.event_row(event, 1)[6]
            assert self._codec.decode(event.TYPE, event.order_id.encode(), value) == event
            self.told.append(event)
            if event.TYPE in CONSUMED:
                self._waiting.append(event)
        if decision.order is not None:
            self.orders[decision.order.order_id] = decision.order
            keep(decision.order, self.now)
        for n in decision.notifications:
            storable([n.customer_id, n.kind, n.text])

    def check_shelf(self) -> None:
        """Hold every count to what a column can count, whatever was sold before."""
        for sku, (available, reserved, sold) in self._shelf.moves.items():
            stock = self._stock or 0
            counts = (stock + available, reserved, LONG_MAX - stock + sold)
            assert all(0 <= count <= LONG_MAX for count in counts), (sku, counts)
            assert sum(counts) == LONG_MAX


_NOBODYS: Final[Any] = None


def keep(order: Order, at: datetime) -> None:
    """Bring an order to the form of its rows, as the database takes them."""
    written: list[tuple[Insert, list[Row]]] = [
        (ORDERS.insert, [ORDERS.row(order, 1, at)]),
        (ATTEMPTS.insert, [ATTEMPTS.row(a, 1, order.order_id) for a in order.attempts]),
        (HOLDS.insert, [HOLDS.row(h, 1, order.order_id) for h in order.holds]),
        (OPERATIONS.insert, [OPERATIONS.row(o, 1) for o in order.operations]),
    ]
    for insert, values in written:
        if values:
            assert all(isinstance(array, tuple(ARRAYS.values())) for array in insert.batch.arrays(values))
            for row in values:
                storable(row)


def storable(values: Iterable[Any]) -> None:
    """Hold text to what PostgreSQL stores, and times to those that have a zone."""
    for value in values:
        if isinstance(value, str):
            assert "\0" not in value
            value.encode()
        if isinstance(value, datetime):
            assert value.tzinfo is not None
