"""Operations that the gateway has accepted and not answered yet: when they are asked for, and what they wait for."""

from datetime import datetime
from typing import Final

from domain.operation import Operation, OperationState
from domain.rules import Context

AT_CUSTOMER: Final = "waits for the customer"
"""The detail of an authorization that the customer must confirm."""
AT_OTHERS: Final = "somebody else's refund of this payment is pending"
"""The detail of a refund that the gateway has refused for that. It has not been made."""


def next_poll(operation: Operation, asked_s: float, context: Context, by: datetime | None) -> datetime:
    """Poll often at first, then hourly: most pending answers come within seconds, the others within days.

    While the customer has time, it is polled at the end of that time, too.
    """
    since = operation.unknown_since or context.at
    age_s = (context.at - since).total_seconds()
    due_at = context.after(max(asked_s, min(max(context.rules.unknown_retry_s, age_s), context.rules.pending_poll_s)))
    return by if by is not None and context.at < by < due_at else due_at


def waits_for_customer(operation: Operation) -> bool:
    """Whether the gateway was last heard to wait for the customer, not for the bank."""
    return operation.state is OperationState.PENDING and operation.detail == AT_CUSTOMER


def waits_for_others(operation: Operation) -> bool:
    """Whether the gateway was last heard to refuse a refund because somebody else's is pending."""
    return operation.state is OperationState.PENDING and operation.detail == AT_OTHERS


def is_overdue(operation: Operation, context: Context) -> bool:
    """Whether the bank has been processing the payment for so long that nobody waits for it any more."""
    if operation.state is not OperationState.PENDING or waits_for_customer(operation):
        return False
    since = operation.unknown_since or context.at
    return (context.at - since).total_seconds() > context.rules.pending_hold_s
