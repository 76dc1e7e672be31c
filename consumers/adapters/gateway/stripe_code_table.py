"""The table of Stripe's codes: what each means to us, and the failure code that an authorization gets for it.

Sources: the types of Stripe's SDK 16.1.0 (`PaymentIntent.LastPaymentError.code`, 209 values), and Stripe's page of
decline codes, docs.stripe.com/declines/codes, as of mid 2026 (50 codes of cards, 23 of local payment methods). A test
compares this table with both. A code stands in one row only: an error and a decline code of one name mean the same.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from domain.failure_codes import FailureCode


class Kind(StrEnum):
    """Who says no, and so what a refusal proves."""

    DECLINE = "the bank or the payment method says no"
    AMOUNT = "the amount cannot be paid at Stripe by any method"
    STATE = "the payment is in another state: fetch it, then decide"
    EXPIRED = "the authorization ran out: fetch the payment; it can no longer be captured"
    NOT_BEGUN = "Stripe did not begin: the same request may be sent again"
    UNDER_WAY = "the same request is under way: nothing is known yet"
    REFUND = "a refund is refused; it says nothing of an authorization"
    ACCOUNT = "our account, its settings, our key or our requests are wrong, for every order"
    REQUEST = "the request makes no sense to Stripe; the parameter that it names says why"
    ELSEWHERE = "belongs to a part of Stripe that we do not call"


@dataclass(frozen=True, slots=True)
class Row:
    """Stripe's codes of one meaning, separated by spaces."""

    kind: Kind
    failure: FailureCode
    codes: str


_DECLINE, _REFUSED = Kind.DECLINE, FailureCode.GATEWAY_REFUSED

ROWS: Final = (
    # The bank gives no reason, or none that helps.
    Row(
        _DECLINE,
        FailureCode.CARD_DECLINED,
        "card_declined generic_decline do_not_honor call_issuer no_action_taken refer_to_customer "
        "bank_account_declined payment_method_customer_decline payment_method_provider_decline partner_generic_decline",
    ),
    Row(_DECLINE, FailureCode.INSUFFICIENT_FUNDS, "insufficient_funds"),
    # The amount is above what the issuer allows for this card or account. Another one may have a higher limit.
    Row(
        _DECLINE,
        FailureCode.LIMIT_EXCEEDED,
        "card_velocity_exceeded withdrawal_count_limit_exceeded invalid_amount payment_limit_exceeded "
        "charge_exceeds_source_limit charge_exceeds_transaction_limit",
    ),
    Row(_DECLINE, FailureCode.CARD_EXPIRED, "expired_card expired_payment_method expired_payment_information"),
    Row(
        _DECLINE,
        FailureCode.CARD_NOT_SUPPORTED,
        "card_not_supported transaction_not_allowed not_permitted service_not_allowed",
    ),
    Row(_DECLINE, FailureCode.CURRENCY_NOT_SUPPORTED, "currency_not_supported payment_method_currency_mismatch"),
    # The customer may have typed something wrong: a number, a date, a PIN, an address.
    Row(
        _DECLINE,
        FailureCode.INCORRECT_DETAILS,
        "incorrect_number incorrect_cvc incorrect_zip incorrect_postal_code incorrect_address incorrect_pin "
        "invalid_number invalid_cvc invalid_expiry_month invalid_expiry_year invalid_pin invalid_payment_information "
        "account_number_invalid account_information_mismatch routing_number_invalid bank_account_bad_routing_numbers "
        "postal_code_invalid email_invalid cardholder_phone_number_required invalid_characters "
        "payment_method_billing_details_address_missing payment_intent_konbini_rejected_confirmation_number",
    ),
    # The card, account or mandate does not exist any more, or is not fit for this payment.
    Row(
        _DECLINE,
        FailureCode.METHOD_INVALID,
        "testmode_decline test_mode_live_card invalid_account new_account_information_available "
        "account_closed no_account missing token_already_used token_in_use invalid_source_usage "
        "payment_method_invalid_parameter payment_method_invalid_parameter_testmode payment_method_not_available "
        "payment_method_restricted payment_method_unexpected_state payment_method_unsupported_type "
        "payment_intent_incompatible_payment_method",
    ),
    Row(
        _DECLINE,
        FailureCode.METHOD_INVALID,
        "bank_account_restricted bank_account_unusable bank_account_unverified bank_account_verification_failed "
        "sepa_unsupported_account debit_not_authorized payment_method_bank_account_blocked "
        "billing_invalid_mandate india_recurring_payment_mandate_canceled payment_intent_mandate_invalid "
        "invalid_authorization invalid_billing_agreement invalid_customer_account recurring_not_supported_by_bank "
        "partner_action_not_supported card_already_activated invalid_track_data "
        "acss_debit_session_incomplete payment_method_microdeposit_failed "
        "payment_method_microdeposit_verification_amounts_invalid "
        "payment_method_microdeposit_verification_amounts_mismatch "
        "payment_method_microdeposit_verification_attempts_exceeded "
        "payment_method_microdeposit_verification_descriptor_code_mismatch "
        "payment_method_microdeposit_verification_timeout",
    ),
    # The customer must do something that this payment did not ask for.
    Row(
        _DECLINE,
        FailureCode.AUTHENTICATION_REQUIRED,
        "authentication_required authentication_not_handled mobile_device_authentication_required "
        "offline_pin_required online_or_offline_pin_required payment_intent_action_required",
    ),
    # The customer was asked, and did not confirm, or not in time.
    Row(
        _DECLINE,
        FailureCode.AUTHENTICATION_FAILED,
        "authentication_failure payment_intent_authentication_failure payment_intent_payment_attempt_expired "
        "three_d_secure_authentication_not_supported three_d_secure_authentication_upstream_error",
    ),
    # Something went wrong on the way. Stripe's page says: attempt the payment again.
    Row(
        _DECLINE,
        FailureCode.PROCESSING_ERROR,
        "processing_error reenter_transaction approve_with_id try_again_later payment_intent_payment_attempt_failed "
        "payment_method_provider_timeout payment_method_microdeposit_processing_error partner_payment_not_found",
    ),
    Row(_DECLINE, FailureCode.ISSUER_UNAVAILABLE, "issuer_not_available"),
    # Stripe's page says of this row and of lost, stolen and restricted cards: tell the customer no more than of any
    # decline.
    Row(
        _DECLINE,
        FailureCode.FRAUD_SUSPECTED,
        "fraudulent merchant_blacklist security_violation partner_high_risk_customer",
    ),
    # This card is not to be tried again. It says nothing of other cards.
    Row(
        _DECLINE,
        FailureCode.CARD_BLOCKED,
        "lost_card stolen_card lost_or_stolen_card pickup_card restricted_card do_not_try_again stop_payment_order "
        "revocation_of_authorization revocation_of_all_authorizations pin_try_exceeded "
        "card_decline_rate_limit_exceeded",
    ),
    # The same amount on the same card a moment ago: the customer may have paid.
    Row(_DECLINE, FailureCode.DUPLICATE_PAYMENT, "duplicate_transaction"),
    # A provider or Stripe refuses this payment. A method of another provider may do.
    Row(
        _DECLINE,
        _REFUSED,
        "compliance_violation invalid_business_account payment_disputed request_blocked action_blocked "
        "anomalous_money_movement_request approval_required",
    ),
    Row(Kind.AMOUNT, FailureCode.AMOUNT_TOO_SMALL, "amount_too_small"),
    Row(Kind.AMOUNT, FailureCode.AMOUNT_REFUSED, "amount_too_large invalid_charge_amount"),
    Row(
        Kind.STATE,
        _REFUSED,
        "payment_intent_unexpected_state intent_invalid_state charge_already_captured charge_already_refunded "
        "capture_unauthorized_payment",
    ),
    Row(
        Kind.EXPIRED,
        FailureCode.AUTHORIZATION_EXPIRED,
        "charge_expired_for_capture capture_charge_authorization_expired",
    ),
    Row(Kind.NOT_BEGUN, _REFUSED, "rate_limit lock_timeout"),
    Row(Kind.UNDER_WAY, _REFUSED, "idempotency_key_in_use"),
    Row(Kind.REFUND, _REFUSED, "charge_disputed charge_not_refundable refund_disputed_payment balance_insufficient"),
    Row(
        Kind.ACCOUNT,
        _REFUSED,
        "account_invalid api_key_expired platform_api_key_expired platform_account_required secret_key_required "
        "livemode_mismatch testmode_charges_only tls_version_unsupported capability_not_active "
        "payment_method_unactivated payment_method_configuration_failures progressive_onboarding_limit_exceeded "
        "application_fees_not_allowed not_allowed_on_standard_account "
        "parameter_unknown parameters_exclusive url_invalid",
    ),
    Row(
        Kind.REQUEST,
        _REFUSED,
        "parameter_invalid_empty parameter_invalid_integer parameter_invalid_string_blank "
        "parameter_invalid_string_empty parameter_missing "
        "resource_already_exists resource_missing charge_invalid_parameter payment_intent_invalid_parameter "
        "payment_intent_rate_limit_exceeded",
    ),
    # Accounts, identity, taxes, addresses
    Row(
        Kind.ELSEWHERE,
        _REFUSED,
        "account_country_invalid_address account_error_country_change_requires_additional_steps "
        "account_token_required_for_v2_account country_code_invalid country_unsupported state_unsupported "
        "ownership_declaration_not_allowed siret_invalid tax_id_invalid tax_id_prohibited "
        "customer_tax_location_invalid invalid_tax_location failed_tax_calculation taxes_calculation_failed "
        "stripe_tax_inactive storer_capability_missing storer_capability_not_active shipping_address_invalid "
        "shipping_calculation_failed",
    ),
    # Subscriptions, invoices, orders, customers
    Row(
        Kind.ELSEWHERE,
        _REFUSED,
        "coupon_expired customer_max_payment_methods customer_max_subscriptions customer_session_expired "
        "invalid_canceled_subscription_fields invoice_no_customer_line_items invoice_no_payment_method_types "
        "invoice_no_subscription_line_items invoice_not_editable invoice_on_behalf_of_not_editable "
        "invoice_payment_intent_requires_action invoice_upcoming_none out_of_inventory product_inactive sku_inactive "
        "service_period_coupon_with_metered_tiered_item_unsupported status_transition_invalid "
        "subscription_update_trial_after_billing_cycle_anchor return_intent_already_processed",
    ),
    # Payouts, transfers, balances, bank accounts of ours
    Row(
        Kind.ELSEWHERE,
        _REFUSED,
        "balance_invalid_parameter bank_account_exists clearing_code_unsupported invalid_card_type "
        "financial_account_balance_does_not_support_currency financial_account_capability_not_enabled "
        "financial_account_capability_restricted instant_payouts_config_disabled instant_payouts_currency_disabled "
        "instant_payouts_limit_exceeded instant_payouts_unsupported payout_reconciliation_not_ready "
        "payouts_limit_exceeded payouts_not_allowed transfer_source_balance_parameters_mismatch transfers_not_allowed "
        "payment_method_bank_account_already_verified token_card_network_invalid",
    ),
    # Setup of methods, card readers, forwarding, other products, and what is gone
    Row(
        Kind.ELSEWHERE,
        _REFUSED,
        "intent_verification_method_missing setup_attempt_failed setup_intent_authentication_failure "
        "setup_intent_invalid_parameter setup_intent_mandate_invalid setup_intent_mobile_wallet_unsupported "
        "setup_intent_setup_attempt_expired setup_intent_unexpected_state invalid_mandate_reference_prefix_format "
        "terminal_location_country_unsupported terminal_reader_busy terminal_reader_hardware_fault "
        "terminal_reader_invalid_location_for_activation terminal_reader_invalid_location_for_payment "
        "terminal_reader_offline terminal_reader_timeout",
    ),
    Row(
        Kind.ELSEWHERE,
        _REFUSED,
        "financial_connections_account_inactive financial_connections_account_pending_account_numbers "
        "financial_connections_account_unavailable_account_numbers financial_connections_consent_locale_invalid "
        "financial_connections_consent_locale_unsupported financial_connections_no_successful_transaction_refresh "
        "forwarding_api_inactive forwarding_api_invalid_parameter forwarding_api_retryable_upstream_error "
        "forwarding_api_upstream_connection_error forwarding_api_upstream_connection_timeout "
        "forwarding_api_upstream_error dispute_evidence_page_limit_exceeded smart_disputes_not_available "
        "payment_evaluation_on_api_version_not_supported alipay_upgrade_required bitcoin_upgrade_required",
    ),
)
