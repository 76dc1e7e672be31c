"""The payment methods that customers of a demo pay with: tokens of the gateway sandbox."""

from typing import Final

GOOD: Final = (
    "pm_card_visa",
    "pm_card_mastercard",
    "pm_card_amex",
    "pm_card_visa_debit",
    "pm_card_discover",
    "pm_card_diners",
    "pm_card_jcb",
)
DECLINES: Final = {
    "pm_card_chargeDeclinedInsufficientFunds": "insufficient_funds",
    "pm_card_chargeDeclinedExpiredCard": "card_expired",
    "pm_card_chargeDeclined": "card_declined",
    "pm_card_chargeDeclinedLostCard": "card_blocked",
    "pm_card_chargeDeclinedStolenCard": "card_blocked",
    "pm_card_chargeDeclinedIncorrectCvc": "incorrect_details",
    "pm_card_chargeDeclinedProcessingError": "processing_error",
    "pm_card_chargeDeclinedFraudulent": "fraud_suspected",
    "pm_card_nobody_has_this": "method_invalid",
}
MAY_RETRY: Final = (
    "pm_card_chargeDeclinedInsufficientFunds",
    "pm_card_chargeDeclinedExpiredCard",
    "pm_card_chargeDeclined",
)
ASKS: Final = "pm_card_authenticationRequired"
FAULTS: Final = (
    "timeout_before",
    "timeout_after",
    "reset_before",
    "reset_after",
    "500_after",
    "429",
    "html",
    "truncated",
    "slow_3s",
)
"""What goes wrong at the gateway; a token names one of them, and on which call."""
