"""The closed list of failure codes: what each means, whether another method may help, what the customer reads.

Gateway adapters map their codes to these. `retryable` is about another payment method. Whether an order may be retried
also depends on the stage: always after a failed capture, never if items are missing.

Two rules hold for every code, and tests check them:

- The sentence offers another method, or another try, exactly when the code is retryable. What the customer reads and
  what a retry gets are never two different things.
- A bank that refuses a card says something of that card, and nothing of the order. So every refusal of a card may be
  retried, also for a lost card or suspected fraud. Their sentence is that of any decline, and so is what a retry gets:
  otherwise a thief could tell the two apart. `attempts_max` bounds the tries, and the gateway judges each one anew.
"""

from dataclasses import dataclass
from enum import StrEnum


class FailureCode(StrEnum):
    """Why a payment did not happen."""

    INSUFFICIENT_FUNDS = "insufficient_funds"
    CARD_DECLINED = "card_declined"
    CARD_EXPIRED = "card_expired"
    CARD_NOT_SUPPORTED = "card_not_supported"
    CURRENCY_NOT_SUPPORTED = "currency_not_supported"
    LIMIT_EXCEEDED = "limit_exceeded"
    INCORRECT_DETAILS = "incorrect_details"
    METHOD_INVALID = "method_invalid"
    AUTHENTICATION_REQUIRED = "authentication_required"
    AUTHENTICATION_FAILED = "authentication_failed"
    ACTION_EXPIRED = "action_expired"
    PAYMENT_OVERDUE = "payment_overdue"
    PROCESSING_ERROR = "processing_error"
    ISSUER_UNAVAILABLE = "issuer_unavailable"
    FRAUD_SUSPECTED = "fraud_suspected"
    CARD_BLOCKED = "card_blocked"
    DUPLICATE_PAYMENT = "duplicate_payment"
    AMOUNT_REFUSED = "amount_refused"
    AMOUNT_TOO_SMALL = "amount_too_small"
    AMOUNT_DIFFERS = "amount_differs"
    CURRENCY_NOT_OFFERED = "currency_not_offered"
    GATEWAY_REFUSED = "gateway_refused"
    ORDER_EXPIRED = "order_expired"
    CAPTURE_REFUSED = "capture_refused"
    AUTHORIZATION_EXPIRED = "authorization_expired"
    ITEMS_UNAVAILABLE = "items_unavailable"
    RESERVATION_LAPSED = "reservation_lapsed"
    CANCELLED_BY_OPERATOR = "cancelled_by_operator"


@dataclass(frozen=True, slots=True)
class Meaning:
    """retryable: another payment method may help. reason: a sentence for the customer."""

    retryable: bool
    reason: str


_GENERIC = "Your bank declined the payment. Please try another payment method."

MEANINGS: dict[FailureCode, Meaning] = {
    FailureCode.INSUFFICIENT_FUNDS: Meaning(
        True, "There are not enough funds on this payment method. Please try another one."
    ),
    FailureCode.CARD_DECLINED: Meaning(True, _GENERIC),
    FailureCode.CARD_EXPIRED: Meaning(True, "This card has expired. Please try another payment method."),
    FailureCode.CARD_NOT_SUPPORTED: Meaning(
        True, "This card does not support the purchase. Please try another payment method."
    ),
    FailureCode.CURRENCY_NOT_SUPPORTED: Meaning(
        True, "This payment method does not support the currency. Please try another one."
    ),
    FailureCode.LIMIT_EXCEEDED: Meaning(
        True, "The payment is above a limit of this payment method. Please try another one."
    ),
    FailureCode.INCORRECT_DETAILS: Meaning(
        True, "The details of the payment method are not right. Please check them or try another one."
    ),
    FailureCode.METHOD_INVALID: Meaning(True, "This payment method cannot be used. Please try another one."),
    FailureCode.AUTHENTICATION_REQUIRED: Meaning(
        True, "Your bank asks for a confirmation that we cannot offer here. Please try another payment method."
    ),
    FailureCode.AUTHENTICATION_FAILED: Meaning(
        True, "The payment was not confirmed with your bank. Please try again or use another payment method."
    ),
    FailureCode.ACTION_EXPIRED: Meaning(
        True, "The payment was not confirmed in time. Please try again or use another payment method."
    ),
    # The bank still has it: by another method the customer could pay twice.
    FailureCode.PAYMENT_OVERDUE: Meaning(
        False,
        "Your bank has not confirmed the payment in time, so the order is cancelled. If the money still comes, we "
        "return it.",
    ),
    FailureCode.PROCESSING_ERROR: Meaning(
        True, "The payment could not be processed. Please try again or use another payment method."
    ),
    FailureCode.ISSUER_UNAVAILABLE: Meaning(
        True, "Your bank could not be reached. Please try again or use another payment method."
    ),
    FailureCode.FRAUD_SUSPECTED: Meaning(True, _GENERIC),
    FailureCode.CARD_BLOCKED: Meaning(True, _GENERIC),
    # The bank has just seen the same payment, so the customer may have paid: by an order that was placed twice. To
    # invite another payment could take the money twice. To place the order again costs a customer who has not paid
    # only a minute.
    FailureCode.DUPLICATE_PAYMENT: Meaning(
        False,
        "Your bank has just seen the same payment. Please check whether you have paid already before you order again.",
    ),
    FailureCode.AMOUNT_REFUSED: Meaning(False, "The payment service does not accept this amount."),
    FailureCode.AMOUNT_TOO_SMALL: Meaning(False, "The amount is below the least that the payment service accepts."),
    FailureCode.AMOUNT_DIFFERS: Meaning(
        True, "The payment was approved for a wrong amount, so we cancelled it. Please try another payment method."
    ),
    FailureCode.CURRENCY_NOT_OFFERED: Meaning(False, "The payment service does not accept this currency."),
    FailureCode.GATEWAY_REFUSED: Meaning(True, "The payment service refused the payment. Please try another method."),
    FailureCode.ORDER_EXPIRED: Meaning(False, "The order was too old to be charged. Please order again."),
    FailureCode.CAPTURE_REFUSED: Meaning(
        True, "Your bank withdrew its approval of the payment. Please try another payment method."
    ),
    FailureCode.AUTHORIZATION_EXPIRED: Meaning(
        True, "The approval of the payment ran out before it was collected. Please pay again."
    ),
    FailureCode.ITEMS_UNAVAILABLE: Meaning(False, "Some items are no longer available. You are not charged."),
    FailureCode.RESERVATION_LAPSED: Meaning(
        False, "The items could not be held for you any longer. You are not charged."
    ),
    FailureCode.CANCELLED_BY_OPERATOR: Meaning(True, "The payment was cancelled. You may try another payment method."),
}


def reason_of(code: FailureCode) -> str:
    """Return the sentence for the customer."""
    return MEANINGS[code].reason


def may_retry(code: FailureCode) -> bool:
    """Return whether another payment method may help."""
    return MEANINGS[code].retryable
