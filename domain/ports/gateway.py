"""The payment gateway, as the pipeline sees it."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain.ids import OperationId, OrderId
from domain.operation import GatewayCall
from domain.outcome import GatewayOutcome
from domain.values import Value


class GatewayAnswer(Value, frozen=True):
    """What the gateway said of one operation."""

    operation_id: OperationId
    outcome: GatewayOutcome


Begin = Callable[[GatewayCall], bool]
"""Asked right before a call is sent: may it begin? From then on it counts as made."""


def at_once(_call: GatewayCall) -> bool:
    """Let every call begin."""
    return True


class Gateway(Protocol):
    """Authorize, capture, void and refund, many at a time.

    Answers come in groups, as soon as there are some and in any order; exactly one for every call that began, unless
    the iteration ends early: then the calls without an answer are open still (their idempotency key makes repeating
    safe).
    Raises DownForEverybody when the gateway refuses us altogether (401).
    Never raises for one call: a time-out, reset, 5xx or unreadable answer is the outcome Unknown; a call for which our
    key lacks a permission (403) is NotExecuted, and says so.
    Cancelling the iteration cancels the calls that run.
    """

    def perform(self, calls: Sequence[GatewayCall], begin: Begin = at_once) -> AsyncIterator[Sequence[GatewayAnswer]]:
        """Do what the calls ask. Safe to repeat: the gateway replays the first answer of a key.

        begin is asked before each call, behind any queue of the adapter's own; what may not begin is not sent and has
        no answer.
        """
        ...

    def look_up(self, calls: Sequence[GatewayCall]) -> AsyncIterator[Sequence[GatewayAnswer]]:
        """Ask what became of the calls, changing nothing; NotFound when there is no trace of it."""
        ...

    async def close(self) -> None:
        """Give up connections."""
        ...


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing that truly happened at the gateway. kind: authorize, capture, cancel or refund."""

    kind: str
    key: str
    at: datetime
    amount_minor: int


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One transaction as the gateway has it, amounts in ISO minor units; operation_id is the authorize operation's."""

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
    """The gateway's own books, for the audit."""

    async def entries(self) -> Sequence[LedgerEntry]:
        """Return every transaction. Raises Transient when the gateway does not answer."""
        ...


class GatewayReferences(Protocol):
    """What the gateway knows of an id that an operator gives."""

    async def order_of(self, reference: str) -> str | None:
        """Return the order that a transaction, or that of a refund, says it is of; "" if it names none.

        None: the gateway has nothing of this id. Raises Transient when it does not say.
        """
        ...
