"""The form of the rows about what the gateway tells unasked: a fact, a condition, a step.

The first row that fits is taken. A step returns a decision, or WAITS: something else is under way for the order, whose
end comes first; the fact is heard again later. So every step may be repeated: what is in the books has no effect.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple, TypeVar

from domain.decision import NOTHING, Decision
from domain.disputing import KnownDispute
from domain.gateway_sums import foreign, is_foreign, with_missing
from domain.news import Dispute, RefundFailure, SeenRefund, TransactionNews
from domain.operation import Operation, OperationKind
from domain.order import Attempt, Order, Status
from domain.rules import Context
from domain.values import Value, replace

AT_REST: Final = frozenset({Status.PAYMENT_FAILED, Status.PAID_AND_CONFIRMED, Status.CANCELLED})
WAITS: Final = None


class ForeignRefund(Value, frozen=True):
    """A refund that somebody else made, in the gateway's dashboard for example, and the transaction that it is of."""

    refund: SeenRefund
    news: TransactionNews


class FraudWarning(Value, frozen=True):
    """The issuer warns that the payment may be fraud. No money has moved."""


Fact = Dispute | RefundFailure | ForeignRefund | TransactionNews | FraudWarning
"""What may be told. TransactionNews as a fact: where the transaction's money is."""
AFact = TypeVar("AFact", bound=Fact)


class Hearing(Value, frozen=True):
    """An order, and a fact about it. order: with its closed operations, which loading leaves out.

    attempt: the one that the transaction is of, None if no attempt has it. disputes: those that we know. asked_at: when
    the gateway was asked, by the database's clock.
    """

    order: Order
    fact: Fact
    context: Context
    attempt: Attempt | None = None
    disputes: tuple[KnownDispute, ...] = ()
    asked_at: datetime | None = None

    def fact_as(self, kind: type[AFact]) -> AFact:
        """Return the fact. Only in rows of its type."""
        assert isinstance(self.fact, kind)
        return self.fact

    @property
    def attempt_there(self) -> Attempt:
        """Return the attempt. Only in rows behind those for a transaction that no attempt has."""
        assert self.attempt is not None
        return self.attempt


class Told(NamedTuple):
    """A row: such a fact, if the condition holds, leads to this step."""

    fact: type[Fact]
    condition: Callable[[Hearing], bool]
    step: Callable[[Hearing], Decision | None]


def hear(rows: Sequence[Told], hearing: Hearing) -> Decision | None:
    """Decide by the first row that fits. None: it waits."""
    for row in rows:
        if isinstance(hearing.fact, row.fact) and row.condition(hearing):
            return row.step(hearing)
    return NOTHING


def facts_of(order: Order, news: TransactionNews, asked_at: datetime | None, *, warned: bool) -> Iterator[Fact]:
    """Yield what the gateway says of a transaction, one fact at a time: money comes before the refunds of it.

    A refund that our books have, and that the gateway has not had for long, has failed. order: with its closed
    operations. asked_at: when the gateway was asked. warned: it has told of a fraud warning.
    """
    news = with_missing(order, news, asked_at)
    yield from news.disputes
    if warned:
        yield FraudWarning()
    for refund in news.refunds:
        if refund.state == "failed" and refund.operation_id is not None and not is_foreign(order, refund, news):
            fields = refund.operation_id, refund.refund_id, refund.amount_minor, refund.reason
            yield RefundFailure(order.order_id, *fields, news)
    yield news
    for refund in foreign(order, news):
        yield ForeignRefund(refund, news)


def attempt_of(order: Order, transaction_id: str, operation_id: str | None) -> Attempt | None:
    """Return the attempt that a transaction is of; None if it is of none.

    If the answer of the authorization never came, the attempt does not know its transaction: then the operation's id
    leads to it, and it is returned with the transaction.
    """
    for attempt in order.attempts:
        if attempt.transaction_id == transaction_id:
            return attempt
    for operation in order.operations:
        if operation.kind is OperationKind.AUTHORIZE and str(operation.operation_id) == operation_id:
            attempt = order.attempts[operation.attempt - 1]
            return replace(attempt, transaction_id=transaction_id) if attempt.transaction_id is None else None
    return None


def with_closed(order: Order, history: Sequence[Operation]) -> Order:
    """Return the order with its closed operations: loading leaves them out."""
    for operation in history:
        if not operation.unfinished:
            order = order.with_operation(operation)
    return order


# Conditions and steps that all facts share


def always(_: Hearing) -> bool:
    """Hold for every fact."""
    return True


def under_way(hearing: Hearing) -> bool:
    """Whether something else is under way for the order. Its outcome must not be mixed with this one."""
    return hearing.order.status not in AT_REST or hearing.order.busy()


def of_no_attempt(hearing: Hearing) -> bool:
    """Whether no attempt has the transaction."""
    return hearing.attempt is None


def wait(_: Hearing) -> Decision | None:
    """Hear it again later. After a day an operator is told."""
    return WAITS


def do_nothing(_: Hearing) -> Decision:
    """Do nothing: the books have it."""
    return NOTHING
