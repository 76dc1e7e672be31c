"""The values that labels have: of the product's own lists. A query that asks for another one finds nothing."""

from typing import Final

from deploy.alerts.standing import REVIEWS
from deploy.metrics.counting import OUTCOMES
from deploy.metrics.metric import NONE, OTHER
from deploy.observing.readings import WAITS_FOR
from domain.alarms import ALARMS
from domain.failure_codes import FailureCode
from domain.operation import OperationKind, OperationState
from domain.order import Status
from outbox.audit import NUMBERED
from schemas.rejection import Reason
from schemas.topics import EVENTS

_CODES: Final = [*(code.value for code in FailureCode), NONE, OTHER]
_REVIEW_REASONS: Final = [reason.removeprefix("review_") for reason in REVIEWS]
_LETTER_REASONS: Final = [reason.value for reason in Reason]
_ANSWERS: Final = ["approved", "declined", "unknown", "not_executed", "pending"]
VALUES: Final[dict[str, list[str]]] = {
    "asked": ["call", "look_up"],
    "edge": ["gateway", "inventory"],
    "event": [*EVENTS],
    "group": ["payments.capture_payment"],
    "invariant": [str(number) for number in NUMBERED],
    "kind": ["letter", "message", "operation", "order"],
    "operation": [kind.value for kind in OperationKind],
    "outcome": [*OUTCOMES.values(), *_ANSWERS],
    "reaction": ["capture_payment"],
    "reason": [*_CODES, *ALARMS, *_REVIEW_REASONS, *_LETTER_REASONS],
    "roles": ["consume", "relay", "sweep"],
    "source": ["database", "kafka"],
    "state": [*(state.value for state in OperationState), "waiting", "given_up"],
    "status": [status.value for status in Status],
    "topic": [*EVENTS],
    "version": ["0.2.0"],
    "waited": ["yes", "no"],
    "waits_for": [*WAITS_FOR],
}
"""By the label's name. What a deployment names itself (groups, releases) is one made-up value."""
