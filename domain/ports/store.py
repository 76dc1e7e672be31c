"""The database, as the runtime sees it: one transaction per batch, and each statement for the whole batch."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Literal, NamedTuple, Protocol

from domain.dead_letter import DeadLetter
from domain.decision import Adjustment, Notification
from domain.disputing import KnownDispute
from domain.early import EarlyMessage
from domain.errors import Busy
from domain.ids import OperationId, OrderId
from domain.operation import Operation, OperationState
from domain.order import Order
from domain.ports.locks import Locks
from domain.ports.source import Passed
from domain.ports.stock_work import StockWork
from domain.ports.upkeep import InboxUpkeep
from domain.tracing import Trace
from domain.values import Value
from schemas.events import Event, OwnEvent


@dataclass(frozen=True, slots=True)
class Resolution:
    """The record of an operator's ruling on an order under review."""

    order_id: OrderId
    review_reason: str
    word: str
    reference: str | None
    reason: str
    by: str


class SetAside(NamedTuple):
    """Work that raised an error and is no message: it waits for an operator.

    kind: "operation": a call or its answer raised; "order": the sweep of an order raised. detail: the error's type and
    text. trace: where it was raised.
    """

    kind: Literal["operation", "order"]
    order_id: OrderId
    detail: str
    trace: str
    operation_id: OperationId | None = None


class Change(Value, frozen=True):
    """An order as it was loaded (None: it did not exist) and as it must be written."""

    before: Order | None
    after: Order


@dataclass(slots=True)
class Changes:
    """All that one transaction writes, except inbox rows. passed: ids of `Passed` that are applied now.

    disputes: of which order, and as they are now. adjustments: of the stock; the inventory has them made. early:
    messages to keep until their order comes. applied: numbers of early messages that need not be kept any more.
    traces: the contexts that events are sent with, by the number of the event's id; those without one are not in it.
    """

    orders: list[Change] = field(default_factory=list)
    events: list[OwnEvent] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    notifications: list[Notification] = field(default_factory=list)
    resolutions: list[Resolution] = field(default_factory=list)
    passed: list[int] = field(default_factory=list)
    disputes: list[tuple[OrderId, KnownDispute]] = field(default_factory=list)
    adjustments: list[Adjustment] = field(default_factory=list)
    early: list[EarlyMessage] = field(default_factory=list)
    applied: list[int] = field(default_factory=list)
    traces: dict[int, Trace] = field(default_factory=dict)


class Receipt(Enum):
    """What the inbox says about an event: new, known (also from earlier in the batch), or older than its retention.

    CONFLICT: its id is known, with other content.
    """

    NEW = auto()
    KNOWN = auto()
    TOO_OLD = auto()
    CONFLICT = auto()


class Entry(NamedTuple):
    """Events that a consumer group received, with the hash of what each says (domain.content.inbox_content)."""

    group: str
    events: Sequence[Event]
    contents: Sequence[int]


class Transaction(Protocol):
    """One transaction. Leaving its context commits; an exception rolls back.

    now: the database's clock, read once, with load. seen: the same of an earlier transaction of this process; None if
    there was none. began: the event loop's clock, read before that. contended: an earlier run of the same work lost a
    race; lock before reading. waiting: those of the locked orders that have work in quarantine, if that was asked for.
    early: messages that came before these orders, if that was asked for.
    """

    now: datetime
    seen: datetime | None
    began: float
    contended: bool
    waiting: frozenset[OrderId]
    early: Mapping[OrderId, Sequence[EarlyMessage]]

    async def load(
        self,
        order_ids: Sequence[OrderId],
        *,
        waiting: bool = False,
        early: bool = False,
        entry: Entry | None = None,
    ) -> dict[OrderId, Order]:
        """Lock these orders, in the order of their ids. Return those that exist, with their unfinished operations.

        early: also lock and read the messages that came before them. entry: what `receive` will be asked for next. Its
        rows are written behind the locks, in the same round trip.
        """
        ...

    async def hold(self, order_ids: Sequence[OrderId]) -> None:
        """Lock these orders and find those with work in quarantine. Do not load them: loading may be what raised.

        Until this transaction ends no other one can put anything in quarantine.
        """
        ...

    async def receive(self, entry: Entry) -> Sequence[Receipt]:
        """Write the inbox rows; return a receipt for each event, in the same order.

        A known id with another hash is a conflict. Raises Contended if load has entered other events.
        """
        ...

    async def save(self, changes: Changes) -> Sequence[DeadLetter]:
        """Write all changes; the commit wakes the relay. Return the dead letters that are new.

        Raises Contended on a lost race.
        """
        ...

    async def set_aside(self, work: SetAside) -> int | None:
        """Put this work in quarantine. Return its number there; None if the work is done or gone already."""
        ...

    async def quarantined_lately(self) -> int:
        """Return how much work came into quarantine in the last ten minutes, from all processes and this transaction.

        Work that only waits behind other work does not count.
        """
        ...

    async def states(
        self, operations: Sequence[tuple[OrderId, OperationId]]
    ) -> dict[OperationId, tuple[OperationState, str | None]]:
        """Return state and detail of these operations, finished or not."""
        ...

    async def history(self, order_id: OrderId) -> Sequence[Operation]:
        """Return all operations of this order, also finished ones, oldest first."""
        ...

    async def disputes(self, order_id: OrderId) -> Sequence[KnownDispute]:
        """Return the disputes of this order, oldest first."""
        ...

    async def unchanged(self, order_ids: Sequence[OrderId], for_s: float) -> set[OrderId]:
        """Return those of these loaded orders that nobody has changed for so long."""
        ...

    async def look_later(self, numbers: Sequence[int]) -> None:
        """Look at these early messages again later, when they are given up at the latest."""
        ...

    async def send_again(self, order_ids: Sequence[OrderId]) -> None:
        """Put every event of these orders into the outbox again, with the same ids and bytes."""
        ...

    async def send_unseen(self, group: str, event_type: str) -> int:
        """Put every event of this type that the group has not processed into the outbox again; return how many.

        They keep their ids and bytes. Only events within the retention of the inbox, which finds repetitions.
        """
        ...

    def at_end(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run this last in the transaction, after save, so that its locks are held for the shortest time."""
        ...


class Claimed(Value, frozen=True):
    """An operation under a new lease. token: of its attempt, for an authorize.

    until: the end of the lease by the event loop's clock. It is counted from before the transaction, so it is never
    later than the end by the database's clock (due_at).
    """

    operation: Operation
    token: str | None
    until: float


class Store(StockWork, Protocol):
    """Transactions for the runtime, and the work that the sweep looks for.

    Raises DownForEverybody if the database does not answer. Then the whole work can be repeated.
    """

    def transaction(self, *, contended: bool = False) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction."""
        ...

    async def claim_due(self, limit: int, lease_s: float) -> Sequence[Claimed]:
        """Claim operations whose due time or lease has passed; skip those that others are claiming."""
        ...

    async def give_back(self, operations: Sequence[Operation]) -> None:
        """End the leases of these claimed operations: the next sweep of any process may claim them at once.

        An operation that another process has claimed since keeps its lease.
        """
        ...

    async def lapsed_holds(self, limit: int) -> Sequence[OrderId]:
        """Return orders with a hold that has expired and is not pinned."""
        ...

    async def maintain(self) -> InboxUpkeep:
        """Make inbox partitions for coming days, drop those past their retention. A failed step is no error."""
        ...

    async def end_frozen(self, unmoved_s: float) -> int:
        """End sessions of this module that have stood still in a transaction for so long; return how many."""
        ...

    async def locks(self, order_ids: Sequence[OrderId]) -> Locks:
        """Return who holds tables of ours now, or else rows that these orders need. Never waits.

        From then on transactions wait for locks for a short time only, unless a table is held.
        """
        ...

    async def with_holder(self, busy: Busy) -> Busy:
        """Return the error with who holds the row that was waited for, or with the word that nobody can tell."""
        ...

    async def early_orders(self, limit: int) -> Sequence[OrderId]:
        """Return orders, existing or not, whose early messages are to be looked at."""
        ...

    async def stuck_orders(self, unchanged_s: float, limit: int) -> Sequence[OrderId]:
        """Go on with the search; return orders that are not final, have nothing open and have not changed for so long.

        Another process may have changed them since: call `unchanged` under their locks.
        """
        ...

    async def unapproved_orders(self, noted_s: float, limit: int) -> Sequence[OrderId]:
        """Return orders with a request that has waited so long for a second person."""
        ...

    async def delayed_orders(self, open_s: float, limit: int) -> Sequence[OrderId]:
        """Return orders that are not final, with an operation unfinished for so long, and a customer not notified yet.

        Refunds and releases do not count.
        """
        ...

    async def passed(self, group: str, topic: str, topic_id: str, partition: int, offset: int) -> Passed | None:
        """Return an operator's order to pass over this offset; preferably one that is not applied yet.

        topic_id: an order for another topic of this name does not count. Empty if brokers have no ids of topics.
        """
        ...

    async def has_letter(self, letter: DeadLetter) -> bool:
        """Whether this dead letter is stored already."""
        ...
