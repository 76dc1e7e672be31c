"""Our failure codes for Stripe's decline, error and advice codes. The rows stand in `stripe_code_table.py`.

A code that has no row is new at Stripe: an ordinary decline.
"""

from typing import Final

from consumers.adapters.gateway.stripe_code_table import ROWS, Kind
from domain.failure_codes import FailureCode

_BY_CODE: Final = {code: row for row in ROWS for code in row.codes.split()}
_REFUSALS: Final = frozenset({FailureCode.GATEWAY_REFUSED, FailureCode.CARD_DECLINED})
"""Codes that say no more than that there was a refusal: anything else that Stripe says is preferred to them."""


def codes_of(kind: Kind) -> frozenset[str]:
    """Return all of Stripe's codes of this kind."""
    return frozenset(code for code, row in _BY_CODE.items() if row.kind is kind)


STATE_CONFLICTS: Final = codes_of(Kind.STATE) | codes_of(Kind.EXPIRED)
EXPIRED: Final = codes_of(Kind.EXPIRED)
NOT_BEGUN: Final = codes_of(Kind.NOT_BEGUN)
ACCOUNT_FAULTS: Final = codes_of(Kind.ACCOUNT)

_BY_PARAM: Final = {
    "amount": FailureCode.AMOUNT_REFUSED,
    "currency": FailureCode.CURRENCY_NOT_OFFERED,
    "payment_method": FailureCode.METHOD_INVALID,
    "customer": FailureCode.METHOD_INVALID,
    "confirmation_token": FailureCode.METHOD_INVALID,
}

_ADVICE: Final = {
    # It speaks of this card. Reasons whose sentence would invite the same card again give way.
    "do_not_try_again": {
        FailureCode.CARD_DECLINED: FailureCode.CARD_BLOCKED,
        FailureCode.INCORRECT_DETAILS: FailureCode.CARD_BLOCKED,
        FailureCode.AUTHENTICATION_FAILED: FailureCode.CARD_BLOCKED,
        FailureCode.PROCESSING_ERROR: FailureCode.CARD_BLOCKED,
        FailureCode.ISSUER_UNAVAILABLE: FailureCode.CARD_BLOCKED,
    },
    # It only makes a decline without a reason more exact. A lost card keeps the sentence of any decline.
    "confirm_card_data": {FailureCode.CARD_DECLINED: FailureCode.INCORRECT_DETAILS},
}
"""By Stripe's advice: the failure code in place of the one that the decline has. Source: docs.stripe.com/declines."""


class Refusal(Exception):  # noqa: N818 - it becomes the value Declined before it leaves the adapter
    """We refuse the call ourselves, before we send anything."""

    def __init__(self, code: FailureCode, gateway_code: str) -> None:
        super().__init__(gateway_code)
        self.code = code
        self.gateway_code = gateway_code


def failure_code(code: str | None, decline_code: str | None, advice_code: str | None = None) -> FailureCode:
    """Return why a card was declined. The decline code is the issuer's own; the advice may make it more exact."""
    rows = [_BY_CODE[said] for said in (decline_code, code) if said in _BY_CODE]
    named = [row.failure for row in rows if row.failure not in _REFUSALS]
    known = named[0] if named else rows[0].failure if rows else FailureCode.CARD_DECLINED
    return _ADVICE.get(advice_code or "", {}).get(known, known)


def refusal_code(code: str | None, param: str | None) -> FailureCode:
    """Return why Stripe refused an authorize request as invalid: by its code, else by the parameter that it names."""
    row = _BY_CODE.get(code or "")
    if row is not None and row.failure not in _REFUSALS:
        return row.failure
    return _BY_PARAM.get(param or "") or FailureCode.GATEWAY_REFUSED
