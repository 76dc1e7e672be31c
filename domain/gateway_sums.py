"""What of one payment is back at the gateway, beside what our books have of it. Amounts in minor units.

A call of ours that finds money given back books all that is back there, as one sum. So the books may have a refund of
somebody else without a row of its own.
"""

from datetime import datetime
from typing import Final

from domain.closing import ELSEWHERE, FAILED_LATER, IN_BOOKS
from domain.news import LAG_MAX, SeenRefund, TransactionNews
from domain.operation import Operation, OperationKind, OperationState
from domain.order import Attempt, Order
from domain.values import replace
from domain.ways_out import OUTSIDE

FOREIGN: Final = "gateway_told"
"""The reaction of rows of refunds of somebody else: the name of no consumer, for nobody settles them."""
NOT_THERE: Final = "not_at_gateway"
"""The reason by which a refund has failed that our books have, and the gateway does not."""


def unbooked_minor(order: Order, attempt: Attempt, news: TransactionNews) -> int:
    """Return how much is back at the gateway, of what was captured, and not in our books. Below 0: the books have more.

    order: with its closed operations. What an operator paid back past the gateway is in our books, and the gateway has
    it still. Refunds of ours that succeeded there and have no outcome here yet are booked by their own answers. One
    that failed there after it had succeeded is in our books until we hear of it. One that a person named while it was
    pending there is in our books already.
    """
    outside = outside_minor(order, attempt.number)
    unheard = {str(o.operation_id) for o in order.operations if o.unfinished}
    ours = sum(r.amount_minor for r in news.refunds if r.state == "succeeded" and r.operation_id in unheard)
    named = {o.reference for o in order.operations if o.state is OperationState.APPROVED}
    coming = sum(r.amount_minor for r in news.refunds if r.state == "pending" and r.refund_id in named)
    back = min(news.returned_minor - ours + coming, attempt.captured_minor)
    stale = sum(o.amount_minor for o in failed_unheard(order, news))
    return back - (attempt.refunded_minor - outside - stale)


def outside_minor(order: Order, number: int) -> int:
    """Return what an operator paid back past the gateway, of the attempt of this number.

    order: with its closed operations.
    """
    return sum(
        o.amount_minor
        for o in order.operations
        if (o.attempt, o.kind, o.state) == (number, OperationKind.REFUND, OperationState.APPROVED)
        and o.reference is not None
        and o.reference.startswith(OUTSIDE)
    )


def is_behind(
    order: Order,
    attempt: Attempt,
    news: TransactionNews,
    named: str | None = None,
    asked_at: datetime | None = None,
) -> bool:
    """Whether the gateway said this before a refund was made, or failed, that the books have so by now.

    Somebody else's refund is in the books by its row, or in a sum that a call of ours found. Sums of the two cannot be
    compared then: ask the gateway again. We ask without a lock on the order, so refunds of ours may be sent and booked
    between the answer and its booking. order: with its closed operations. named: a refund that a person says was made
    after all, though the books have it as refused. asked_at: when the gateway was asked. What has ended LAG_MAX before
    is in every answer: from then on a difference is one of the books, and not of the time.
    """
    seen = {refund.refund_id: refund for refund in news.refunds}
    booked = {o.reference for o in order.operations if o.state is OperationState.APPROVED} | {named}
    # A refund that failed at once has left no id with its call.
    made = {r.operation_id: r for r in news.refunds if r.operation_id and r.refund_id not in booked}
    return any(
        _is_ahead(o, made.get(str(o.operation_id)) if o.reference is None else seen.get(o.reference))
        for o in order.operations
        if (o.attempt, o.kind) == (attempt.number, OperationKind.REFUND) and not _ended_before(o, asked_at)
    )


def _ended_before(operation: Operation, asked_at: datetime | None) -> bool:
    """Whether the operation had ended for so long, when the gateway was asked, that every answer has it."""
    ended = operation.settled_at
    return asked_at is not None and ended is not None and ended <= asked_at - LAG_MAX


def found_others(call: Operation) -> bool:
    """Whether the call found refunds of somebody else, and booked or met their sum."""
    return call.reaction != FOREIGN and ((call.detail or "").startswith(ELSEWHERE) or call.detail == IN_BOOKS)


def stands_for(operation: Operation, refund_id: str) -> bool:
    """Whether the books have the refund by this operation: as its own, or in the sum that it found."""
    over = operation.state in {OperationState.DECLINED, OperationState.NOT_EXECUTED}
    return operation.reference == refund_id and (not over or found_others(operation))


def _is_ahead(known: Operation, seen: SeenRefund | None) -> bool:
    """Whether our books have more of this refund than the gateway said of it."""
    if known.state is OperationState.APPROVED:
        return seen is None and known.reference is not None and not known.reference.startswith(OUTSIDE)
    if found_others(known):
        return seen is None or seen.state == "pending"
    if known.state is not OperationState.DECLINED or seen is None or seen.state != "succeeded":
        return False
    # A ruling's call may have somebody else's id, too. Unless that failed later, it must be ours by its operation.
    taken_back = known.reaction == FOREIGN or (known.detail or "").startswith(FAILED_LATER)
    return taken_back or seen.operation_id == str(known.operation_id)


def failed_unheard(order: Order, news: TransactionNews) -> list[Operation]:
    """Return the refunds with a row that the books count, and that have failed at the gateway meanwhile."""
    gone = {refund.refund_id for refund in news.refunds if refund.state == "failed"}
    return [o for o in order.operations if o.state is OperationState.APPROVED and o.reference in gone]


def found_by_call(order: Order, attempt: int) -> Operation | None:
    """Return the newest call of ours that found refunds of somebody else, and booked or met their sum."""
    refunds = [o for o in order.operations if o.kind is OperationKind.REFUND]
    own = {o.reference for o in refunds if o.state is OperationState.APPROVED}
    found = [
        o
        for o in order.operations
        if o.attempt == attempt and o.reference is not None and o.reference not in own and found_others(o)
    ]
    return max(found, key=lambda o: o.settled_at or o.opened_at, default=None)


def uncounted_minor(order: Order, attempt: Attempt, news: TransactionNews) -> int:
    """Return how much of a refund of somebody else, which a call of ours had found, the books do not count.

    The sum that the call found had no more of a refund of ours that had failed, while the books had it still: its
    failure must not be taken off that sum. What nobody has heard of yet has its own facts.
    """
    named = {o.reference for o in order.operations}
    unseen = sum(r.amount_minor for r in foreign(order, news) if r.state == "succeeded" and r.refund_id not in named)
    return max(unbooked_minor(order, attempt, news) - unseen, 0)


def foreign(order: Order, news: TransactionNews) -> list[SeenRefund]:
    """Return the refunds that no call of ours stands for. order: with its closed operations."""
    return [refund for refund in news.refunds if is_foreign(order, refund, news)]


def is_foreign(order: Order, refund: SeenRefund, news: TransactionNews) -> bool:
    """Whether no call of ours stands for the refund: somebody else made it, or a copy of a call that had ended.

    Such a copy was under way for long, or was sent by a process that was frozen. By then its call had been refused, had
    been sent again as another try, or a person had named another refund in its place.
    """
    if refund.operation_id is None:
        return True
    for o in order.operations:
        if o.reference == refund.refund_id and o.state is OperationState.APPROVED:
            return o.reaction == FOREIGN
    maker = next((o for o in order.operations if str(o.operation_id) == refund.operation_id), None)
    if maker is None or maker.unfinished or refund.state == "failed":
        return False  # one that we do not know any more is not ours to book: `reconcile` shows it
    if maker.state is not OperationState.APPROVED:
        return True
    other = maker.reference
    return other is not None and (other.startswith(OUTSIDE) or any(r.refund_id == other for r in news.refunds))


def with_missing(order: Order, news: TransactionNews, asked_at: datetime | None) -> TransactionNews:
    """Return the news with each refund, as failed, that our books have and the gateway has not had for LAG_MAX.

    A person may have named it while nobody could ask the gateway. order: with its closed operations. asked_at: when the
    gateway was asked; None: not known, then nothing is missing.
    """
    there = {refund.refund_id for refund in news.refunds}
    made = {refund.operation_id for refund in news.refunds if refund.state != "failed"}
    missing = tuple(
        SeenRefund(
            refund_id=o.reference,
            operation_id=None if o.reaction == FOREIGN else str(o.operation_id),
            state="failed",
            amount_minor=o.amount_minor,
            currency=o.currency,
            reason=NOT_THERE,
        )
        for o in order.operations
        if (o.kind, o.state, o.transaction_id) == (OperationKind.REFUND, OperationState.APPROVED, news.transaction_id)
        and o.reference is not None
        and not o.reference.startswith(OUTSIDE)
        and o.reference not in there
        and str(o.operation_id) not in made
        and _ended_before(o, asked_at)
    )
    return replace(news, refunds=news.refunds + missing) if missing else news
