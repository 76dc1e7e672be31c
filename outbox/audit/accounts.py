"""What is compared with the gateway: one order as our books have it, and what the gateway has of it."""

from collections.abc import Sequence
from typing import NamedTuple

from domain.ports.gateway import LedgerEntry, RefundState


class OurAttempt(NamedTuple):
    """One attempt in our books, amounts in minor units. refund_id: of the last refund.

    listed: whether the gateway's record reaches back to it. If not, that it lacks the transaction says nothing.
    """

    attempt: int
    transaction_id: str | None
    authorized: int
    captured: int
    refunded: int
    voided: bool
    refund_id: str | None = None
    listed: bool = True


class OurRefund(NamedTuple):
    """One refund operation of the order. reference: the refund's id at the gateway. unfinished: it has no outcome."""

    operation_id: str
    transaction_id: str | None
    reference: str | None
    approved: bool
    unfinished: bool


class OurOrder(NamedTuple):
    """One order in our books. returning: the amount of unfinished refunds, done at the gateway or not.

    working: somebody works on it, or did since the gateway was asked. given_up: an operator must settle an operation.
    """

    order_id: str
    status: str
    currency: str
    total: int
    working: bool
    given_up: bool
    returning: int
    attempts: Sequence[OurAttempt]
    refunds: Sequence[OurRefund] = ()


class TheirRefund(NamedTuple):
    """One refund in the gateway's list."""

    refund_id: str
    transaction_id: str
    operation_id: str | None
    state: RefundState
    amount: int


class Pair(NamedTuple):
    """One order on both sides. ours: None if we do not know the order that the gateway's metadata names.

    refunds: None if the gateway's record does not list them one by one. undecided: transactions that are neither
    approved nor over.
    """

    order_id: str | None
    ours: OurOrder | None
    theirs: Sequence[LedgerEntry]
    refunds: Sequence[TheirRefund] | None = None
    undecided: frozenset[str] = frozenset()
