"""What Stripe says around its answers, and what a caller may ask for: headers, lists, metadata, texts, 3-D Secure."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from deploy.playbank.methods import METHODS
from deploy.sandbox.params import METADATA_KEYS_MAX
from tests.sandbox.client import KEY, Client
from tests.sandbox.process import SandboxProcess

FORM = {
    "amount": "1250",
    "currency": "eur",
    "confirm": "true",
    "capture_method": "manual",
    "payment_method": "pm_card_visa",
    "payment_method_types[]": "card",
}
BACK = "https://shop.test/back"


@contextmanager
def _raw(sandbox: SandboxProcess, **headers: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sandbox.address, headers=headers, timeout=10, trust_env=False) as http:
        yield http


def test_the_key_may_be_the_user_of_http_basic(sandbox: SandboxProcess) -> None:
    with _raw(sandbox) as http:
        assert http.get("/v1/payment_intents", auth=(KEY, "")).status_code == 200
        assert http.get("/v1/payment_intents", auth=("sk_live_1", "")).status_code == 401
        assert http.get("/v1/payment_intents", headers={"Authorization": "Basic !"}).status_code == 401


def test_every_answer_has_a_request_id_of_its_own_and_repeats_the_version(client: Client) -> None:
    headers = {"Authorization": f"Bearer {KEY}", "Stripe-Version": "2026-10-28.endive"}
    answers = [client.http.get(path, headers=headers) for path in ("/v1/payment_intents", "/v1/nothing", "/v1/refunds")]

    ids = {answer.headers["Request-Id"] for answer in answers}
    assert len(ids) == 3
    assert all(request_id.startswith("req_") for request_id in ids)
    assert {answer.headers["Stripe-Version"] for answer in answers} == {"2026-10-28.endive"}
    wrong = client.http.get("/v1/refunds", headers=headers | {"Stripe-Version": "newest"})
    assert (wrong.status_code, "Stripe-Version" in wrong.headers) == (400, False)


def test_a_replay_names_the_request_that_was_executed(sandbox: SandboxProcess) -> None:
    with _raw(sandbox, **{"Authorization": f"Bearer {KEY}", "Idempotency-Key": "k-headers"}) as http:
        first, again = (http.post("/v1/payment_intents", data=FORM) for _ in range(2))

    assert first.headers["Original-Request"] == first.headers["Request-Id"]
    assert again.headers["Original-Request"] == first.headers["Request-Id"] != again.headers["Request-Id"]
    assert ("Idempotent-Replayed" in first.headers, again.headers["Idempotent-Replayed"]) == (False, "true")
    assert {answer.headers["Idempotency-Key"] for answer in (first, again)} == {"k-headers"}
    assert first.headers["Stripe-Should-Retry"] == "false"


def test_money_is_taken_at_once_unless_the_caller_says_manual(client: Client) -> None:
    intent = client.intent(capture_method=None).body

    assert (intent["capture_method"], intent["status"]) == ("automatic_async", "succeeded")


def test_manual_capture_can_be_asked_for_cards_alone(client: Client) -> None:
    changes = {"payment_method_options[card][capture_method]": "manual", "capture_method": "automatic_async"}
    intent = client.intent(**changes).body

    assert (intent["capture_method"], intent["status"]) == ("automatic_async", "requires_capture")
    assert intent["payment_method_options"]["card"]["capture_method"] == "manual"


def test_a_confirmation_that_may_send_the_customer_away_needs_a_way_back(client: Client) -> None:
    name = "automatic_payment_methods[allow_redirects]"
    assert client.intent(**{name: "always"}).error == (400, None, "return_url")
    assert client.intent(**{name: "always", "return_url": BACK}).status == 200
    assert client.intent(**{name: "always", "return_url": "back"}).error == (400, "url_invalid", "return_url")


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"metadata[" + "k" * 41 + "]": "v"}, (400, None, "metadata")),
        ({"metadata[a][b]": "v"}, (400, None, "metadata")),
        ({f"metadata[k{n}]": "v" for n in range(METADATA_KEYS_MAX + 1)}, (400, None, "metadata")),
        ({"description": "d" * 1001}, (400, None, "description")),
        ({"statement_descriptor": "SHOP"}, (400, None, "statement_descriptor")),
        ({"statement_descriptor_suffix": "x" * 23}, (400, None, "statement_descriptor_suffix")),
        ({"statement_descriptor_suffix": "ORDER <1>"}, (400, None, "statement_descriptor_suffix")),
        ({"statement_descriptor_suffix": "12345"}, (400, None, "statement_descriptor_suffix")),
        ({"customer": "cus_nobody"}, (400, "resource_missing", "customer")),
        ({"off_session": "maybe"}, (400, None, "off_session")),
        ({"payment_method_options[card][capture_method]": "later"}, (400, None)),
        ({"setup_future_usage": "off_session"}, (501, "not_played", "setup_future_usage")),
        ({"shipping[name]": "A"}, (501, "not_played", "shipping[name]")),
        ({"confirmation_method": "manual"}, (501, "not_played", "confirmation_method")),
    ],
)
def test_limits_of_fields_are_those_of_stripe(
    client: Client, changes: dict[str, Any], refusal: tuple[Any, ...]
) -> None:
    assert client.intent(**changes).error[: len(refusal)] == refusal


def test_an_empty_value_unsets_its_key_and_empty_metadata_unsets_all(client: Client) -> None:
    intent = client.intent(**{"metadata[a]": "1", "metadata[b]": "2", "metadata[c]": ""}).body
    path = f"/v1/payment_intents/{intent['id']}"
    assert intent["metadata"] == {"a": "1", "b": "2"}

    assert client.post(path, {"metadata[a]": "", "metadata[d]": "4"}).body["metadata"] == {"b": "2", "d": "4"}
    assert client.post(f"{path}/capture", {"metadata": ""}).body["metadata"] == {}
    refund = client.post("/v1/refunds", {"payment_intent": intent["id"], "metadata[a]": "1"}).body
    assert client.post(f"/v1/refunds/{refund['id']}", {"metadata": ""}).body["metadata"] == {}


def test_the_statement_has_the_shops_prefix_and_the_suffix(client: Client) -> None:
    changes = {"statement_descriptor_suffix": "ORDER 77", "expand[]": "latest_charge", "description": "two pairs"}
    charge = client.intent(**changes).body["latest_charge"]

    assert charge["calculated_statement_descriptor"] == "PLAYSHOP* ORDER 77"
    assert (charge["description"], charge["statement_descriptor_suffix"]) == ("two pairs", "ORDER 77")
    assert client.get(f"/v1/charges/{charge['id']}").body == charge


def test_several_properties_are_expanded_however_the_list_is_written(client: Client) -> None:
    intent = client.intent().body["id"]
    for query in ("expand[]=latest_charge&expand[]=payment_method", "expand[0]=latest_charge&expand[1]=payment_method"):
        found = client.get(f"/v1/payment_intents/{intent}?{query}").body
        assert (found["latest_charge"]["object"], found["payment_method"]["object"]) == ("charge", "payment_method")


def test_a_list_goes_in_both_directions_and_by_customer(client: Client) -> None:
    made = [client.intent(customer="cus_play_list").body["id"] for _ in range(4)]
    client.intent()

    def page(query: str) -> tuple[list[str], bool]:
        body = client.get(f"/v1/payment_intents?customer=cus_play_list&{query}").body
        return [intent["id"] for intent in body["data"]], body["has_more"]

    assert page("limit=3") == (made[:0:-1], True)
    assert page(f"starting_after={made[1]}") == ([made[0]], False)
    assert page(f"ending_before={made[0]}&limit=2") == ([made[2], made[1]], True)
    assert page(f"ending_before={made[2]}") == ([made[3]], False)
    both = client.get(f"/v1/payment_intents?starting_after={made[0]}&ending_before={made[1]}")
    assert both.error == (400, None, "ending_before")
    assert client.get("/v1/payment_intents?customer=cus_nobody").error == (400, "resource_missing", "customer")


def test_refunds_are_listed_by_payment_and_by_charge_in_both_directions(client: Client) -> None:
    intent = client.intent(capture_method=None).body
    made = [client.post("/v1/refunds", {"payment_intent": intent["id"], "amount": 100}).body["id"] for _ in range(3)]
    by_charge = client.post("/v1/refunds", {"charge": intent["latest_charge"], "amount": 100}).body

    assert by_charge["payment_intent"] == intent["id"]
    for of in (f"payment_intent={intent['id']}", f"charge={intent['latest_charge']}"):
        body = client.get(f"/v1/refunds?{of}&ending_before={made[0]}&limit=2").body
        assert [refund["id"] for refund in body["data"]] == [made[2], made[1]]
        assert body["has_more"]


def test_a_created_filter_may_be_one_second(client: Client) -> None:
    intent = client.intent().body

    found = client.get(f"/v1/payment_intents?created={intent['created']}&limit=100").body["data"]

    assert intent["id"] in [entry["id"] for entry in found]
    assert {entry["created"] for entry in found} == {intent["created"]}


def test_a_test_method_can_be_read_and_shows_its_card(client: Client) -> None:
    method = client.get("/v1/payment_methods/pm_card_gb_debit").body

    assert (method["type"], method["card"]["country"], method["card"]["funding"]) == ("card", "GB", "debit")
    assert client.get("/v1/payment_methods/pm_unheard_of").error == (404, "resource_missing", "payment_method")


@pytest.mark.parametrize("token", sorted(token for token in METHODS if token.startswith("pm_card_")))
def test_every_documented_card_ends_as_its_table_says(client: Client, token: str) -> None:
    method = METHODS[token]

    answer = client.intent(payment_method=token)

    if method.asks_customer:
        assert answer.body["status"] == "requires_action"
    elif method.decline is not None:
        assert answer.error[:2] == (402, method.decline.code)
    else:
        assert answer.body["status"] == "requires_capture"


def test_a_disputed_charge_says_so_once_it_is_captured(client: Client) -> None:
    intent = client.intent(payment_method="pm_card_createDispute", **{"expand[]": "latest_charge"}).body
    assert intent["latest_charge"]["disputed"] is False

    done = client.post(f"/v1/payment_intents/{intent['id']}/capture", {"expand[]": "latest_charge"}).body

    assert done["latest_charge"]["disputed"] is True


def _act(client: Client, intent: dict[str, Any], outcome: str) -> httpx.Response:
    return client.http.post(intent["next_action"]["redirect_to_url"]["url"], data={"outcome": outcome})


@pytest.mark.parametrize(
    ("token", "outcome", "status", "code"),
    [
        ("pm_card_authenticationRequired", "passed", "requires_capture", None),
        (
            "pm_card_authenticationRequired",
            "failed",
            "requires_payment_method",
            "payment_intent_authentication_failure",
        ),
        ("pm_card_threeDSecureRequiredChargeDeclined", "passed", "requires_payment_method", "card_declined"),
        ("pm_card_threeDSecureRequiredProcessingError", "passed", "requires_payment_method", "processing_error"),
    ],
)
def test_the_customer_answers_and_the_issuer_decides(
    client: Client, token: str, outcome: str, status: str, code: str | None
) -> None:
    key = f"k-3ds-{token}-{outcome}"
    intent = client.intent(key, payment_method=token, return_url=BACK).body
    assert intent["next_action"]["redirect_to_url"]["return_url"] == BACK
    page = client.http.get(intent["next_action"]["redirect_to_url"]["url"])
    assert intent["id"] in page.text

    sent_back = _act(client, intent, outcome)

    assert sent_back.status_code == 303
    assert sent_back.headers["Location"].startswith(f"{BACK}?payment_intent={intent['id']}&redirect_status=")
    found = client.get(f"/v1/payment_intents/{intent['id']}").body
    assert (found["status"], (found["last_payment_error"] or {}).get("code")) == (status, code)
    assert found["next_action"] is None
    [entry] = [entry for entry in client.ledger()["payment_intents"] if entry["id"] == intent["id"]]
    effects = [(effect["kind"], effect["key"]) for effect in entry["effects"]]
    assert effects == ([("authorize", key)] if code is None else [])


def test_the_second_answer_of_a_customer_changes_nothing(client: Client) -> None:
    intent = client.intent(payment_method="pm_card_authenticationRequired", return_url=BACK).body
    _act(client, intent, "passed")
    before = client.get(f"/v1/payment_intents/{intent['id']}").body

    assert _act(client, intent, "failed").status_code == 303
    assert client.get(f"/v1/payment_intents/{intent['id']}").body == before
    assert _act(client, intent, "perhaps").status_code == 400


def test_in_the_customers_absence_only_a_card_that_is_set_up_is_approved(client: Client) -> None:
    off_session = {"off_session": "true", "customer": "cus_play_1"}
    asks = client.intent(payment_method="pm_card_authenticationRequired", **off_session)
    is_set_up = client.intent(payment_method="pm_card_authenticationRequiredSetupForOffSession", **off_session)

    assert asks.error == (402, "authentication_required", None)
    assert (is_set_up.status, is_set_up.body["status"]) == (200, "requires_capture")
    assert is_set_up.body["customer"] == "cus_play_1"


def test_a_declined_intent_can_be_confirmed_with_another_method(client: Client) -> None:
    failed = client.intent(payment_method="pm_card_chargeDeclined").body["error"]["payment_intent"]["id"]

    answer = client.post(f"/v1/payment_intents/{failed}/confirm", {"payment_method": "pm_card_visa"})

    assert (answer.status, answer.body["status"], answer.body["last_payment_error"]) == (200, "requires_capture", None)
    again = client.post(f"/v1/payment_intents/{failed}/confirm", {"payment_method": "pm_card_visa"})
    assert again.error == (400, "payment_intent_unexpected_state", None)


def test_a_confirmation_token_is_confirmed_once(client: Client) -> None:
    made = client.post("/v1/test_helpers/confirmation_tokens", {"payment_method": "pm_card_gb"}).body
    by_token = {"payment_method": None, "confirmation_token": made["id"]}

    first = client.intent(**by_token)

    assert (first.status, first.body["status"]) == (200, "requires_capture")
    assert client.get(f"/v1/payment_methods/{first.body['payment_method']}").body["card"]["country"] == "GB"
    assert client.intent(**by_token).error == (400, None, "confirmation_token")
    assert client.intent(confirmation_token=made["id"]).error == (400, None, "payment_method")
    unknown = client.intent(payment_method=None, confirmation_token="ctoken_nobody")
    assert unknown.error == (400, "resource_missing", "confirmation_token")


def test_a_generic_decline_advises_to_try_later(client: Client) -> None:
    error = client.intent(payment_method="pm_card_chargeDeclined").body["error"]

    assert (error["decline_code"], error["advice_code"]) == ("generic_decline", "try_again_later")
