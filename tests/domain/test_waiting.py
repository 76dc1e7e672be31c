"""While an outcome is unknown: who is told when, and when a person must decide."""

from typing import Any, Final

import pytest

from consumers.reactions import BY_NAME
from domain.decision import Decision
from domain.operation import OperationKind, OperationState
from domain.order import Status
from domain.outcome import NotFound, Outcome
from tests.domain.builders import (
    RULES,
    TOTAL,
    attempt,
    authorized,
    captured,
    context,
    later,
    operation,
    order,
)
from tests.domain.facts import facts

K = OperationKind
S = Status
OWNER: Final = {
    K.AUTHORIZE: ("authorize_payment", S.CONFIRMED, attempt()),
    K.RESERVE: ("reserve_items", S.PAYMENT_AUTHORIZED, captured()),
    K.CAPTURE: ("capture_payment", S.ITEMS_RESERVED, authorized()),
    K.CONFIRM: ("capture_payment", S.ITEMS_RESERVED, captured()),
    K.VOID: ("return_payment", S.RESERVATION_FAILED, authorized()),
    K.REFUND: ("return_payment", S.PAYMENT_FAILED, captured()),
}


def wait(kind: OperationKind, outcome: Outcome, age_s: float, known: dict[str, Any], **waiting: Any) -> Decision:
    name, status, money = OWNER[kind]
    op = operation(kind, reaction=name, **({"opened_at": later(-age_s)} | waiting))
    fields = {"operations": (op,)} | known
    return BY_NAME[name].settle(order(status, money, **fields), op, outcome, context())


REVIEWS: Final = {
    # kind: operation of PaymentReviewRequired, money, amount. An inventory's silence leaves the money where it is.
    K.AUTHORIZE: ("AUTHORIZE", "UNKNOWN", TOTAL),
    K.CAPTURE: ("CAPTURE", "UNKNOWN", TOTAL),
    K.VOID: ("VOID", "UNKNOWN", TOTAL),
    K.REFUND: ("REFUND", "UNKNOWN", TOTAL),
    K.RESERVE: ("NONE", "CAPTURED", TOTAL),
    K.CONFIRM: ("NONE", "CAPTURED", TOTAL),
}


@pytest.mark.parametrize("kind", REVIEWS)
def test_what_stays_unknown_to_the_end_is_handed_to_an_operator(kind: OperationKind) -> None:
    amount = 0 if kind in {K.RESERVE, K.CONFIRM} else TOTAL
    since = later(-RULES.unknown_give_up_s - 1)
    decision = wait(kind, NotFound(), 0, {}, state=OperationState.UNKNOWN, unknown_since=since, amount_minor=amount)
    [fact] = facts(decision)
    assert (fact["type"], fact["operation"], fact["money"], fact["amount_minor"]) == (
        "PaymentReviewRequired",
        *REVIEWS[kind],
    )
    assert (fact["reason"], decision.alarm) == (f"{kind}_unknown", f"review_{kind}_unknown")
    assert decision.order is not None
    assert (decision.order.status, decision.order.reviewed) == (S.MANUAL_REVIEW, OWNER[kind][1])
    assert [(o.unfinished, o.due_at) for o in decision.order.operations] == [(True, None)]
