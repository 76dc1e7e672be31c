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
    """A message that cannot be processed, and why. (group, topic, partition, offset) and its bytes are its identity.

    key, body and headers are as they came, but for card numbers: masked says that there were some. to_offset: the last
    of a stretch of messages that nobody could read.
    """

    group: str
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    body: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    masked: bool
    reason: Reason
    detail: str
    to_offset: int | None = None


class Passed(NamedTuple):
    """An operator's word to pass over offsets up to last. applied: a consumer has done so once."""

    passed_id: int
    last: int
    reason: str
    by: str
    applied: bool


class Change(NamedTuple):
    """An order as it was loaded (None: it did not exist) and as it shall be."""

    before: Order | None
    after: Order


@dataclass(slots=True)
class Changes:
    """All that one transaction writes, beside its inbox rows. passed: ids of operators' words that are applied."""

    orders: list[Change] = field(default_factory=list)
    events: list[OwnEvent] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    notifications: list[Notification] = field(default_factory=list)
    passed: list[int] = field(default_factory=list)


class Receipt(Enum):
    """What the inbox says of an event: new, seen before (or earlier in the batch), or too old for it to remember."""

    NEW = auto()
    KNOWN = auto()
    TOO_OLD = auto()


class Transaction(Protocol):
    """One transaction. Leaving its context commits, an exception rolls back.

    now: the database's clock, read once, with load. began: the running loop's clock, before the database read its own.
    contended: an earlier run of the same work lost a race; lock before reading.
    """

    now: datetime
    began: float
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

    async def unchanged(self, order_ids: Sequence[OrderId], for_s: float) -> set[OrderId]:
        """Return those of these loaded orders that nobody has changed for so long."""
        ...

    async def send_again(self, order_ids: Sequence[OrderId]) -> None:
        """Put every event of these orders into the outbox once more: same ids, same bytes."""
        ...

    def at_end(self, work: Callable[[], Awaitable[None]]) -> None:
        """Have this done last in the transaction, after save: what it locks is locked for the shortest time."""
        ...


class Claimed(NamedTuple):
    """An operation under a new lease, and its attempt's token, which only an authorize needs.

    until: the lease's end by the running loop's clock. It lies before the end by the database's clock (due_at), for it
    is counted from before the transaction began, however long that then took.
    """

    operation: Operation
    token: str | None
    until: float


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

    async def give_back(self, operations: Sequence[Operation]) -> None:
        """End the lease of these operations, as claimed: the next sweep, of anybody, may take them at once.

        What another has claimed since stays with it.
        """
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
        """Search on for a while; return orders that are not final, have nothing open, and have not changed for so long.

        Another may have taken them up since: ask `unchanged` under their locks.
        """
        ...

    async def delayed_orders(self, open_s: float, limit: int) -> Sequence[OrderId]:
        """Return orders with a payment operation unfinished for so long, that are not final, their customers not told.

        Refunds and releases do not count.
        """
        ...

    async def passed(self, group: str, topic: str, partition: int, offset: int) -> Passed | None:
        """Return an operator's word to pass over this offset, one that is not applied yet if there is any."""
        ...

    async def has_letter(self, letter: DeadLetter) -> bool:
        """Whether this very letter is kept already."""
        ...
