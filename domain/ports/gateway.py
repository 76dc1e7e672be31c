"""The payment gateway, as the pipeline sees it."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain.ids import OperationId, OrderId
from domain.operation import GatewayCall
from domain.outcome import GatewayOutcome
from domain.told import RefundFailure
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

    def failed_refunds(self, since: datetime) -> AsyncIterator[Sequence[RefundFailure]]:
        """List refunds of ours that were made since then and have failed, in groups.

        Stripe may fail a refund weeks after it succeeded. Raises Transient if the gateway does not answer.
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


class GatewayLedger(Protocol):
    """The gateway's own record of money, for the audit."""

    async def entries(self) -> Sequence[LedgerEntry]:
        """Return every transaction. Raises Transient if the gateway does not answer."""
        ...


class GatewayReferences(Protocol):
    """What the gateway knows of an id that an operator enters."""

    async def order_of(self, reference: str) -> str | None:
        """Return the order id of a transaction, or of a refund's transaction; "" if it has none.

        None: the gateway knows no such id. Raises Transient if the gateway does not answer.
        """
        ...
