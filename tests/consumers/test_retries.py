"""A payment fails, and the customer tries another method."""

from datetime import timedelta
from typing import Any

import pytest

from domain.failure_codes import FailureCode, reason_of
from schemas.events import MoneyState, NotificationKind, Stage
from tests.consumers.claims import assert_all_is_well
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import Pipeline, now
from tests.consumers.orders import TOTAL_MINOR, order, other_id, retry

pytestmark = pytest.mark.integration

DECLINED = "pm_card_chargeDeclinedInsufficientFunds"
NOTICE = "CustomerNotificationRequested"


async def fail(pipeline: Pipeline, token: str = DECLINED, **overrides: Any) -> None:
    await pipeline.publish(order(token=token, **overrides))
    await pipeline.until_status("payment_failed", "order-1")
    await pipeline.until_quiet()


async def refusal(pipeline: Pipeline) -> Any:
    """Return the notification that refuses the retry, the only one, which a notifier has got, too."""
    await assert_all_is_well(pipeline)
    notices = await pipeline.events("order-1", NOTICE)
    (refused,) = [notice for notice in notices if notice.kind is NotificationKind.RETRY_REFUSED]
    told = await pipeline.rows("SELECT event_id, text, stale FROM notification WHERE kind = 'RETRY_REFUSED'")
    assert told == [(refused.event_id, refused.reason, False)]
    return refused


async def test_declined_payment_fails_with_what_the_customer_may_do(pipeline: Pipeline) -> None:
    before = now()
    await fail(pipeline)
    await assert_all_is_well(pipeline)
    failed, notice = await pipeline.events("order-1", "PaymentFailed", NOTICE)
    assert (failed.stage, failed.failure_code) == (Stage.AUTHORIZE, "insufficient_funds")
    assert (failed.money, failed.retryable) == (MoneyState.NONE, True)
    assert before + timedelta(hours=23) < failed.retry_until < now() + timedelta(hours=25)
    assert (notice.kind, notice.failure_code, notice.retry_until) == (
        NotificationKind.PAYMENT_FAILED,
        "insufficient_funds",
        failed.retry_until,
    )
    assert await pipeline.shelf("SKU-1") == (10, 0, 0)
    assert await pipeline.effects("order-1") == []


async def test_another_method_pays_by_attempt_2_and_the_first_attempt_holds_no_money(pipeline: Pipeline) -> None:
    await fail(pipeline)
    clicked = retry()
    await pipeline.publish(clicked)
    await pipeline.until_status("paid_and_confirmed", "order-1")
    await assert_all_is_well(pipeline)
    authorized, *_ = await pipeline.events("order-1", "PaymentAuthorized")
    (paid,) = await pipeline.events("order-1", "PaidAndConfirmed")
    assert (authorized.attempt, authorized.causation_id, paid.attempt) == (2, clicked.event_id, 2)
    first, second = await pipeline.ledger("order-1")
    assert (first.status, first.captured_minor, first.effects) == ("requires_payment_method", 0, ())
    assert (second.transaction_id, second.captured_minor) == (paid.transaction_id, TOTAL_MINOR)
    assert await pipeline.rows("SELECT attempt, failure_code, captured_minor FROM attempt ORDER BY 1") == [
        (1, "insufficient_funds", 0),
        (2, None, TOTAL_MINOR),
    ]


@pytest.mark.parametrize("token", ["pm_card_visa", "pm_card_chargeDeclined"])
async def test_same_click_twice_is_one_attempt(pipeline: Pipeline, token: str) -> None:
    await fail(pipeline)
    await pipeline.publish(retry(token=token), retry(token=token, event_id=other_id("click")))
    await assert_all_is_well(pipeline)
    await pipeline.publish(retry(token=token, event_id=other_id("late click")))
    await assert_all_is_well(pipeline)
    assert await pipeline.value("SELECT max(attempt) FROM attempt") == 2
    assert len(await pipeline.ledger("order-1")) == 2
    assert await pipeline.value("SELECT count(*) FROM notification WHERE kind = 'RETRY_REFUSED'") == 0
    assert await pipeline.dead_letters() == []


async def test_retry_after_the_window_is_refused(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(retry_window_s=60)
    await pipeline.stock(SKU_1=10, SKU_2=10)
    await pipeline.join()
    await fail(pipeline)
    await pipeline.publish(retry(occurred_at=now() + timedelta(seconds=70)))
    assert (await refusal(pipeline)).failure_code == "window_closed"
    assert await pipeline.effects("order-1") == []


async def test_retry_of_a_paid_order_is_refused(pipeline: Pipeline) -> None:
    await pipeline.publish(order())
    await pipeline.until_status("paid_and_confirmed", "order-1")
    await pipeline.publish(retry())
    assert (await refusal(pipeline)).failure_code == "already_paid"
    assert await pipeline.effects("order-1") == ["authorize", "capture"]


NO_METHOD_HELPS: list[tuple[dict[str, Any], str]] = [
    ({"currency": "KPW"}, "currency_not_offered"),
    ({"currency": "HUF"}, "amount_too_small"),
    ({"discount_minor": 3_131}, "amount_too_small"),
]


@pytest.mark.parametrize(("changed", "code"), NO_METHOD_HELPS)
async def test_retry_where_no_method_can_help_is_refused(
    pipeline: Pipeline, changed: dict[str, Any], code: str
) -> None:
    await fail(pipeline, "pm_card_visa", **changed)
    await pipeline.publish(retry())
    assert (await refusal(pipeline)).failure_code == "not_retryable"
    (failed,) = await pipeline.events("order-1", "PaymentFailed")
    assert (failed.failure_code, failed.retryable, failed.money) == (code, False, MoneyState.NONE)
    assert await pipeline.ledger("order-1") == []


@pytest.mark.parametrize("card", ["LostCard", "StolenCard", "Fraudulent"])
async def test_a_card_that_the_bank_suspects_is_told_like_any_and_another_card_pays(
    pipeline: Pipeline, card: str
) -> None:
    await fail(pipeline, f"pm_card_chargeDeclined{card}")
    (failed,) = await pipeline.events("order-1", "PaymentFailed")
    assert (failed.reason, failed.retryable) == (reason_of(FailureCode.CARD_DECLINED), True)
    await pipeline.publish(retry())
    await pipeline.until_status("paid_and_confirmed", "order-1")
    await assert_all_is_well(pipeline)
    assert await pipeline.effects("order-1") == ["authorize", "capture"]


async def test_retry_beyond_the_last_attempt_is_refused(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(attempts_max=2)
    await pipeline.join()
    await fail(pipeline)
    await pipeline.publish(retry(token=DECLINED))
    await pipeline.until_quiet()
    await pipeline.publish(retry(after_attempt=2, event_id=other_id("third")))
    assert (await refusal(pipeline)).failure_code == "too_many"
    assert len(await pipeline.ledger("order-1")) == 2


async def test_retry_while_the_payment_is_under_way_is_refused(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline()
    await pipeline.stock(SKU_1=10, SKU_2=10)
    await pipeline.join()
    pipeline.gateway.down = True
    await pipeline.publish(order())
    await pipeline.until_status("confirmed", "order-1")
    await pipeline.publish(retry())
    await pipeline.until_taken()
    pipeline.gateway.down = False
    await pipeline.until_status("paid_and_confirmed", "order-1")
    assert (await refusal(pipeline)).failure_code == "in_progress"
    assert await pipeline.effects("order-1") == ["authorize", "capture"]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [({"order_id": "order-9"}, "unknown_order"), ({"after_attempt": 2}, "illegal_transition")],
)
async def test_retry_of_what_never_was_is_a_dead_letter(pipeline: Pipeline, asked: dict[str, Any], reason: str) -> None:
    await fail(pipeline)
    await pipeline.publish(retry(**asked))
    await assert_all_is_well(pipeline)
    assert await pipeline.dead_letters() == [("payments.retry_payment", reason)]
    (letter,) = await pipeline.topics("PaymentRetryRequested", dead_letters=True)
    assert letter.header["payments_reason"] == reason.encode()
    assert await pipeline.value("SELECT count(*) FROM attempt") == 1
