"""Which parameters each endpoint has at Stripe, and which of them the sandbox plays.

Source: Stripe's OpenAPI specification of 2026-08-26.dahlia; `make conformance` walks it and finds what is missing here.
"""

from typing import Final

from deploy.sandbox.params import Known
from deploy.sandbox.render_dispute import TEXTS


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


CUSTOMER_PREFIX: Final = "cus_play"
"""Customers are not made here: every id that begins so exists."""

OFF_SESSION_WORDS: Final = frozenset({"one_off", "recurring"})
CAPTURE_METHODS: Final = ("automatic", "automatic_async", "manual")
CANCELLATION_REASONS: Final = ("duplicate", "fraudulent", "requested_by_customer", "abandoned")
REFUND_REASONS: Final = ("duplicate", "fraudulent", "requested_by_customer")

METHOD_TYPES: Final = _names(
    "acss_debit affirm afterpay_clearpay alipay alma amazon_pay au_becs_debit bacs_debit bancontact billie bizum "
    "blik boleto card_present cashapp crypto custom customer_balance eps fpx giropay grabpay interac_present "
    "kakao_pay klarna konbini kr_card link mb_way mobilepay multibanco naver_pay nz_bank_account oxxo p24 "
    "pay_by_bank payco paynow paypal payto pix promptpay revolut_pay samsung_pay satispay scalapay "
    "sofort sunbit swish twint upi wechat_pay zip"
)
"""Types of payment methods that the play bank does not have."""
NOT_MADE: Final = METHOD_TYPES | _names("ideal sepa_debit us_bank_account")
"""Types of payment methods that cannot be made here; of the last three there are test methods."""


_MONEY_OF_OTHERS = _names("application_fee_amount transfer_data transfer_group")
_DETAILS = _names("amount_details hooks payment_details")
_ACTS = _names("expand[] metadata metadata[*]")

CREATE: Final = Known(
    _ACTS
    | _names(
        "amount currency confirm capture_method confirmation_method confirmation_token customer payment_method "
        "payment_method_types[] "
        "automatic_payment_methods[enabled] automatic_payment_methods[allow_redirects] error_on_requires_action "
        "description statement_descriptor statement_descriptor_suffix off_session return_url receipt_email "
        "use_stripe_sdk payment_method_options[card][capture_method] "
        "payment_method_options[card][request_three_d_secure]"
    ),
    _MONEY_OF_OTHERS
    | _DETAILS
    | _names(
        "allowed_payment_method_types customer_account excluded_payment_method_types mandate "
        "mandate_data on_behalf_of payment_method_configuration payment_method_data payment_method_options "
        "radar_options setup_future_usage shipping"
    ),
)
UPDATE: Final = Known(
    _ACTS | _names("description statement_descriptor statement_descriptor_suffix receipt_email"),
    _MONEY_OF_OTHERS
    | _DETAILS
    | _names(
        "allowed_payment_method_types amount capture_method currency customer customer_account "
        "excluded_payment_method_types payment_method payment_method_configuration payment_method_data "
        "payment_method_options payment_method_types setup_future_usage shipping"
    ),
)
CONFIRM: Final = Known(
    _names(
        "confirmation_token expand[] payment_method return_url off_session error_on_requires_action receipt_email "
        "use_stripe_sdk"
    ),
    _DETAILS
    | _names(
        "allowed_payment_method_types amount_to_confirm capture_method client_secret "
        "excluded_payment_method_types mandate mandate_data payment_method_data payment_method_options "
        "payment_method_types radar_options setup_future_usage shipping"
    ),
)
CAPTURE: Final = Known(
    _ACTS | _names("amount_to_capture final_capture statement_descriptor statement_descriptor_suffix"),
    _DETAILS | _names("application_fee_amount transfer_data"),
)
CANCEL: Final = Known(_names("cancellation_reason expand[]"))
REFUND: Final = Known(
    _ACTS | _names("payment_intent charge amount reason"),
    _names("currency customer instructions_email origin refund_application_fee reverse_transfer"),
)
EXPAND_ONLY: Final = Known(_names("expand[]"))
METADATA_ONLY: Final = Known(_ACTS)
CREATE_METHOD: Final = Known(
    _ACTS | _names("type card[token]"),
    NOT_MADE - {"card_present"} | _names("allow_redisplay billing_details card customer payment_method radar_options"),
)
CREATE_TOKEN: Final = Known(
    _names("payment_method expand[]"),
    _names("payment_method_data payment_method_options return_url setup_future_usage shipping"),
)

_PAGE = _names("limit starting_after ending_before created created[gt] created[gte] created[lt] created[lte] expand[]")
GET: Final = EXPAND_ONLY
GET_INTENT: Final = Known(_names("expand[]"), _names("client_secret"))
LIST_INTENTS: Final = Known(_PAGE | _names("customer"), _names("customer_account"))
LIST_REFUNDS: Final = Known(_PAGE | _names("payment_intent charge"))
LIST_DISPUTES: Final = Known(_PAGE | _names("payment_intent charge"))
UPDATE_DISPUTE: Final = Known(
    _ACTS | _names("submit") | {f"evidence[{name}]" for name in TEXTS},
    _names("evidence"),
)
GET_EVENT: Final = Known(frozenset(), _names("expand"))
LIST_EVENTS: Final = Known(
    _names("limit starting_after created created[gt] created[gte] created[lt] created[lte] type types[]"),
    _names("ending_before delivery_success expand"),
)

EXPANDS_INTENT: Final = ("latest_charge", "payment_method")
OTHERS_OF_INTENT: Final = _names(
    "application customer on_behalf_of review latest_charge.balance_transaction latest_charge.refunds "
    "latest_charge.payment_intent transfer_data.destination"
)
EXPANDS_REFUND: Final = ("charge", "payment_intent")
OTHERS_OF_REFUND: Final = _names("balance_transaction failure_balance_transaction transfer_reversal")
OTHERS_OF_CHARGE: Final = _names(
    "balance_transaction customer payment_intent refunds application application_fee failure_balance_transaction "
    "on_behalf_of review source_transfer transfer"
)
EXPANDS_DISPUTE: Final = EXPANDS_REFUND
OTHERS_OF_METHOD: Final = _names("customer")
