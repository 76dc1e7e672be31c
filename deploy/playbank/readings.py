"""What the bank has, as the outcome of one of our calls."""

from datetime import UTC, datetime
from functools import lru_cache

from deploy.playbank.bank import CANCELED, CAPTURED, PROCESSING, Bank, Intent, No, Refund
from domain.failure_codes import FailureCode
from domain.outcome import AlreadyCaptured, Approved, Declined, GatewayOutcome, Lapsed, Pending


def capture_outcome(intent: Intent) -> GatewayOutcome:
    """Return the outcome of a capture, from where the money is."""
    if intent.status == CANCELED:
        return Lapsed()
    if intent.status == PROCESSING:
        return Pending(transaction_id=intent.id)
    if intent.status != CAPTURED:
        return Declined(FailureCode.CAPTURE_REFUSED, No.UNEXPECTED_STATE.value)
    return Approved(intent.id, amount_minor=intent.amount_received, captured=True)


def void_outcome(bank: Bank, intent: Intent) -> GatewayOutcome:
    """Return the outcome of a void, whoever canceled or captured the intent."""
    if intent.status == CAPTURED:
        return AlreadyCaptured(intent.id, intent.amount_received, bank.refunded(intent, with_pending=True) > 0)
    if intent.status == PROCESSING:
        return Pending(transaction_id=intent.id)
    return Approved(intent.id, amount_minor=intent.amount)


def refund_outcome(intent: Intent, refund: Refund) -> GatewayOutcome:
    """Return the outcome of a refund."""
    match refund.status:
        case "succeeded":
            return Approved(intent.id, refund.id, refund.amount)
        case "pending":
            return Pending(refund.id, intent.id)
        case _:
            return Declined(FailureCode.GATEWAY_REFUSED, "refund_failed: unknown", intent.id)


@lru_cache(maxsize=64)
def moment(at_s: float) -> datetime:
    """Turn the bank's time into the pipeline's."""
    return datetime.fromtimestamp(at_s, UTC)
