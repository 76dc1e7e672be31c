"""The database, as the runtime sees it: one transaction for a whole batch, every statement over all of it."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import NamedTuple, Protocol

from domain.decision import Notification
from domain.ids import OperationId, OrderId
from domain.operation import OperationState
from domain.order import Operation, Order
from schemas.events import Event, OwnEvent
from schemas.rejection import Reason


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that cannot be processed, and why. (group, topic, partition, offset) is its identity.

    key, body and headers are as they came, but for card numbers: masked says that there were some.
    """

    group: str
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    body: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    masked: bool
    reason: Reason
    detail: str


class Change(NamedTuple):
    """An order as it was loaded (None: it did not exist) and as it shall be."""

    before: Order | None
    after: Order


@dataclass(slots=True)
class Changes:
    """All that one transaction writes, beside its inbox rows."""

    orders: list[Change] = field(default_factory=list)
    events: list[OwnEvent] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    notifications: list[Notification] = field(default_factory=list)


class Receipt(Enum):
    """What the inbox says of an event: new, seen before (or earlier in the batch), or too old for it to remember."""

    NEW = auto()
    KNOWN = auto()
    TOO_OLD = auto()


class Transaction(Protocol):
    """One transaction. Leaving its context commits, an exception rolls back.

    now: the database's clock, read once, with load. contended: an earlier run of the same work lost a race; lock
    before reading.
    """

    now: datetime
    contended: bool

    async def load(self, order_ids: Sequence[OrderId]) -> dict[OrderId, Order]:
        """Lock these orders, in the order of their ids, and return those that exist, with unfinished operations."""
        ...

    async def receive(self, group: str, events: Sequence[Event]) -> Sequence[Receipt]:
        """Write the inbox rows of this consumer group; say of each event, in the same order, what it is."""
        ...

    async def save(self, changes: Changes) -> None:
        """Write everything, and wake the relay once the transaction has committed. Raises Contended on a lost race."""
        ...

    async def states(self, operations: Sequence[tuple[OrderId, OperationId]]) -> dict[OperationId, OperationState]:
        """Return the states of these operations, finished or not."""
        ...

    async def send_again(self, order_ids: Sequence[OrderId]) -> None:
        """Put every event of these orders into the outbox once more: same ids, same bytes."""
        ...

    def at_end(self, work: Callable[[], Awaitable[None]]) -> None:
        """Have this done last in the transaction, after save: what it locks is locked for the shortest time."""
        ...


class Claimed(NamedTuple):
    """An operation under a new lease, and its attempt's token, which only an authorize needs."""

    operation: Operation
    token: str | None


class InboxUpkeep(NamedTuple):
    """What an upkeep of the inbox's days did. ahead: days in a row after today that are there; -1: not even today.

    undone: what could not be done now, and why, a line each. The next upkeep tries again.
    """

    made: int
    dropped: int
    ahead: int
    undone: tuple[str, ...] = ()


class Store(Protocol):
    """Transactions for the runtime, and the work that the sweep looks for.

    Raises DownForEverybody when the database does not answer; the work can be repeated as a whole.
    """

    def transaction(self, *, contended: bool = False, few: bool = False) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction. few: it is of so few orders that round trips cost more than anything else."""
        ...

    async def claim_due(self, limit: int, lease_s: float) -> Sequence[Claimed]:
        """Take operations whose due time or lease has passed under a new lease, skipping what others are taking."""
        ...

    async def give_back(self, operations: Sequence[tuple[OrderId, OperationId]]) -> None:
        """End the lease of these operations: the next sweep, of anybody, may take them at once."""
        ...

    async def lapsed_holds(self, limit: int) -> Sequence[OrderId]:
        """Return orders with a hold that has expired and is not pinned."""
        ...

    async def maintain(self) -> InboxUpkeep:
        """Make inbox partitions ahead of time, drop those past their retention. What cannot be done is no error."""
        ...

    async def end_frozen(self, unmoved_s: float) -> int:
        """End sessions of this module whose process has stood still for so long amid a transaction; say how many."""
        ...

    async def stuck_orders(self, unchanged_s: float, limit: int) -> Sequence[OrderId]:
        """Return orders that are not final, have nothing open, and have not changed for so long."""
        ...
