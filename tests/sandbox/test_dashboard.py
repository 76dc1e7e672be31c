"""Somebody acts in the gateway's dashboard: the money moves, and nothing there is ours."""

from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.client import Client, client_of
from tests.sandbox.process import running
from tests.sandbox.test_bank_methods import effects_of, fetch
from tests.sandbox.test_events import listed


def act(client: Client, intent: str, action: str, **more: Any) -> tuple[int, Any]:
    answer = client.http.post("/sandbox/dashboard", json={"payment_intent": intent, "action": action, **more})
    return answer.status_code, answer.json()


def test_a_refund_there_has_nothing_of_ours(client: Client) -> None:
    ours = {"metadata[order_id]": "o-1", "metadata[operation_id]": "op-1"}
    intent = client.intent("k-there", capture_method="automatic", **ours).body["id"]

    status, made = act(client, intent, "refund", amount=250)

    assert (status, made["amount"], made["status"], made["metadata"]) == (200, 250, "succeeded", {})
    assert client.get(f"/v1/refunds?payment_intent={intent}").body["data"] == [made]
    assert effects_of(client, intent)[2:] == [("refund", "elsewhere")]
    assert act(client, intent, "refund")[1]["amount"] == 1000
    assert act(client, intent, "refund")[0] == 400


def test_a_hold_is_captured_there_in_part(client: Client) -> None:
    intent = client.intent("k-part").body["id"]

    status, captured = act(client, intent, "capture", amount=1000)

    assert (status, captured["status"], captured["amount_received"]) == (200, "succeeded", 1000)
    assert effects_of(client, intent) == [("authorize", "k-part"), ("capture", "elsewhere")]
    assert act(client, intent, "capture")[1]["error"]["code"] == "payment_intent_unexpected_state"


def test_a_hold_is_cancelled_there(client: Client) -> None:
    intent = client.intent("k-cancel").body["id"]

    assert act(client, intent, "cancel")[1]["status"] == "canceled"
    assert effects_of(client, intent) == [("authorize", "k-cancel"), ("cancel", "elsewhere")]
    assert next(event["type"] for event in listed(client)) == "payment_intent.canceled"


def test_a_disputed_payment_is_not_refunded_there_either(client: Client) -> None:
    intent = client.intent(capture_method="automatic", payment_method="pm_card_createDispute").body["id"]

    assert act(client, intent, "refund")[1]["error"]["code"] == "charge_disputed"


def test_what_was_done_there_survives_a_crash(tmp_path: Path) -> None:
    with running(tmp_path / "journal") as process, client_of(process.address) as client:
        intent = client.intent().body["id"]
        act(client, intent, "capture")
        act(client, intent, "refund", amount=50)
        before = client.ledger(), [event["id"] for event in listed(client)]
        process.kill()

    with running(tmp_path / "journal") as process, client_of(process.address) as client:
        assert (client.ledger(), [event["id"] for event in listed(client)]) == before
        assert fetch(client, intent)["status"] == "succeeded"


@pytest.mark.parametrize(
    "body",
    [
        b"refund",
        b"[]",
        b'{"action": "refund"}',
        b'{"payment_intent": "%s", "action": "dance"}',
        b'{"payment_intent": "%s", "action": "refund", "amount": 0}',
        b'{"payment_intent": "%s", "action": "refund", "amount": true}',
        b'{"payment_intent": "%s", "action": "cancel", "amount": 5}',
        b'{"payment_intent": "%s", "action": "refund", "reason": "x"}',
    ],
)
def test_a_wrong_wish_changes_nothing(client: Client, body: bytes) -> None:
    intent = client.intent(capture_method="automatic").body["id"]

    answer = client.http.post("/sandbox/dashboard", content=body.replace(b"%s", intent.encode()))

    assert answer.status_code == 400
    assert client.get(f"/v1/refunds?payment_intent={intent}").body["data"] == []


def test_an_unknown_payment_is_missing(client: Client) -> None:
    assert act(client, "pi_1", "refund")[0] == 404
