"""Payment methods of banks: redirects capture when the customer has confirmed, debits are decided in days."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.playbank.bank import Bank
from deploy.playbank.methods import METHODS
from deploy.sandbox.creating import create
from deploy.sandbox.errors import ApiError
from deploy.sandbox.journal import Memory
from tests.eventually import eventually
from tests.sandbox.client import Answer, Client, client_of
from tests.sandbox.process import running
from tests.sandbox.test_events import listed, told

BACK = "https://shop.test/back"
LONG_S = 3600.0
CARDS_HELD = {
    "capture_method": "automatic_async",
    "payment_method_options[card][capture_method]": "manual",
    "automatic_payment_methods[allow_redirects]": "always",
    "return_url": BACK,
}
SAVED = {"customer": "cus_play_1"}


def pay(client: Client, token: str, **changes: Any) -> Answer:
    """Pay as a shop does that holds cards and takes whatever cannot be held."""
    currency = "usd" if token.startswith("pm_usBankAccount") else "eur"
    return client.intent(**{**CARDS_HELD, "payment_method": token, "currency": currency, **changes})


def fetch(client: Client, intent: str, query: str = "") -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/v1/payment_intents/{intent}{query}").body
    return found


def effects_of(client: Client, intent: str) -> list[tuple[str, str]]:
    [entry] = [entry for entry in client.ledger()["payment_intents"] if entry["id"] == intent]
    return [(effect["kind"], effect["key"]) for effect in entry["effects"]]


def answer_page(client: Client, intent: dict[str, Any], outcome: str) -> httpx.Response:
    return client.http.post(intent["next_action"]["redirect_to_url"]["url"], data={"outcome": outcome})


@pytest.mark.parametrize(
    ("token", "outcome", "status", "code"),
    [
        ("pm_redirect", "passed", "succeeded", None),
        ("pm_redirect", "failed", "requires_payment_method", "payment_intent_authentication_failure"),
        ("pm_redirect_declined", "passed", "requires_payment_method", "payment_method_provider_decline"),
    ],
)
def test_a_redirect_captures_at_once_when_the_customer_confirms_and_the_bank_pays(
    client: Client, token: str, outcome: str, status: str, code: str | None
) -> None:
    key = f"k-{token}-{outcome}"
    intent = client.intent(key, **{**CARDS_HELD, "payment_method": token}).body
    action = intent["next_action"]["redirect_to_url"]
    assert (intent["status"], action["return_url"]) == ("requires_action", BACK)
    assert "secret" not in action["url"]
    assert effects_of(client, intent["id"]) == []

    sent_back = answer_page(client, intent, outcome)

    assert sent_back.headers["Location"].startswith(f"{BACK}?payment_intent={intent['id']}&redirect_status=")
    found = fetch(client, intent["id"])
    assert (found["status"], (found["last_payment_error"] or {}).get("code")) == (status, code)
    assert effects_of(client, intent["id"]) == ([("authorize", key), ("capture", key)] if code is None else [])


def test_cards_are_held_where_others_are_captured(client: Client) -> None:
    card = pay(client, "pm_card_visa").body
    bank = pay(client, "pm_redirect").body
    answer_page(client, bank, "passed")

    assert (card["status"], fetch(client, bank["id"])["status"]) == ("requires_capture", "succeeded")
    assert card["payment_method_types"] == bank["payment_method_types"] == ["card", "ideal", "sepa_debit"]


@pytest.mark.parametrize("token", ["pm_redirect", "pm_debit_days", "pm_usBankAccount_success"])
def test_a_method_of_a_bank_cannot_be_held(client: Client, token: str) -> None:
    assert pay(client, token, capture_method="manual").error == (400, None, "capture_method")


def test_a_method_fits_the_types_and_the_currency_of_its_payment(client: Client) -> None:
    explicit = {
        "automatic_payment_methods[enabled]": None,
        "automatic_payment_methods[allow_redirects]": None,
    }
    only_ideal = {**explicit, "payment_method_types[]": "ideal"}

    assert pay(client, "pm_redirect", currency="usd").error == (400, None, "currency")
    assert pay(client, "pm_redirect", **explicit, **{"payment_method_types[]": "card"}).error[2] == "payment_method"
    assert pay(client, "pm_card_visa", **only_ideal).error == (400, None, "payment_method")
    assert pay(client, "pm_redirect", **only_ideal).body["payment_method_types"] == ["ideal"]
    assert pay(client, "pm_redirect", **only_ideal, return_url=None).error == (400, None, "return_url")
    assert pay(client, "pm_redirect", **only_ideal, capture_method="manual").error == (400, None, "capture_method")
    never = {"automatic_payment_methods[allow_redirects]": "never"}
    assert pay(client, "pm_redirect", **never).error == (400, None, "payment_method")


def test_a_bank_is_not_asked_in_the_customers_absence(client: Client) -> None:
    absent = pay(client, "pm_redirect", off_session="true", **SAVED)

    assert absent.error == (402, "authentication_required", None)


def test_a_debit_needs_the_customers_mandate(client: Client) -> None:
    refused = pay(client, "pm_debit_days")
    assert refused.error == (400, None, None)
    intent = refused.body["error"]["payment_intent"]
    assert (intent["status"], fetch(client, intent["id"])["status"]) == ("requires_confirmation",) * 2
    given = {"mandate_data[customer_acceptance][type]": "offline"}
    assert pay(client, "pm_debit_days", **given).error[:2] == (501, "not_played")

    token = client.post("/v1/test_helpers/confirmation_tokens", {"payment_method": "pm_debit_days"}).body
    by_token = pay(client, "pm_debit_days", payment_method=None, confirmation_token=token["id"])
    saved = pay(client, "pm_debit_days", **SAVED)

    assert token["payment_method_preview"]["type"] == "sepa_debit"
    assert (by_token.body["status"], saved.body["status"]) == ("processing", "processing")
    used = client.get(f"/v1/confirmation_tokens/{token['id']}").body
    assert used["payment_intent"] == by_token.body["id"]


def test_a_debit_is_processing_and_then_captured(client: Client) -> None:
    key = "k-debit"
    intent = client.intent(key, **{**CARDS_HELD, **SAVED, "payment_method": "pm_debit_days"}).body
    assert (intent["status"], intent["next_action"], intent["amount_received"]) == ("processing", None, 0)
    assert effects_of(client, intent["id"]) == []

    eventually(lambda: fetch(client, intent["id"])["status"] == "succeeded", "the bank pays")

    found = fetch(client, intent["id"], "?expand[]=latest_charge")
    charge = found["latest_charge"]
    assert (found["amount_received"], charge["paid"], charge["status"]) == (1250, True, "succeeded")
    assert charge["payment_method_details"]["type"] == "sepa_debit"
    assert charge["id"].startswith("py_")
    assert client.get(f"/v1/charges/{charge['id']}").body == charge
    assert effects_of(client, intent["id"]) == [("authorize", key), ("capture", key)]


def test_a_debit_may_be_declined_after_days(client: Client) -> None:
    intent = pay(client, "pm_debit_days_declined", **SAVED).body
    assert intent["status"] == "processing"

    eventually(lambda: fetch(client, intent["id"])["status"] != "processing", "the bank decides")

    found = fetch(client, intent["id"], "?expand[]=latest_charge")
    error = found["last_payment_error"]
    assert (found["status"], error["code"]) == ("requires_payment_method", "payment_method_provider_decline")
    assert (found["latest_charge"]["status"], found["latest_charge"]["paid"]) == ("failed", False)
    assert effects_of(client, intent["id"]) == []


@pytest.mark.parametrize("token", sorted(name for name, method in METHODS.items() if method.type == "us_bank_account"))
def test_every_documented_bank_account_ends_as_its_table_says(client: Client, token: str) -> None:
    method = METHODS[token]
    intent = pay(client, token, **SAVED).body
    assert intent["status"] == "processing"
    if method.never_decided:
        return

    eventually(lambda: fetch(client, intent["id"])["status"] != "processing", "the bank decides")

    error = fetch(client, intent["id"])["last_payment_error"]
    assert error is None if method.later_decline is None else error["code"] == method.later_decline.code


def test_only_a_debit_in_the_united_states_is_cancelled_while_its_bank_decides(tmp_path: Path) -> None:
    with running(tmp_path / "journal", LONG_S) as process, client_of(process.address) as client:
        american = pay(client, "pm_usBankAccount_processing", **SAVED).body["id"]
        european = pay(client, "pm_debit_days", **SAVED).body["id"]

        cancelled = client.post(f"/v1/payment_intents/{american}/cancel", {})
        refused = client.post(f"/v1/payment_intents/{european}/cancel", {})

    assert (cancelled.status, cancelled.body["status"]) == (200, "canceled")
    assert refused.error == (400, "payment_intent_unexpected_state", None)
    assert refused.body["error"]["payment_intent"]["status"] == "processing"


def test_a_debit_is_decided_over_a_crash(tmp_path: Path) -> None:
    with running(tmp_path / "journal", LONG_S) as process, client_of(process.address) as client:
        intents = [pay(client, token, **SAVED).body["id"] for token in ("pm_debit_days", "pm_debit_days_declined")]
        process.kill()

    with running(tmp_path / "journal", 0.0) as process, client_of(process.address) as client:
        statuses = [fetch(client, intent)["status"] for intent in intents]
        before = [(event["id"], event["type"]) for event in listed(client)]
        process.kill()

    with running(tmp_path / "journal", 0.0) as process, client_of(process.address) as client:
        assert sorted((event["id"], event["type"]) for event in listed(client)) == sorted(before)

    assert statuses == ["succeeded", "requires_payment_method"]
    assert sorted(kind for _, kind in before) == [
        "payment_intent.payment_failed",
        "payment_intent.processing",
        "payment_intent.processing",
        "payment_intent.succeeded",
    ]


def test_what_a_bank_decides_is_told_unasked(tmp_path: Path) -> None:
    with told(tmp_path) as (client, inbox):
        pay(client, "pm_debit_days", **SAVED)
        eventually(lambda: "payment_intent.succeeded" in inbox.types(), lambda: str(inbox.types()))
        eventually(lambda: "payment_intent.processing" in inbox.types(), lambda: str(inbox.types()))


def test_everything_that_a_shop_sends_is_taken_together(client: Client) -> None:
    token = client.post("/v1/test_helpers/confirmation_tokens", {"payment_method": "pm_redirect"}).body["id"]
    everything = {
        "payment_method": None,
        "confirmation_token": token,
        "customer": "cus_play_1",
        "description": "two pairs",
        "statement_descriptor_suffix": "ORDER 7",
        "metadata[order_id]": "o-1",
        "expand[]": "latest_charge",
    }
    intent = pay(client, "pm_redirect", **everything).body
    answer_page(client, intent, "passed")

    found = fetch(client, intent["id"])
    assert (found["status"], found["customer"], found["description"]) == ("succeeded", "cus_play_1", "two pairs")


def test_a_confirmation_token_expires(tmp_path: Path) -> None:
    now = 1_800_000_000.0
    bank = Bank(lambda: now, 1.0)
    form = {"amount": "500", "currency": "eur", "confirm": "true", "payment_method_types[0]": "card"}
    with Memory(tmp_path / "journal", bank):
        tokens = [bank.make_method("pm_card_visa").id.replace("pm_", "ctoken_") for _ in range(2)]
        now += 12 * 3600 - 1
        assert create(bank, form | {"confirmation_token": tokens[0]}, "k").body["status"] == "succeeded"
        now += 1
        with pytest.raises(ApiError) as expired:
            create(bank, form | {"confirmation_token": tokens[1]}, "k")

    assert (expired.value.status, expired.value.error["param"]) == (400, "confirmation_token")
