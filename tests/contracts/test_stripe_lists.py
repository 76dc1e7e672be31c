"""Stripe's lists of payments and refunds, as they stand there."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from consumers.adapters.gateway.stripe_lists import StripeLists, read_refund, read_transaction
from consumers.adapters.gateway.stripe_pages import PAGE
from consumers.adapters.gateway.stripe_requests import StripeRequests
from domain.errors import Transient
from domain.ports.gateway import ListedRefund, ListedTransaction, RefundState
from tests.contracts.own_stripe import own_stripe, said
from tests.sandbox.client import Client, client_of
from tests.sandbox.process import running

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("lists") / "journal.jsonl") as process:
        yield process.address


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    with client_of(address) as opened:
        yield opened


async def all_of(address: str, since: datetime = LONG_AGO) -> tuple[list[ListedTransaction], list[ListedRefund]]:
    lists = StripeLists(StripeRequests("sk_test_lists", address, 1, connect_timeout_s=1.0, timeout_s=1.0))
    try:
        transactions = [t async for page in lists.transactions(since) for t in page]
        return transactions, [r async for page in lists.refunds(since) for r in page]
    finally:
        await lists.close()


async def test_every_page_is_read_once(address: str, client: Client) -> None:
    made = [client.intent(capture_method="automatic").body["id"] for _ in range(2 * PAGE + 1)]
    returned = [client.post("/v1/refunds", {"payment_intent": i}).body["id"] for i in made[: PAGE + 1]]
    transactions, refunds = await all_of(address)
    assert [t.transaction_id for t in transactions if t.transaction_id in set(made)] == made[::-1]
    assert [r.refund_id for r in refunds if r.refund_id in set(returned)] == returned[::-1]
    assert await all_of(address, datetime(2090, 1, 1, tzinfo=UTC)) == ([], [])


STATES: list[tuple[dict[str, Any], str, tuple[int, int, bool, bool]]] = [
    ({}, "", (1250, 0, False, False)),
    ({}, "capture", (1250, 1250, False, False)),
    ({}, "cancel", (1250, 0, True, False)),
    ({"capture_method": "automatic"}, "", (1250, 1250, False, False)),
    ({"payment_method": "pm_card_chargeDeclined"}, "", (0, 0, False, False)),
    ({"payment_method": "pm_card_authenticationRequired"}, "", (0, 0, False, True)),
    ({"confirm": "false"}, "", (0, 0, False, True)),
    ({"confirm": "false"}, "cancel", (0, 0, True, False)),
]


@pytest.mark.parametrize(("form", "then", "expected"), STATES)
async def test_a_transaction_is_listed_as_it_stands(
    address: str, client: Client, form: dict[str, Any], then: str, expected: tuple[int, int, bool, bool]
) -> None:
    named = {"metadata[order_id]": "order-1", "metadata[operation_id]": "operation-1"}
    body = client.intent(**named, **form).body
    made = body["id"] if "id" in body else body["error"]["payment_intent"]["id"]
    if then:
        assert client.post(f"/v1/payment_intents/{made}/{then}", {}).status == 200
    listed = next(t for t in (await all_of(address))[0] if t.transaction_id == made)
    assert (listed.authorized_minor, listed.captured_minor, listed.cancelled, listed.undecided) == expected
    assert (listed.order_id, listed.operation_id, listed.currency, listed.amount_minor) == (
        *("order-1", "operation-1", "EUR"),
        1250,
    )
    assert timedelta() <= datetime.now(UTC) - listed.created_at < timedelta(minutes=1)  # noqa: TID251 - real time


INTENT = {
    "id": "pi_1",
    "amount": 1250,
    "amount_received": 0,
    "created": 1_700_000_000,
    "currency": "eur",
    "latest_charge": None,
    "metadata": {},
    "status": "requires_capture",
}


@pytest.mark.parametrize(
    ("changes", "authorized"),
    [
        ({"amount_capturable": 800}, 800),
        ({"status": "succeeded", "amount_received": 700, "latest_charge": {"amount": 1250}}, 1250),
        ({"status": "succeeded", "amount_received": 700, "latest_charge": "ch_1"}, 1250),
        (
            {
                "status": "canceled",
                "latest_charge": {
                    "status": "succeeded",
                    "amount": 1250,
                    "payment_method_details": {"card": {"amount_authorized": 800}},
                },
            },
            800,
        ),
        ({"status": "canceled", "latest_charge": {"status": "failed", "amount": 1250}}, 0),
        ({"status": "a_new_one"}, 0),
    ],
)
def test_what_was_approved_is_read_from_the_charge(changes: dict[str, Any], authorized: int) -> None:
    assert read_transaction({**INTENT, **changes}).authorized_minor == authorized


@pytest.mark.parametrize(
    ("currency", "amount", "read"),
    [("isk", 125_000, ("ISK", 1250)), ("jpy", 1250, ("JPY", 1250)), ("zzz", 7, ("ZZZ in another unit", 7))],
)
def test_amounts_are_in_iso_units_and_a_unit_that_we_do_not_know_is_said(
    currency: str, amount: int, read: tuple[str, int]
) -> None:
    listed = read_transaction({**INTENT, "currency": currency, "amount": amount})
    assert (listed.currency, listed.amount_minor) == read


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("succeeded", RefundState.SUCCEEDED),
        ("pending", RefundState.PENDING),
        ("requires_action", RefundState.PENDING),
        ("failed", RefundState.FAILED),
        ("canceled", RefundState.FAILED),
        ("a_new_one", RefundState.PENDING),
    ],
)
def test_every_state_of_a_refund_is_read(status: str, state: RefundState) -> None:
    refund = {"id": "re_1", "amount": 5, "created": 1_700_000_000, "currency": "eur", "status": status}
    listed = read_refund({**refund, "payment_intent": "pi_1", "metadata": None})
    assert (listed.state, listed.transaction_id, listed.operation_id) == (state, "pi_1", None)


async def test_an_object_that_makes_no_sense_is_an_error_for_the_whole_list() -> None:
    odd = {"object": "list", "data": [{**INTENT, "created": "yesterday"}], "has_more": False}
    async with own_stripe(said(odd)) as stripe:
        with pytest.raises(Transient, match="cannot read"):
            await all_of(stripe.address)
