"""Opens, counts, postpones and gives up operations.

An order has one operation under way at a time, and beside it pending refunds and those of BESIDE_OTHERS.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from domain.lines import OrderLine
from domain.operation import (
    GATEWAY_KINDS,
    INVENTORY_KINDS,
    GatewayCall,
    Operation,
    OperationKind,
    OperationState,
    idempotency_key,
    operation_id,
)
from domain.order import Attempt, Order
from domain.outcome import (
    CustomerMustAct,
    NotExecuted,
    Outcome,
    Pending,
    TransactionMissing,
    Undecided,
    Unknown,
)
from domain.pending import AT_CUSTOMER, next_poll, waits_for_customer
from domain.requests import RequestKind
from domain.rules import Context, Rules, span
from domain.stock_calls import freeze_goods
from domain.values import replace
from domain.wording import freeze
from schemas.events import PaymentMethod

NEW: Final = timedelta(minutes=15)
"""What was asked for within this time is sent at once. We count the life of a key from the opening of its call, and an
hour shorter than the gateway keeps it: a call that was made so lately before is still known there for all that time."""
ASKED_LONG_AGO: Final = "asked for long ago: it is looked up before it is sent"


class Move(StrEnum):
    """What the owner of the lease does next for an operation."""

    PERFORM = "perform"
    LOOK_UP = "look up"


def open_operation(
    order: Order,
    context: Context,
    kind: OperationKind,
    attempt: Attempt,
    reaction: str,
    amount_minor: int,
    try_number: int = 1,
    method: PaymentMethod | None = None,
    lines: tuple[OrderLine, ...] = (),
    for_request: str | None = None,
    asked_at: datetime | None = None,
) -> Order:
    """Return the order with a new operation, under the lease of the caller's process.

    The try number is 1, so the idempotency key is the same for the life of the attempt. A higher one is right only
    after a stored, definite answer under the last one: a refusal that an operator has looked at (domain.resolving), or
    a refund of less than was asked for. method: what the customer pays with, for an authorize. lines: what is put
    back, for a restock. for_request: what somebody asked for, which it serves. asked_at: when they asked; if that is
    long ago, it is looked up before it is sent. Extensions are counted by their hold, and their try number is that
    count.
    """
    frozen = (
        freeze(kind, order, attempt, context.rules, method)
        if kind in GATEWAY_KINDS
        else freeze_goods(kind, order, context, lines)
    )
    operation = Operation(
        operation_id=operation_id(order.order_id, attempt.number, kind, try_number, for_request),
        order_id=order.order_id,
        attempt=attempt.number,
        kind=kind,
        try_number=try_number,
        reaction=reaction,
        causation_id=context.causation_id,
        amount_minor=amount_minor,
        currency=order.currency,
        opened_at=context.at,
        due_at=context.after(context.rules.lease_s),
        transaction_id=attempt.transaction_id,
        frozen=frozen,
        for_request=for_request,
    )
    return order.with_operation(_doubted(operation, asked_at, context))


def _doubted(operation: Operation, asked_at: datetime | None, context: Context) -> Operation:
    """Return a new operation as one without an answer, if it may have been made in a past that a restore has lost.

    The gateway may have forgotten its key, or forget it before we do: we count the key's life from now. Looked up and
    not found, it was not made, and its key begins to live when it is sent. An inventory of our own is restored, too.
    """
    rules = context.rules
    ours = operation.kind in INVENTORY_KINDS and not rules.inventory_elsewhere
    # A publisher's clock may be ahead by so much.
    if ours or asked_at is None or context.at - asked_at + span(rules.clock_skew_max_s) <= NEW:
        return operation
    return replace(operation, state=OperationState.UNKNOWN, unknown_since=context.at, detail=ASKED_LONG_AGO)


def next_number(order: Order, attempt: Attempt, kind: OperationKind) -> int:
    """Return a try number for a call that nobody asked for by itself: no known call of its kind has it.

    A key that has had its answer would only repeat it. Refunds on request have keys of their own: whether one is under
    way, too, must not change this key, for after a restore nobody knows that.
    """
    like = [
        o.try_number for o in order.operations if (o.attempt, o.kind, o.for_request) == (attempt.number, kind, None)
    ]
    like += [request.tries for request in order.requests if request.kind is RequestKind.CANCEL]
    return max([0, *like]) + 1


def gateway_call(operation: Operation, token: str | None) -> GatewayCall:
    """Build the call at the gateway. token: of the attempt; only an authorize carries it."""
    assert operation.kind in GATEWAY_KINDS
    return GatewayCall(
        operation_id=operation.operation_id,
        kind=operation.kind,
        idempotency_key=key_of(operation),
        order_id=operation.order_id,
        attempt=operation.attempt,
        amount_minor=operation.amount_minor,
        currency=operation.currency,
        token=token if operation.kind is OperationKind.AUTHORIZE else None,
        transaction_id=operation.transaction_id,
        reference=operation.reference,
        opened_at=operation.opened_at,
        request_format=operation.request_format,
        frozen=operation.frozen,
        trace=operation.trace,
    )


def key_of(operation: Operation) -> str:
    """Return the key under which the gateway stores this operation."""
    o = operation
    return idempotency_key(o.order_id, o.attempt, o.kind, o.try_number, o.for_request)


def key_lives(operation: Operation, at: datetime, rules: Rules) -> bool:
    """Whether the gateway surely still has the key, so that sending again cannot execute twice."""
    return at - operation.opened_at < timedelta(seconds=rules.key_life_s)


def next_move(operation: Operation, at: datetime, rules: Rules) -> Move:
    """Return what to do next: send an open operation (again, with the same key); look any other up first."""
    if operation.state is OperationState.OPEN and key_lives(operation, at, rules):
        return Move.PERFORM
    return Move.LOOK_UP


def may_send_again(operation: Operation, at: datetime, rules: Rules) -> bool:
    """Whether the same call, with the same key, may follow a look-up that found nothing.

    A pending refund exists, whatever a look-up says. A capture or a void was pending because the payment was being
    processed; if the look-up finds it untouched afterwards, the call had no effect.
    """
    pending = operation.state is OperationState.PENDING and operation.kind not in _OF_THE_PAYMENT
    return not pending and not operation.replayed and key_lives(operation, at, rules)


_OF_THE_PAYMENT: Final = frozenset({OperationKind.CAPTURE, OperationKind.VOID})


def lacks_token(operation: Operation, token: str | None) -> bool:
    """Whether its call cannot be made any more, for it needs a token that is erased. It can be looked up."""
    return operation.kind is OperationKind.AUTHORIZE and token is None


def count_answer(operation: Operation, outcome: Outcome) -> Operation:
    """Count the call that this outcome answers.

    Not counted: an answer that every call gets while the gateway is down, a call that was left to a process of a newer
    release, and polls of a pending operation.
    """
    uncounted = isinstance(outcome, NotExecuted) and (outcome.everybody or outcome.not_asked)
    if operation.state is OperationState.PENDING or uncounted:
        return operation
    return replace(operation, tries=operation.tries + 1)


def has_time_to_decide(operation: Operation, outcome: Outcome, context: Context) -> bool:
    """Whether the gateway has not decided yet but still may: an issuer may take as long as a customer waits."""
    if not isinstance(outcome, Undecided) or outcome.asks_customer:
        return False
    return (context.at - operation.opened_at).total_seconds() < context.rules.decision_max_s


def backoff_s(tries: int, first_s: float, rules: Rules) -> float:
    """Return the pause before the next try. It doubles with each try, up to a bound."""
    return float(min(first_s * 2 ** min(max(tries, 1) - 1, 30), rules.backoff_max_s))


def postpone(operation: Operation, outcome: Outcome, context: Context, by: datetime | None = None) -> Operation:
    """Return the operation as it waits for its next try: unknown, pending, or open if nothing was executed.

    by: a pending one is due then at the latest, if that is still to come.
    """
    rules = context.rules
    match outcome:
        case CustomerMustAct():
            since = operation.unknown_since if waits_for_customer(operation) else None
            waiting = replace(
                operation,
                state=OperationState.PENDING,
                transaction_id=outcome.transaction_id,
                detail=AT_CUSTOMER,
                unknown_since=since or context.at,
            )
            return replace(waiting, due_at=next_poll(waiting, 0, context, by))
        case Pending():
            # The time that the customer took is not the bank's.
            since = None if waits_for_customer(operation) else operation.unknown_since
            detail = None if waits_for_customer(operation) else operation.detail
            waiting = replace(
                operation,
                state=OperationState.PENDING,
                reference=outcome.reference or operation.reference,
                transaction_id=operation.transaction_id or outcome.transaction_id,
                detail=outcome.detail or detail,
                unknown_since=since or context.at,
            )
            return replace(waiting, due_at=next_poll(waiting, 0, context, None))
        case _ if operation.state is OperationState.PENDING:
            # The gateway has accepted it: a failed look-up does not change that.
            return replace(operation, due_at=next_poll(operation, _asked_pause_s(outcome), context, by))
        case NotExecuted():
            # An unknown operation stays unknown until a definite answer: an earlier copy may still be under way.
            pause = max(_asked_pause_s(outcome), backoff_s(operation.tries, rules.backoff_min_s, rules))
            return replace(operation, detail=outcome.detail, due_at=context.after(pause))
        case _:
            pause = max(_asked_pause_s(outcome), backoff_s(operation.tries, rules.unknown_retry_s, rules))
            return replace(
                operation,
                state=OperationState.UNKNOWN,
                detail=_doubt(outcome) or operation.detail,
                replayed=operation.replayed or (isinstance(outcome, Unknown) and outcome.replayed),
                unknown_since=operation.unknown_since or context.at,
                due_at=context.after(pause),
            )


def _asked_pause_s(outcome: Outcome) -> float:
    """Return how long the gateway asks us to wait before the next try; 0 if it does not say."""
    return (outcome.retry_after_s or 0) if isinstance(outcome, Unknown | NotExecuted) else 0


def give_up_reason(operation: Operation, context: Context, customers_until: datetime | None = None) -> str | None:
    """Return why we stop waiting for this operation, as a reason of PaymentReviewRequired; None if we go on.

    customers_until: until when its customer may confirm it. Afterwards any clear answer of the gateway ends it.
    """
    rules = context.rules
    asks_customer = waits_for_customer(operation) and customers_until is not None
    since = customers_until if asks_customer else operation.unknown_since
    age_s = (context.at - since).total_seconds() if since else 0.0
    if asks_customer:
        return f"{operation.kind}_unknown" if age_s > rules.unknown_give_up_s else None
    if operation.state is OperationState.PENDING:
        return f"{operation.kind}_overdue" if age_s > rules.pending_give_up_s else None
    if operation.state is OperationState.UNKNOWN:
        return f"{operation.kind}_unknown" if age_s > rules.unknown_give_up_s else None
    return f"{operation.kind}_not_executed" if operation.tries >= rules.tries_max else None


def _doubt(outcome: Outcome) -> str | None:
    match outcome:
        case Unknown():
            return outcome.detail
        case Undecided():
            return outcome.status
        case TransactionMissing():
            return "the gateway does not have the transaction"
        case _:
            return None
