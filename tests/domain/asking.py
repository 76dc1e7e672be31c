"""Orders whose payment its customer must confirm, or a bank processes: how they come about, and go on."""

from typing import Any, Final

from consumers.reactions import BY_NAME
from domain.decision import Decision
from domain.failure_codes import FailureCode
from domain.operation import Operation, OperationKind, OperationState
from domain.order import Order, Status
from domain.outcome import CustomerMustAct, Outcome, Pending
from domain.values import replace
from tests.domain.builders import RULES, attempt, context, later, operation, order
from tests.domain.facts import FAILED, NOTICE, failure

K = OperationKind
S = Status
O = OperationState  # noqa: E741 - beside K, for tables of states
URL: Final = "https://bank.example/confirm/pi_1"
MUST_ACT: Final = CustomerMustAct("pi_1", URL)
PROCESSING: Final = Pending(None, "pi_1", "processing")
LAST: Final = RULES.action_timeout_s
OVERDUE: Final = failure(FailureCode.PAYMENT_OVERDUE, retryable=False, retry_until=None)


def answer(known: Order, outcome: Outcome, at_s: float = 0) -> Decision:
    """Settle the order's unfinished operation."""
    call = going_on(known)
    return BY_NAME[call.reaction].settle(known, call, outcome, context(later(at_s)))


def going_on(known: Order) -> Operation:
    (call,) = [o for o in known.operations if o.unfinished]
    return call


def become(decision: Decision) -> Order:
    assert decision.order is not None
    return decision.order


def begun(reaction: str = "authorize_payment") -> Order:
    """Return a new order whose authorization is asked for."""
    return order(S.CONFIRMED, attempt(), operations=(operation(K.AUTHORIZE, reaction=reaction),))


def asked() -> Order:
    """Return an order that has waited for its customer since AT."""
    return become(answer(begun(), MUST_ACT))


def processed(**waiting: Any) -> Order:
    """Return an order whose payment a bank has processed since AT."""
    call = replace(going_on(become(answer(begun(), PROCESSING))), **waiting)
    return order(S.CONFIRMED, attempt(transaction_id="pi_1"), operations=(call,))


def voiding(outcome: Outcome = MUST_ACT, at_s: float = LAST) -> Order:
    """Return an order whose unconfirmed payment is being cancelled."""
    return become(answer(asked(), outcome, at_s))


def failed(code: FailureCode, **fields: Any) -> list[dict[str, Any]]:
    said = failure(code, **fields)
    return [FAILED | said, NOTICE | said]
