"""The database, as the runtime sees it: one transaction for a whole batch, every statement over all of it."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Literal, NamedTuple, Protocol

from domain.decision import Notification
from domain.ids import EventId, OperationId, OrderId
from domain.operation import Operation, OperationState
from domain.order import Order
from domain.ports.locks import Locks
from domain.values import Value
from schemas.events import Event, OwnEvent
from schemas.rejection import Reason


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that cannot be processed, and why. (group, topic, partition, offset) and its bytes are its identity.

    key, body and headers are as they came, but for card numbers: masked says that there were some. to_offset: the last
    of a stretch of messages that nobody could read. event_id, order_id: where they can be read. own_inbox: the event's
    row in the inbox is this message's. waits: it is in quarantine, and later messages of its order wait behind it;
    behind: it is one of those. number: once it is kept, what `payments dlq` calls it.
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
    event_id: EventId | None = None
    order_id: OrderId | None = None
    own_inbox: bool = False
    waits: bool = False
    behind: bool = False
    number: int | None = None


class Passed(NamedTuple):
    """An operator's word to pass over offsets, first and last included. applied: a consumer has done so once."""

    passed_id: int
    first: int
    last: int
    reason: str
    by: str
    applied: bool


@dataclass(frozen=True, slots=True)
class Resolution:
    """What an operator said of an order under review, for the record."""

    order_id: OrderId
    review_reason: str
    word: str
    reference: str | None
    reason: str
    by: str


class SetAside(NamedTuple):
    """Work that raised here and has no place on a topic: it waits for an operator. kind says what it is.

    operation: an answer, or a call, raised; order: the sweep did. detail: the error's type and words. trace: where it
    was raised.
    """

    kind: Literal["operation", "order"]
    order_id: OrderId
    detail: str
    trace: str
    operation_id: OperationId | None = None


class Change(Value, frozen=True):
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
    resolutions: list[Resolution] = field(default_factory=list)
    passed: list[int] = field(default_factory=list)


class Receipt(Enum):
    """What the inbox says of an event: new, seen before (or earlier in the batch), or too old for it to remember.

    CONFLICT: its id was seen before, with other content.
    """

    NEW = auto()
    KNOWN = auto()
    TOO_OLD = auto()
    CONFLICT = auto()


class Transaction(Protocol):
    """One transaction. Leaving its context commits, an exception rolls back.

    now: the database's clock, read once, with load. began: the running loop's clock, before the database read its own.
    contended: an earlier run of the same work lost a race; lock before reading. waiting: of the orders that were
    locked, those that wait in quarantine, if that was asked for.
    """

    now: datetime
    began: float
    contended: bool
    waiting: frozenset[OrderId]

    async def load(self, order_ids: Sequence[OrderId], *, waiting: bool = False) -> dict[OrderId, Order]:
        """Lock these orders, in the order of their ids, and return those that exist, with unfinished operations."""
        ...

    async def hold(self, order_ids: Sequence[OrderId]) -> None:
        """Lock these orders and see which wait in quarantine; read none, for that may be what raised.

        Until it ends this transaction is the only one that puts anything in quarantine.
        """
        ...

    async def receive(self, group: str, events: Sequence[Event], contents: Sequence[int]) -> Sequence[Receipt]:
        """Write the inbox rows of this consumer group; say of each event, in the same order, what it is.

        contents: what each event says (domain.content.inbox_content): another event under a known id is no repetition.
        """
        ...

    async def save(self, changes: Changes) -> Sequence[DeadLetter]:
        """Write everything, and wake the relay once the transaction has committed; return the letters that are new.

        Raises Contended on a lost race.
        """
        ...

    async def set_aside(self, work: SetAside) -> int | None:
        """Put this work in quarantine: return its number there, None if nothing is left to be put there."""
        ...

    async def quarantined_lately(self) -> int:
        """Return how much came into quarantine in the last ten minutes, from all processes and from this transaction.

        What waits behind others does not count.
        """
        ...

    async def states(self, operations: Sequence[tuple[OrderId, OperationId]]) -> dict[OperationId, OperationState]:
        """Return the states of these operations, finished or not."""
        ...

    async def history(self, order_id: OrderId) -> Sequence[Operation]:
        """Return all operations of this order, finished ones included, in the order of their opening."""
        ...

    async def unchanged(self, order_ids: Sequence[OrderId], for_s: float) -> set[OrderId]:
        """Return those of these loaded orders that nobody has changed for so long."""
        ...

    async def send_again(self, order_ids: Sequence[OrderId]) -> None:
        """Put every event of these orders into the outbox once more: same ids, same bytes."""
        ...

    async def send_unseen(self, group: str, event_type: str) -> int:
        """Put every event of this type that the group has not processed into the outbox once more.

        Only those that the inbox could tell from repetitions: same ids, same bytes. Return how many.
        """
        ...

    def at_end(self, work: Callable[[], Awaitable[None]]) -> None:
        """Have this done last in the transaction, after save: what it locks is locked for the shortest time."""
        ...


class Claimed(Value, frozen=True):
    """An operation under a new lease, and its attempt's token, which only an authorize needs.

    until: the lease's end by the running loop's clock. It lies before the end by the database's clock (due_at), for it
    is counted from before the transaction began, however long that then took.
    """

    operation: Operation
    token: str | None
    until: float


class InboxUpkeep(NamedTuple):
    """What an upkeep of the inbox's days did. ahead: days in a row after today that are there; -1: not even today.

    undone: what could not be done now, and why, a line each. The next upkeep tries again. strange: partitions that are
    named like a day, and are none or not that one.
    """

    made: int
    dropped: int
    ahead: int
    undone: tuple[str, ...] = ()
    strange: tuple[str, ...] = ()


class Store(Protocol):
    """Transactions for the runtime, and the work that the sweep looks for.

    Raises DownForEverybody when the database does not answer; the work can be repeated as a whole.
    """

    def transaction(self, *, contended: bool = False) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction."""
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

    async def locks(self, order_ids: Sequence[OrderId]) -> Locks:
        """Say who holds, at this moment, tables of ours, or else rows that these orders need. It waits for nobody.

        Transactions wait for locks for a short time only from then on, unless a table is held.
        """
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

    async def passed(self, group: str, topic: str, topic_id: str, partition: int, offset: int) -> Passed | None:
        """Return an operator's word to pass over this offset, one that is not applied yet if there is any.

        topic_id: a word about another topic of this name does not count; empty where brokers do not say.
        """
        ...

    async def has_letter(self, letter: DeadLetter) -> bool:
        """Whether this very letter is kept already."""
        ...
