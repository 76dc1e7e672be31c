"""The sandbox refuses what Stripe refuses, with Stripe's codes."""

from typing import Any

import pytest

from tests.sandbox.client import Client


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"amount": None}, (400, "parameter_missing", "amount")),
        ({"amount": "12.50"}, (400, "parameter_invalid_integer", "amount")),
        ({"amount": 0}, (400, "parameter_invalid_integer", "amount")),
        ({"amount": -5}, (400, "parameter_invalid_integer", "amount")),
        ({"amount": ""}, (400, "parameter_invalid_empty", "amount")),
        ({"amount": 100_000_000}, (400, "amount_too_large", "amount")),
        ({"amount": 49}, (400, "amount_too_small", "amount")),
        ({"amount": 17_499, "currency": "huf"}, (400, "amount_too_small", "amount")),
        ({"currency": "ang"}, (400, None, "currency")),
        ({"amount": 1251, "currency": "kwd"}, (400, "parameter_invalid_integer", "amount")),
        ({"amount": 150, "currency": "isk"}, (400, "parameter_invalid_integer", "amount")),
        ({"currency": "xyz"}, (400, None, "currency")),
        ({"currency": None}, (400, "parameter_missing", "currency")),
        ({"confirm": "yes"}, (400, None, "confirm")),
        ({"capture_method": "later"}, (400, None, "capture_method")),
        ({"payment_method": "pm_unheard_of"}, (400, "resource_missing", "payment_method")),
        ({"payment_method": None}, (400, "parameter_missing", "payment_method")),
        ({"colour": "blue"}, (400, "parameter_unknown", "colour")),
        ({"metadata": "flat"}, (400, None, "metadata")),
        ({"metadata[k]": "v" * 501}, (400, None, "metadata")),
        ({"expand[0]": "colour"}, (400, None, "expand")),
        ({"expand[0]": "customer"}, (501, "not_played", "expand[0]")),
        ({"confirm": "false", "error_on_requires_action": "true"}, (400, None, "error_on_requires_action")),
    ],
)
def test_a_wrong_parameter_is_refused_and_nothing_is_made(
    client: Client, changes: dict[str, Any], refusal: tuple[int, str | None, str | None]
) -> None:
    before = len(client.ledger()["payment_intents"])

    assert client.intent(**changes).error == refusal
    assert len(client.ledger()["payment_intents"]) == before


def test_a_caller_without_a_test_key_is_refused(client: Client) -> None:
    for headers in ({}, {"Authorization": "Bearer sk_live_1"}, {"Authorization": "Bearer nonsense"}):
        assert client.http.get("/v1/payment_intents", headers=headers).status_code == 401


def test_what_does_not_exist_is_missing(client: Client) -> None:
    assert client.get("/v1/payment_intents/pi_1").error == (404, "resource_missing", "intent")
    assert client.get("/v1/refunds/re_1").error == (404, "resource_missing", "refund")
    assert client.post("/v1/payment_intents/pi_1/capture", {}).error == (404, "resource_missing", "intent")
    assert client.post("/v1/refunds", {"payment_intent": "pi_1"}).error == (404, "resource_missing", "payment_intent")
    assert client.get("/v1/no_such_thing").error == (404, None, None)
    assert client.get("/v1/customers").error == (501, "not_played", None)


def test_a_decline_carries_the_intent_that_it_leaves_behind(client: Client) -> None:
    answer = client.intent(payment_method="pm_card_chargeDeclinedExpiredCard")

    error = answer.body["error"]
    assert answer.error == (402, "expired_card", "exp_month")
    assert (error["type"], error["decline_code"]) == ("card_error", "expired_card")
    assert error["payment_intent"]["status"] == "requires_payment_method"
    assert client.get(f"/v1/payment_intents/{error['payment_intent']['id']}").body == error["payment_intent"]


def test_authentication_is_an_action_unless_the_caller_wants_an_error(client: Client) -> None:
    asks = client.intent(payment_method="pm_card_authenticationRequired")
    fails = client.intent(payment_method="pm_card_authenticationRequired", error_on_requires_action="true")

    assert (asks.status, asks.body["status"]) == (200, "requires_action")
    assert fails.error == (402, "authentication_required", None)


def test_automatic_capture_captures_and_nothing_is_confirmed_unasked(client: Client) -> None:
    assert client.intent(capture_method="automatic").body["status"] == "succeeded"
    assert client.intent(confirm=None).body["status"] == "requires_confirmation"
    assert client.intent(confirm=None, payment_method=None).body["status"] == "requires_payment_method"


@pytest.mark.parametrize(
    ("before", "wanted"),
    [
        ("capture", "capture"),
        ("capture", "cancel"),
        ("cancel", "capture"),
        ("cancel", "cancel"),
    ],
)
def test_an_illegal_transition_is_refused_with_the_intent(client: Client, before: str, wanted: str) -> None:
    intent = client.intent().body["id"]
    state = client.post(f"/v1/payment_intents/{intent}/{before}", {}).body

    answer = client.post(f"/v1/payment_intents/{intent}/{wanted}", {})

    assert answer.error == (400, "payment_intent_unexpected_state", None)
    assert answer.body["error"]["payment_intent"] == state


def test_a_refund_needs_captured_money_that_is_left(client: Client) -> None:
    intent = client.intent().body["id"]
    refund = {"payment_intent": intent}
    assert client.post("/v1/refunds", refund).error == (400, None, None)
    client.post(f"/v1/payment_intents/{intent}/capture", {"amount_to_capture": 1000})

    assert client.post("/v1/refunds", refund | {"amount": 1001}).error == (400, None, "amount")
    assert client.post("/v1/refunds", refund | {"amount": 400}).body["amount"] == 400
    assert client.post("/v1/refunds", refund).body["amount"] == 600
    assert client.post("/v1/refunds", refund).error == (400, "charge_already_refunded", None)
    assert client.post("/v1/refunds", refund | {"reason": "mood"}).error == (400, None, "reason")


def test_a_payment_method_without_a_customer_is_confirmed_once(client: Client) -> None:
    made = client.post("/v1/payment_methods", {"type": "card", "card[token]": "tok_visa"}).body["id"]

    assert client.intent(payment_method=made).body["status"] == "requires_capture"
    assert client.intent(payment_method=made).error == (400, None, "payment_method")
    assert client.post("/v1/payment_methods", {"type": "card", "card[token]": "tok_nonsense"}).status == 400


def test_lists_are_newest_first_and_paged(client: Client) -> None:
    made = [client.intent().body["id"] for _ in range(3)]

    first = client.get("/v1/payment_intents?limit=2").body
    second = client.get(f"/v1/payment_intents?limit=2&starting_after={first['data'][-1]['id']}").body

    assert [intent["id"] for intent in first["data"]] == [made[2], made[1]]
    assert first["has_more"]
    assert second["data"][0]["id"] == made[0]
    assert client.get("/v1/payment_intents?created[gte]=9999999999").body["data"] == []
    assert client.get("/v1/payment_intents?limit=101").error == (400, "parameter_invalid_integer", "limit")
    assert client.get("/v1/payment_intents?order=asc").error == (400, "parameter_unknown", "order")
