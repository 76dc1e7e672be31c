"""What is compared with the gateway: one order as our books have it, and what the gateway has of it."""

from collections.abc import Sequence
from typing import Final, LiteralString, NamedTuple

from domain.order import Status
from domain.ports.gateway import LedgerEntry, RefundState
from domain.ways_out import OUTSIDE

PAID_OUTSIDE: Final[LiteralString] = f"""
    paid_outside AS (
      SELECT order_id, attempt, sum(amount_minor)::bigint AS outside FROM operation
       WHERE kind = 'refund' AND state = 'approved' AND starts_with(reference, '{OUTSIDE}')
       GROUP BY order_id, attempt)"""  # noqa: S608 - literals only
"""By attempt, what an operator has paid back past the gateway."""


class OurAttempt(NamedTuple):
    """One attempt in our books, amounts in minor units. refund_id: of the last refund.

    listed: whether the gateway's record reaches back to it. If not, that it lacks the transaction says nothing.
    outside: what of `refunded` was paid past the gateway, which still has that money.
    """

    attempt: int
    transaction_id: str | None
    authorized: int
    captured: int
    refunded: int
    voided: bool
    refund_id: str | None = None
    listed: bool = True
    outside: int = 0

    @property
    def returned(self) -> int:
        """What the gateway itself has given back, as far as we know."""
        return self.refunded - self.outside


class OurRefund(NamedTuple):
    """One refund operation of the order. reference: the refund's id at the gateway. unfinished: it has no outcome."""

    operation_id: str
    transaction_id: str | None
    reference: str | None
    approved: bool
    unfinished: bool


class OurOrder(NamedTuple):
    """One order in our books. returning: the amount of unfinished refunds, done at the gateway or not.

    working: somebody works on it, or did since the gateway was asked. given_up: an operator must settle it.
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

    @property
    def waits_for_operator(self) -> bool:
        """Whether an operator knows of it already. A review need not have a call: a part captured, a refund refused."""
        return self.given_up or self.status == Status.MANUAL_REVIEW


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
