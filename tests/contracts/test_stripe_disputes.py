"""What Stripe has of a transaction after it told something: money, refunds and disputes, read as they are."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from consumers.adapters.gateway.stripe_adapter import StripeGateway
from consumers.adapters.gateway.stripe_disputes import read_dispute
from consumers.adapters.gateway.stripe_fields import UNREADABLE_ERRORS
from consumers.adapters.gateway.stripe_lists import StripeLists
from consumers.adapters.gateway.stripe_requests import StripeRequests
from domain.errors import Transient
from domain.news import Dispute, RefundFailure, SeenRefund, TransactionNews
from domain.notices import Notice
from tests.contracts.own_stripe import OwnStripe, intent, own_stripe, said

CREATED = 1_772_366_400
AT = datetime.fromtimestamp(CREATED, UTC)
OURS = {"order_id": "order-1", "operation_id": "op-1"}


def dispute(**fields: Any) -> dict[str, Any]:
    """Make a dispute in the shape of the SDK's type, with a withdrawal of 12.50 EUR and a fee."""
    return {
        "id": "du_1",
        "object": "dispute",
        "amount": 1250,
        "balance_transactions": [{"id": "txn_1", "amount": -1250, "fee": 2000, "net": -3250, "currency": "eur"}],
        "charge": "ch_1",
        "created": CREATED,
        "currency": "eur",
        "enhanced_eligibility_types": [],
        "evidence": {"customer_name": "never read"},
        "evidence_details": {"due_by": CREATED + 1, "has_evidence": False, "past_due": False, "submission_count": 0},
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "network_reason_code": "10.4",
        "payment_intent": "pi_1",
        "reason": "fraudulent",
        "status": "needs_response",
    } | fields


def moved(*amounts: int) -> dict[str, Any]:
    return {"balance_transactions": [{"amount": amount} for amount in amounts]}


def refund(name: str = "re_1", **fields: Any) -> dict[str, Any]:
    return {
        "id": name,
        "object": "refund",
        "amount": 500,
        "created": CREATED,
        "currency": "eur",
        "metadata": {},
        "payment_intent": "pi_1",
        "status": "succeeded",
    } | fields


def page(*things: dict[str, Any], more: bool = False) -> web.Response:
    return said({"object": "list", "data": list(things), "has_more": more, "url": "/v1/things"})


READ = Dispute("du_1", "pi_1", "needs_response", 1250, "EUR", "fraudulent", True, False, AT)


@pytest_asyncio.fixture
async def stripe() -> AsyncIterator[OwnStripe]:
    async with own_stripe() as own:
        yield own


@pytest_asyncio.fixture
async def gateway(stripe: OwnStripe) -> AsyncIterator[StripeGateway]:
    made = StripeGateway("sk_test_x", api_base=stripe.address, timeout_s=2)
    yield made
    await made.close()


def test_a_dispute_is_read_as_stripe_gives_it() -> None:
    assert read_dispute(dispute()) == READ
    assert read_dispute(dispute(payment_intent={"id": "pi_1", "object": "payment_intent"})) == READ
    assert read_dispute(dispute(payment_intent=None)).transaction_id == ""
    assert read_dispute(dispute(amount=1200, currency="jpy", **moved(-7))).amount_minor == 1200
    assert read_dispute(dispute(is_charge_refundable=True)).refundable


@pytest.mark.parametrize(
    ("movements", "withdrawn"),
    [((), False), ((-1250,), True), ((-1250, 1250), False), ((-1250, 1200), True), ((-1250, 1250, -1250), True)],
)
def test_money_is_withdrawn_while_more_was_taken_than_given_back(movements: tuple[int, ...], withdrawn: bool) -> None:  # noqa: FBT001
    assert read_dispute(dispute(**moved(*movements))).funds_withdrawn is withdrawn


def test_a_status_of_a_newer_api_is_read_and_a_reason_that_is_no_code_is_not() -> None:
    assert read_dispute(dispute(status="escalated")).status == "escalated"
    assert read_dispute(dispute(reason="Mr. Miller, 12 Main St")).reason == "unknown"


@pytest.mark.parametrize(
    "odd",
    [
        {"status": None},
        {"amount": "much"},
        {"currency": "xxx"},
        {"created": None},
        {"balance_transactions": None},
        {"id": 7},
    ],
)
def test_a_dispute_that_makes_no_sense_is_not_guessed_at(odd: dict[str, Any]) -> None:
    with pytest.raises(UNREADABLE_ERRORS):
        read_dispute(dispute(**odd))


async def test_the_news_of_a_transaction_are_its_money_its_refunds_and_its_disputes(
    stripe: OwnStripe, gateway: StripeGateway
) -> None:
    captured = intent(status="succeeded", amount_received=1250, amount_capturable=0, metadata=OURS)
    ours = refund("re_2", metadata=OURS, status="failed", failure_reason="expired_or_canceled_card")
    stripe.says(said(captured), page(ours, more=True), page(refund()), page(dispute()))

    found = await gateway.news_of("pi_1", with_disputes=True)

    assert found == TransactionNews(
        transaction_id="pi_1",
        order_id="order-1",
        operation_id="op-1",
        currency="EUR",
        captured_minor=1250,
        refunds=(
            SeenRefund("re_1", None, "succeeded", 500, "EUR"),
            SeenRefund("re_2", "op-1", "failed", 500, "EUR", "expired_or_canceled_card"),
        ),
        disputes=(READ,),
    )
    paths = [asked.path for asked in stripe.asked]
    assert paths == ["/v1/payment_intents/pi_1", "/v1/refunds", "/v1/refunds", "/v1/disputes"]


async def test_disputes_are_asked_for_only_where_they_matter(stripe: OwnStripe, gateway: StripeGateway) -> None:
    """A key that may not read disputes must not hide refunds."""
    stripe.says(said(intent(amount_capturable=1250, amount_received=0, metadata=OURS)), page())
    found = await gateway.news_of("pi_1", with_disputes=False)
    assert found is not None
    assert (found.held_minor, found.captured_minor, found.cancelled) == (1250, 0, False)
    assert [asked.path for asked in stripe.asked] == ["/v1/payment_intents/pi_1", "/v1/refunds"]


async def test_a_cancelled_one_and_one_of_another_system_whose_refunds_are_not_asked_for(
    stripe: OwnStripe, gateway: StripeGateway
) -> None:
    cancelled = intent(status="canceled", amount_received=0, metadata=OURS)
    stripe.says(said(cancelled), page())
    found = await gateway.news_of("pi_1", with_disputes=False)
    assert found is not None
    assert (found.held_minor, found.cancelled) == (0, True)
    asked = len(stripe.asked)
    stripe.says(said(intent(currency="xxx", amount_received=500, metadata={"order_id": "theirs"})))
    foreign = await gateway.news_of("pi_1", with_disputes=True)
    assert foreign == TransactionNews("pi_1", None, None, "XXX")
    assert len(stripe.asked) == asked + 1


async def test_what_stripe_does_not_have_is_none_and_what_it_does_not_say_is_transient(
    stripe: OwnStripe, gateway: StripeGateway
) -> None:
    missing = {"error": {"type": "invalid_request_error", "code": "resource_missing", "message": "No such intent"}}
    stripe.says(said(missing, 404))
    assert await gateway.news_of("pi_1", with_disputes=True) is None
    for answer in (
        said({"error": {"type": "api_error", "message": "?"}}, 500),
        said({"error": {"type": "invalid_request_error", "message": "the key may not"}}, 403),
        said(b"<html>", 200),
        said({"id": "pi_1"}),
    ):
        stripe.says(answer)
        with pytest.raises(Transient):
            await gateway.news_of("pi_1", with_disputes=True)


async def test_a_list_of_disputes_without_an_end_is_given_up(stripe: OwnStripe, gateway: StripeGateway) -> None:
    stripe.says(said(intent(amount_received=0, metadata=OURS)), page(), page(dispute(), more=True))
    with pytest.raises(Transient):
        await gateway.news_of("pi_1", with_disputes=True)


FREED = (
    refund("re_freed", balance_transaction=None),  # Stripe makes it when a held payment is cancelled
    refund("re_ran_out", reason="expired_uncaptured_charge"),
)


async def test_what_only_freed_an_authorization_is_no_refund_in_any_list(
    stripe: OwnStripe, gateway: StripeGateway
) -> None:
    lists = StripeLists(StripeRequests("sk_test_x", stripe.address, 1, connect_timeout_s=1, timeout_s=2))
    stripe.says(page(*FREED, refund("re_moved", balance_transaction="txn_2"), refund("re_ours", metadata=OURS)))
    listed = [each.refund_id async for group in lists.refunds(AT) for each in group]
    await lists.close()
    assert listed == ["re_moved", "re_ours"]
    stripe.says(page(*FREED))
    assert [each async for group in gateway.late_refunds(AT) for each in group] == []
    cancelled = intent(status="canceled", amount=500, amount_received=0, metadata=OURS)
    stripe.says(said(cancelled), page(*FREED))
    found = await gateway.news_of("pi_1", with_disputes=False)
    assert found is not None
    assert (found.refunds, found.returned_minor) == ((), 0)
    assert found.freed == ("re_ran_out", "re_freed"), "a notice that names one of them has been answered"


async def test_a_refund_of_ours_moves_money_though_its_line_in_the_balance_is_still_to_come(
    stripe: OwnStripe, gateway: StripeGateway
) -> None:
    """Half was captured, and we give that half back: the amount is also what the capture let go."""
    ours = refund("re_ours", metadata=OURS, status="pending", balance_transaction=None)
    freed = refund("re_rest", balance_transaction=None)
    half = intent(amount=1_000, amount_received=500, metadata=OURS)
    stripe.says(said(half), page(ours, freed))
    found = await gateway.news_of("pi_1", with_disputes=False)
    assert found is not None
    assert ([each.refund_id for each in found.refunds], found.freed) == (["re_ours"], ("re_rest",))


async def test_disputes_are_listed_since_a_time(stripe: OwnStripe) -> None:
    lists = StripeLists(StripeRequests("sk_test_x", stripe.address, 1, connect_timeout_s=1, timeout_s=2))
    stripe.says(page(dispute(), more=True), page(dispute(id="du_2")))
    found = [each.dispute_id async for group in lists.disputes(AT) for each in group]
    await lists.close()
    assert found == ["du_1", "du_2"]


async def test_a_dispute_of_another_system_in_a_currency_that_we_do_not_know_hides_no_list(stripe: OwnStripe) -> None:
    lists = StripeLists(StripeRequests("sk_test_x", stripe.address, 1, connect_timeout_s=1, timeout_s=2))
    stripe.says(page(dispute(id="du_theirs", currency="zzz", payment_intent="pi_theirs"), dispute()))
    found = [each async for group in lists.disputes(AT) for each in group]
    await lists.close()
    assert [(each.dispute_id, each.currency) for each in found] == [
        ("du_theirs", "ZZZ in another unit"),
        ("du_1", "EUR"),
    ]


async def test_the_list_of_refunds_gives_failures_of_ours_and_a_notice_of_each_foreign_one(
    stripe: OwnStripe, gateway: StripeGateway
) -> None:
    stripe.says(
        page(
            refund("re_ours", metadata=OURS),
            refund("re_failed", metadata=OURS, status="failed", failure_reason="declined"),
            refund("re_foreign"),
            refund("re_pending", status="pending"),
            refund("re_foreign_failed", status="canceled"),
            refund("re_of_a_charge", payment_intent=None),
        )
    )
    found = [each async for group in gateway.late_refunds(AT) for each in group]
    assert found == [
        RefundFailure("order-1", "op-1", "re_failed", 500, "declined"),
        Notice("re_foreign", "refund.updated", AT, "re_foreign", "pi_1", None, None),
        Notice("re_foreign_failed:failed", "refund.failed", AT, "re_foreign_failed", "pi_1", None, None),
    ]
