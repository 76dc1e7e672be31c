"""What Stripe has besides what is played here: refused as not played; what Stripe does not have either is unknown.

Source: the paths of Stripe's OpenAPI specification of 2026-08-26.dahlia; `make conformance` asks for each of them.
"""

import re
from typing import Final

from deploy.sandbox.errors import ApiError, invalid, not_played

_NAMES: Final = (
    "account account_links account_sessions accounts apple_pay application_fees apps balance balance_settings "
    "balance_transactions billing billing_portal checkout climate confirmation_tokens country_specs coupons "
    "credit_notes customer_sessions customers entitlements ephemeral_keys exchange_rates "
    "external_accounts file_links files financial_connections forwarding identity invoice_payments "
    "invoice_rendering_templates invoiceitems invoices issuing link_account_sessions linked_accounts mandates "
    "payment_attempt_records payment_links payment_method_configurations payment_method_domains payment_records "
    "payouts plans prices products promotion_codes quotes radar reporting reviews setup_attempts setup_intents "
    "shipping_rates sigma sources subscription_items subscription_schedules subscriptions tax tax_codes tax_ids "
    "tax_rates terminal test_helpers tokens topups transfers treasury webhook_endpoints"
)
_RESOURCES: Final = frozenset(_NAMES.split())
_OF_OURS: Final = re.compile(
    r"(GET|POST) charges(/search|/[^/]+(/(capture|dispute|dispute/close|refund|refunds|refunds/[^/]+))?)?"
    r"|GET payment_intents/(search|[^/]+/amount_details_line_items)"
    r"|POST payment_intents/[^/]+/(apply_customer_balance|increment_authorization|verify_microdeposits)"
    r"|GET payment_methods"
    r"|POST payment_methods/[^/]+(/(attach|detach))?"
    r"|POST refunds/[^/]+/cancel"
)


def refusal(method: str, path: str) -> ApiError:
    """Return why an endpoint is not served. path: with its leading slash."""
    rest = path.removeprefix("/v1/")
    if path.startswith("/v1/") and (rest.partition("/")[0] in _RESOURCES or _OF_OURS.fullmatch(f"{method} {rest}")):
        return not_played(f"{method} {path}", is_param=False)
    return invalid(f"Unrecognized request URL ({method}: {path}).", status=404)
