"""Early fraud warnings follow a capture, and move no money."""

from tests.sandbox.client import Client
from tests.sandbox.test_disputes import disputes, money, paid
from tests.sandbox.test_events import listed


def test_an_early_fraud_warning_follows_the_capture(client: Client) -> None:
    intent = paid(client, "createIssuerFraudRecord", capture_method="manual")
    assert client.get(f"/v1/radar/early_fraud_warnings?payment_intent={intent}").body["data"] == []
    charge = client.post(f"/v1/payment_intents/{intent}/capture", {}).body["latest_charge"]

    [warning] = client.get(f"/v1/radar/early_fraud_warnings?payment_intent={intent}").body["data"]

    assert (warning["charge"], warning["payment_intent"], warning["actionable"]) == (charge, intent, True)
    assert client.get(f"/v1/radar/early_fraud_warnings/{warning['id']}").body == warning
    [event] = listed(client, "&type=radar.early_fraud_warning.created")
    assert event["data"]["object"] == warning
    assert (money(client, intent), disputes(client, intent)) == ((0, []), [])
    client.post("/v1/refunds", {"payment_intent": intent})
    assert client.get(f"/v1/radar/early_fraud_warnings/{warning['id']}").body["actionable"] is False


def test_warnings_are_listed_newest_first(client: Client) -> None:
    made = [paid(client, "createIssuerFraudRecord") for _ in range(3)]

    newest = client.get("/v1/radar/early_fraud_warnings?limit=2&expand[]=data.payment_intent").body
    after = newest["data"][-1]["id"]
    older = client.get(f"/v1/radar/early_fraud_warnings?limit=1&starting_after={after}").body["data"]

    assert [warning["payment_intent"]["id"] for warning in newest["data"]] == made[:0:-1]
    assert newest["has_more"]
    assert [warning["payment_intent"] for warning in older] == made[:1]


def test_a_warning_that_does_not_exist_is_missing(client: Client) -> None:
    assert client.get("/v1/radar/early_fraud_warnings/x").error == (404, "resource_missing", "early_fraud_warning")
