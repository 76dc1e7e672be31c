"""Opening, postponing and closing operations: one at a time for each order, releases aside."""

from datetime import datetime, timedelta
from enum import StrEnum

from domain.operation import (
    GATEWAY_KINDS,
    GatewayCall,
    Operation,
    OperationKind,
    OperationState,
    idempotency_key,
    operation_id,
)
from domain.order import Attempt, Order
from domain.outcome import Declined, Lapsed, NotExecuted, Outcome, Pending, Short, Unknown
from domain.rules import Context, Rules
from domain.values import replace


class Move(StrEnum):
    """What the worker that has the lease does next for an operation."""

    PERFORM = "perform"
    LOOK_UP = "look up"


def open_operation(
    order: Order,
    context: Context,
    kind: OperationKind,
    attempt: Attempt,
    reaction: str,
    amount_minor: int,
) -> Order:
    """Return the order with a new operation under the lease of whoever decided this.

    The try number rises only over a stored, definite refusal of the same kind, which this pipeline sends to an operator
    instead; so it is 1, and the key is the same for the life of the attempt.
    """
    try_number = 1
    operation = Operation(
        operation_id=operation_id(order.order_id, attempt.number, kind, try_number),
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
    )
    return order.with_operation(operation)


def gateway_call(operation: Operation, token: str | None) -> GatewayCall:
    """Build what the gateway is asked; the token is the attempt's and goes with an authorize only."""
    assert operation.kind in GATEWAY_KINDS
    return GatewayCall(
        operation_id=operation.operation_id,
        kind=operation.kind,
        idempotency_key=idempotency_key(operation.order_id, operation.attempt, operation.kind, operation.try_number),
        order_id=operation.order_id,
        attempt=operation.attempt,
        amount_minor=operation.amount_minor,
        currency=operation.currency,
        token=token if operation.kind is OperationKind.AUTHORIZE else None,
        transaction_id=operation.transaction_id,
        reference=operation.reference,
        opened_at=operation.opened_at,
    )


def key_lives(operation: Operation, at: datetime, rules: Rules) -> bool:
    """Whether the gateway still remembers the key for sure, so that sending again cannot execute twice."""
    return at - operation.opened_at < timedelta(seconds=rules.key_life_s)


def next_move(operation: Operation, at: datetime, rules: Rules) -> Move:
    """Say how to go on: an open operation is sent (again, by the same key), anything else is looked up first."""
    if operation.state is OperationState.OPEN and key_lives(operation, at, rules):
        return Move.PERFORM
    return Move.LOOK_UP


def may_send_again(operation: Operation, at: datetime, rules: Rules) -> bool:
    """Whether a look-up that found nothing may be followed by the same call with the same key."""
    return operation.state is not OperationState.PENDING and not operation.replayed and key_lives(operation, at, rules)


def count_answer(operation: Operation, outcome: Outcome) -> Operation:
    """Return the operation with the call counted whose answer this is.

    Not counted: an answer that everybody gets while the gateway is down, and the polls of a pending operation.
    """
    if operation.state is OperationState.PENDING or (isinstance(outcome, NotExecuted) and outcome.everybody):
        return operation
    return replace(operation, tries=operation.tries + 1)


def backoff_s(tries: int, first_s: float, rules: Rules) -> float:
    """Double the pause with each try, up to the bound."""
    return float(min(first_s * 2 ** min(max(tries, 1) - 1, 30), rules.backoff_max_s))


def postpone(operation: Operation, outcome: Outcome, context: Context) -> Operation:
    """Return the operation as it waits: unknown, pending, or open because nothing was executed."""
    rules = context.rules
    match outcome:
        case Pending():
            return replace(
                operation,
                state=OperationState.PENDING,
                reference=outcome.reference or operation.reference,
                transaction_id=operation.transaction_id or outcome.transaction_id,
                unknown_since=operation.unknown_since or context.at,
                due_at=context.after(_pending_pause_s(operation, context)),
            )
        case _ if operation.state is OperationState.PENDING:
            # The gateway has accepted it: a look-up that fails takes nothing of that back.
            return replace(operation, due_at=context.after(_pending_pause_s(operation, context)))
        case NotExecuted():
            # Once unknown, always unknown until a definite answer: an earlier copy may still be on its way.
            pause = max(outcome.retry_after_s or 0, backoff_s(operation.tries, rules.backoff_min_s, rules))
            return replace(operation, detail=outcome.detail, due_at=context.after(pause))
        case _:
            replayed = isinstance(outcome, Unknown) and outcome.replayed
            detail = outcome.detail if isinstance(outcome, Unknown) else operation.detail
            return replace(
                operation,
                state=OperationState.UNKNOWN,
                detail=detail,
                replayed=operation.replayed or replayed,
                unknown_since=operation.unknown_since or context.at,
                due_at=context.after(backoff_s(operation.tries, rules.unknown_retry_s, rules)),
            )


def _pending_pause_s(operation: Operation, context: Context) -> float:
    """Poll soon at first, then hourly: most pending answers come within seconds, the others within days."""
    since = operation.unknown_since or context.at
    age_s = (context.at - since).total_seconds()
    return float(min(max(context.rules.unknown_retry_s, age_s), context.rules.pending_poll_s))


_REFUSALS = (Declined, Short, Lapsed)


def close(operation: Operation, outcome: Outcome, context: Context) -> Operation:
    """Return the operation with its definite outcome."""
    declined = isinstance(outcome, _REFUSALS)
    return replace(
        operation,
        state=OperationState.DECLINED if declined else OperationState.APPROVED,
        detail=_detail(outcome),
        reference=getattr(outcome, "reference", None) or operation.reference,
        transaction_id=getattr(outcome, "transaction_id", None) or operation.transaction_id,
        settled_at=context.at,
        due_at=None,
    )


def given_up(operation: Operation, context: Context) -> str | None:
    """Say why waiting for this operation has no more sense (a reason code of PaymentReviewRequired), or None."""
    rules = context.rules
    since = operation.unknown_since
    age_s = (context.at - since).total_seconds() if since else 0.0
    if operation.state is OperationState.PENDING:
        return f"{operation.kind}_overdue" if age_s > rules.pending_give_up_s else None
    if operation.state is OperationState.UNKNOWN:
        return f"{operation.kind}_unknown" if age_s > rules.unknown_give_up_s else None
    return f"{operation.kind}_not_executed" if operation.tries >= rules.tries_max else None


def _detail(outcome: Outcome) -> str | None:
    match outcome:
        case Declined():
            return outcome.gateway_code or str(outcome.code)
        case Short():
            return ", ".join(m.sku for m in outcome.missing)[:200]
        case Lapsed():
            return "lapsed"
        case _:
            return None
