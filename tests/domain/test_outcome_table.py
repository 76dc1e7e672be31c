"""The table of outcomes, row by row: what an answer makes of an order, and whom it tells what."""

from typing import Any, Final

from consumers.reactions import BY_NAME
from domain.decision import Decision
from domain.operation import OperationKind
from domain.order import Attempt, Status
from domain.outcome import Approved, Outcome
from tests.domain.builders import captured, context, operation, order
from tests.domain.facts import REFUNDED, facts

K = OperationKind
S = Status
OWNER: Final = {
    S.CONFIRMED: "authorize_payment",
    S.PAYMENT_AUTHORIZED: "reserve_items",
    S.ITEMS_RESERVED: "capture_payment",
    S.RESERVATION_FAILED: "return_payment",
    S.PAYMENT_FAILED: "return_payment",
}


def settle(
    status: Status, kind: OperationKind, money: Attempt, outcome: Outcome, *, under_review: bool = False, **known: Any
) -> Decision:
    """Settle an operation of the only attempt, as the reaction does that opened it."""
    reaction = BY_NAME[OWNER[status]]
    waiting = operation(kind, reaction=reaction.name, **known.pop("waiting", {}))
    reviewed = status if under_review else None
    known |= {"operations": (waiting,), "reviewed": reviewed, "review_reason": "unknown" if under_review else None}
    now = S.MANUAL_REVIEW if under_review else status
    return reaction.settle(order(now, money, **known), waiting, outcome, context())


def test_a_refund_without_a_name_is_told_by_its_operation() -> None:
    decision = settle(S.RESERVATION_FAILED, K.REFUND, captured(), Approved("pi_1"))
    assert facts(decision)[0] == REFUNDED | {"refund_id": str(operation(K.REFUND).operation_id)}
