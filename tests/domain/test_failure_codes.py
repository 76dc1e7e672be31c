"""Every failure code has a meaning, and none tells a thief what the bank knows."""

import re

import pytest

from domain.failure_codes import AWAY, MEANINGS, FailureCode, may_retry, reason_of
from domain.opening import FIRST_WAITS, RETRY_REFUSALS
from domain.settling import DELAYED, REFUNDED

SUSPECT = (FailureCode.FRAUD_SUSPECTED, FailureCode.CARD_BLOCKED)


def test_every_failure_code_has_exactly_one_meaning() -> None:
    assert set(MEANINGS) == set(FailureCode)


@pytest.mark.parametrize("code", SUSPECT)
def test_lost_stolen_and_fraud_read_like_any_decline(code: FailureCode) -> None:
    assert reason_of(code) == reason_of(FailureCode.CARD_DECLINED)


def test_no_sentence_for_a_customer_speaks_of_what_the_bank_suspects_or_of_our_machinery() -> None:
    sentences = [*(m.reason for m in MEANINGS.values()), *RETRY_REFUSALS.values(), FIRST_WAITS, DELAYED, REFUNDED, AWAY]
    telling = re.compile(
        r"fraud|stolen|lost|suspect|block|pick ?up|restrict|gateway|stripe|issuer|decline code|_", re.IGNORECASE
    )
    assert [s for s in sentences if telling.search(s) or not re.fullmatch(r"[A-Z].{1,199}\.", s)] == []


def test_codes_are_words_that_the_contract_allows() -> None:
    assert [c for c in FailureCode if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", c)] == []


@pytest.mark.parametrize("code", FailureCode)
def test_a_sentence_offers_another_payment_exactly_when_a_retry_is_accepted(code: FailureCode) -> None:
    offers = re.compile(r"try (another|again)|pay again|another (payment )?method", re.IGNORECASE)
    assert bool(offers.search(reason_of(code))) == bool(offers.search(reason_of(code, away=True))) == may_retry(code)


def test_only_the_sentence_about_a_confirmation_depends_on_whether_the_customer_was_away() -> None:
    differ = [code for code in FailureCode if reason_of(code, away=True) != reason_of(code)]
    assert differ == [FailureCode.AUTHENTICATION_REQUIRED]


def test_who_may_have_paid_already_is_not_invited_to_pay() -> None:
    assert not may_retry(FailureCode.DUPLICATE_PAYMENT)
    assert "check whether you have paid" in reason_of(FailureCode.DUPLICATE_PAYMENT)


@pytest.mark.parametrize("code", [FailureCode.AMOUNT_TOO_SMALL, FailureCode.CURRENCY_NOT_OFFERED])
def test_no_other_method_changes_what_the_gateway_does_not_take(code: FailureCode) -> None:
    assert not may_retry(code)
