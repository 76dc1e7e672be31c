"""The values that labels have: of the product's own lists. A query that asks for another one finds nothing."""

from typing import Final, get_args

from deploy.alerts.standing import REVIEWS
from deploy.metrics.counting import OUTCOMES
from deploy.metrics.labels import outcome_label
from deploy.metrics.metric import NONE, OTHER
from deploy.observing.readings import WAITS_FOR
from deploy.webhooks.tally import Came
from domain.alarms import ALARMS
from domain.failure_codes import FailureCode
from domain.operation import OperationKind, OperationState
from domain.order import Status
from domain.outcome import Outcome
from outbox.audit import NUMBERED
from schemas.models import EVENTS
from schemas.rejection import Reason

_REVIEWS: Final = [*(reason.removeprefix("review_") for reason in REVIEWS), OTHER]
_LETTERS: Final = [*(reason.value for reason in Reason), OTHER]
_ANSWERS: Final = [outcome_label(outcome) for outcome in get_args(Outcome)]
_OUTCOMES: Final = [*OUTCOMES.values()]
_OF_ONE: Final[dict[tuple[str, str], list[str]]] = {
    ("payments_alarms_total", "reason"): [*ALARMS, OTHER],
    ("payments_orders_total", "outcome"): _OUTCOMES,
    ("payments_orders_total", "reason"): [*(code.value for code in FailureCode), *_REVIEWS, NONE],
    ("payments_order_outcome_seconds", "outcome"): _OUTCOMES,
    ("payments_dead_letters_total", "reason"): _LETTERS,
    ("payments_dead_letters_waiting", "reason"): _LETTERS,
    ("payments_publish_refused_total", "reason"): [*ALARMS, OTHER],
    ("payments_reviews_open", "reason"): _REVIEWS,
    ("payments_webhooks_total", "outcome"): [came.value for came in Came],
    ("payments_gateway_calls_total", "outcome"): _ANSWERS,
    ("payments_inventory_calls_total", "outcome"): _ANSWERS,
    ("payments_quarantined_total", "kind"): ["message", "operation", "order"],
    ("payments_quarantine_waiting", "kind"): ["letter", "message", "operation", "order"],
    ("payments_operations_unfinished", "state"): [state.value for state in OperationState],
    ("payments_customer_messages", "state"): ["waiting", "given_up"],
}
_OF_ALL: Final[dict[str, list[str]]] = {
    "asked": ["call", "look_up"],
    "edge": ["gateway", "inventory"],
    "event": [*EVENTS],
    "group": ["payments.capture_payment"],
    "invariant": [str(number) for number in NUMBERED],
    "operation": [kind.value for kind in OperationKind],
    "reaction": ["capture_payment"],
    "roles": ["consume", "relay", "sweep"],
    "source": ["database", "kafka"],
    "status": [status.value for status in Status],
    "topic": [*EVENTS],
    "version": ["0.2.0"],
    "waited": ["yes", "no"],
    "waits_for": [*WAITS_FOR],
}


def values_of(metric: str, label: str) -> list[str]:
    """Return what a label of a metric may be. What a deployment names itself has one value here."""
    return _OF_ONE.get((metric, label)) or _OF_ALL[label]
