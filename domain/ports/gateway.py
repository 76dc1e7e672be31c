"""The payment gateway, as the pipeline sees it."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from domain.ids import OperationId, OrderId
from domain.news import Dispute, RefundFailure, TransactionNews
from domain.notices import Notice
from domain.operation import GatewayCall
from domain.outcome import GatewayOutcome
from domain.values import Value


class GatewayAnswer(Value, frozen=True):
    """The gateway's answer about one operation.

    request_id: the gateway's id of the last request about it that was answered at all, refusals and look-ups included.
    """

    operation_id: OperationId
    outcome: GatewayOutcome
    request_id: str | None = None


Begin = Callable[[GatewayCall], bool]
"""Called right before a call is sent. True: send it, and from then on it counts as made."""


def at_once(_call: GatewayCall) -> bool:
    """Let every call begin."""
    return True


class Gateway(Protocol):
    """Authorizes, captures, voids and refunds, many calls at a time.

    Answers come in groups, in any order, as soon as there are some: exactly one for each call that began. If the
    iteration ends early, calls without an answer are still open; their idempotency key makes it safe to repeat them.
    Raises DownForEverybody if the gateway refuses all our calls (401).
    Never raises for one call. A time-out, reset, 5xx or unreadable answer is the outcome Unknown. A call for which our
    key lacks a permission (403) is NotExecuted with forbidden=True.
    Cancelling the iteration cancels the running calls.
    """

    def perform(self, calls: Sequence[GatewayCall], begin: Begin = at_once) -> AsyncIterator[Sequence[GatewayAnswer]]:
        """Make the calls. Safe to repeat: the gateway replays the first answer of a key.

        begin is called right before each call is sent, after any queue of the adapter. If it returns False, the call
        is not sent and has no answer.
        """
        ...

    def look_up(self, calls: Sequence[GatewayCall]) -> AsyncIterator[Sequence[GatewayAnswer]]:
        """Ask what became of the calls. Changes nothing. NotFound: the gateway knows nothing of a call."""
        ...

    def late_refunds(self, since: datetime) -> AsyncIterator[Sequence[RefundFailure | Notice]]:
        """List what refunds that were made since then may have changed without us, in groups.

        That is: refunds of ours that have failed, for Stripe may fail one weeks after it succeeded; and a notice about
        each refund of somebody else that is not pending, always the same one. Raises Transient if the gateway does not
        answer.
        """
        ...

    async def news_of(self, transaction_id: str, *, with_disputes: bool) -> TransactionNews | None:
        """Say all about one transaction: its money, its refunds, and its disputes if they are asked for.

        None: the gateway does not have it. Changes nothing. Raises Transient if the gateway does not answer.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing that happened at the gateway. kind: authorize, capture, cancel or refund."""

    kind: str
    key: str
    at: datetime
    amount_minor: int


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One transaction in the gateway's ledger. Amounts are in ISO minor units. operation_id: of the authorize."""

    transaction_id: str
    order_id: OrderId | None
    operation_id: str | None
    status: str
    currency: str
    amount_minor: int
    captured_minor: int
    refunded_minor: int
    effects: tuple[Effect, ...]

    @property
    def authorized_minor(self) -> int:
        """What was approved, captured and cancelled amounts included."""
        return sum(effect.amount_minor for effect in self.effects if effect.kind == "authorize")

    @property
    def held_minor(self) -> int:
        """What is approved, and neither captured nor cancelled."""
        kinds = {effect.kind for effect in self.effects}
        return self.amount_minor if "authorize" in kinds and not kinds & {"capture", "cancel"} else 0

    @property
    def kept_minor(self) -> int:
        """What was captured and not given back."""
        return self.captured_minor - self.refunded_minor


class GatewayLedger(Protocol):
    """The gateway's own record of money, with every effect and its key, for the audit."""

    async def entries(self) -> Sequence[LedgerEntry]:
        """Return every transaction. Raises Transient if the gateway does not answer."""
        ...


@dataclass(frozen=True, slots=True)
class ListedTransaction:
    """One transaction in the gateway's list: its state now, in ISO minor units. Effects and keys are not shown.

    operation_id, order_id: from its metadata; None if it has none. authorized_minor: what was approved, also if it was
    captured or cancelled since. undecided: neither approved nor over. status: the gateway's word.
    """

    transaction_id: str
    order_id: str | None
    operation_id: str | None
    status: str
    currency: str
    amount_minor: int
    authorized_minor: int
    captured_minor: int
    cancelled: bool
    undecided: bool
    created_at: datetime


class RefundState(StrEnum):
    """Where a refund at the gateway stands."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ListedRefund:
    """One refund in the gateway's list, in ISO minor units. operation_id, order_id: as in ListedTransaction."""

    refund_id: str
    transaction_id: str | None
    order_id: str | None
    operation_id: str | None
    state: RefundState
    currency: str
    amount_minor: int
    created_at: datetime


class GatewayLists(Protocol):
    """The gateway's lists, in pages, the newest first. They may be long, so nobody keeps them in memory.

    The iterations raise Transient if the gateway does not answer.
    """

    def transactions(self, since: datetime) -> AsyncIterator[Sequence[ListedTransaction]]:
        """Return all transactions that were made since then, those of others on the same account included."""
        ...

    def refunds(self, since: datetime) -> AsyncIterator[Sequence[ListedRefund]]:
        """Return all refunds that were made since then, whoever made them."""
        ...

    def disputes(self, since: datetime) -> AsyncIterator[Sequence[Dispute]]:
        """Return all disputes that were opened since then, those of others on the same account included."""
        ...


class GatewayReferences(Protocol):
    """What the gateway knows of an id that an operator enters."""

    async def order_of(self, reference: str) -> str | None:
        """Return the order id of a transaction, or of a refund's transaction; "" if it has none.

        None: the gateway knows no such id. Raises Transient if the gateway does not answer.
        """
        ...

    async def news_of(self, transaction_id: str, *, with_disputes: bool) -> TransactionNews | None:
        """Say all about one transaction, as `Gateway.news_of`."""
        ...
