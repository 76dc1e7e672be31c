"""Every failure code has a meaning, and none tells a thief what the bank knows."""

import re

import pytest

from domain.failure_codes import MEANINGS, FailureCode, may_retry, reason_of
from domain.opening import RETRY_REFUSALS
from domain.settling import DELAYED, REFUNDED

SUSPECT = (FailureCode.FRAUD_SUSPECTED, FailureCode.CARD_BLOCKED)


def test_every_failure_code_has_exactly_one_meaning() -> None:
    assert set(MEANINGS) == set(FailureCode)


@pytest.mark.parametrize("code", SUSPECT)
def test_lost_stolen_and_fraud_read_like_any_decline(code: FailureCode) -> None:
    assert reason_of(code) == reason_of(FailureCode.CARD_DECLINED)


def test_no_sentence_for_a_customer_speaks_of_what_the_bank_suspects_or_of_our_machinery() -> None:
    sentences = [*(m.reason for m in MEANINGS.values()), *RETRY_REFUSALS.values(), DELAYED, REFUNDED]
    telling = re.compile(
        r"fraud|stolen|lost|suspect|block|pick ?up|restrict|gateway|stripe|issuer|decline code|_", re.IGNORECASE
    )
    assert [s for s in sentences if telling.search(s) or not re.fullmatch(r"[A-Z].{1,199}\.", s)] == []


def test_codes_are_words_that_the_contract_allows() -> None:
    assert [c for c in FailureCode if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", c)] == []


def test_a_sentence_that_offers_another_method_is_of_a_code_that_may_be_retried() -> None:
    offers = re.compile(r"try (another|again)|pay again|another payment method", re.IGNORECASE)
    # A card that the bank suspects is offered another method in words only: a thief must see no difference.
    assert [c for c in FailureCode if offers.search(reason_of(c)) and not may_retry(c)] == list(SUSPECT)
