"""Idempotency keys behave as Stripe's, and what was answered survives a crash."""

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.playbank.bank import AUTHORIZATION_TTL_S, KEY_TTL_S, Bank
from deploy.sandbox.creating import Done, create
from deploy.sandbox.journal import Memory, Stored
from deploy.sandbox.operations import refund
from deploy.sandbox.render import ledger_json
from tests.sandbox.client import Client, client_of
from tests.sandbox.process import running


def test_the_first_answer_of_a_key_is_replayed(client: Client) -> None:
    first = client.intent("k-replay")
    again = client.intent("k-replay")

    assert (first.replayed, again.replayed) == (False, True)
    assert (again.status, again.body) == (first.status, first.body)


def test_a_decline_is_replayed_too(client: Client) -> None:
    first = client.intent("k-decline", payment_method="pm_card_chargeDeclined")
    again = client.intent("k-decline", payment_method="pm_card_chargeDeclined")

    assert (again.status, again.body, again.replayed) == (402, first.body, True)


def test_a_stored_500_never_changes(client: Client) -> None:
    answers = [client.intent("k-500", payment_method="pm_fault_500_after") for _ in range(3)]

    assert [answer.status for answer in answers] == [500, 500, 500]
    assert [answer.replayed for answer in answers] == [False, True, True]
    assert client.get("/v1/payment_intents?limit=1").body["data"][0]["status"] == "requires_capture"


def test_a_key_belongs_to_its_parameters_and_its_endpoint(client: Client) -> None:
    intent = client.intent("k-params").body["id"]

    other = client.intent("k-params", amount=1251)
    elsewhere = client.post(f"/v1/payment_intents/{intent}/capture", {}, "k-params")

    assert other.body["error"]["type"] == elsewhere.body["error"]["type"] == "idempotency_error"
    assert (other.status, elsewhere.status) == (400, 400)


def test_a_refusal_before_execution_is_not_remembered(client: Client) -> None:
    assert client.intent("k-invalid", amount=0).status == 400
    assert client.intent("k-429", payment_method="pm_fault_429").error == (429, "rate_limit", None)

    assert client.intent("k-invalid").status == 200
    assert client.intent("k-429", payment_method="pm_fault_429").status == 200


def test_a_key_in_use_is_refused(client: Client) -> None:
    """Of two requests at once, the first is executed slowly and the second is told to wait."""
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(client.intent, "k-use", payment_method="pm_fault_slow_3s") for _ in range(2)]
        refused, done = sorted((request.result() for request in both), key=lambda answer: -answer.status)

    assert refused.error == (409, "idempotency_key_in_use", None)
    assert (done.status, done.replayed) == (200, False)
    again = client.intent("k-use", payment_method="pm_fault_slow_3s")
    assert (again.body, again.replayed) == (done.body, True)


def test_a_reset_is_a_real_one(client: Client) -> None:
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)) as lost:
        client.intent("k-reset", payment_method="pm_fault_reset_after")

    assert isinstance(lost.value, httpx.ReadError), "the connection was closed, not reset"
    assert client.intent("k-reset", payment_method="pm_fault_reset_after").replayed


def test_the_whole_gateway_can_be_down(client: Client) -> None:
    assert client.http.post("/sandbox/faults", json={"down": True}).json()["down"] is True
    with pytest.raises(httpx.TransportError):
        client.intent("k-down")
    assert client.http.get("/sandbox/health").status_code == 200

    client.http.post("/sandbox/faults", json={"down": False})

    answer = client.intent("k-down")
    assert (answer.status, answer.replayed) == (200, False)


def test_wrong_faults_are_refused(client: Client) -> None:
    wrongs: list[Any] = [{"up": True}, {"down": 1}, {"slow_share": 2}, {"slow_s": "long"}, []]
    for wrong in wrongs:
        assert client.http.post("/sandbox/faults", json=wrong).status_code == 400


def test_a_share_of_calls_is_slow(client: Client) -> None:
    client.http.post("/sandbox/faults", json={"slow_share": 1, "slow_s": 0.2})
    slow = client.http.get("/sandbox/health").elapsed
    answer = client.http.post(
        "/v1/payment_intents", data={"amount": "50", "currency": "eur"}, headers={"Authorization": "Bearer sk_test_1"}
    )
    client.http.post("/sandbox/faults", json={"slow_share": 0})

    assert answer.elapsed.total_seconds() >= 0.2 > slow.total_seconds()


def test_the_ledger_has_the_shape_of_the_contract(client: Client) -> None:
    key = "k-ledger"
    form = {"metadata[order_id]": "o-1", "metadata[operation_id]": "op-1", "amount": 500, "currency": "isk"}
    intent = client.intent(key, payment_method="pm_wallet_captured", **form).body["id"]
    client.post("/v1/refunds", {"payment_intent": intent, "amount": 200}, "k-back")

    ledger = client.ledger()

    [entry] = [found for found in ledger["payment_intents"] if found["id"] == intent]
    effects = [(effect["kind"], effect["key"], effect["amount_minor"]) for effect in entry.pop("effects")]
    assert effects == [("authorize", key, 5), ("capture", key, 5), ("refund", "k-back", 2)]
    assert entry == {
        "id": intent,
        "order_id": "o-1",
        "operation_id": "op-1",
        "status": "succeeded",
        "amount_minor": 5,
        "amount_captured_minor": 5,
        "amount_refunded_minor": 2,
        "disputed_minor": 0,
        "currency": "ISK",
        "disputes": [],
    }
    assert ledger["currency"]["ISK"] == {"captured_minor": 5, "refunded_minor": 2, "disputed_minor": 0}


def test_everything_answered_survives_a_kill(tmp_path: Path) -> None:
    data = tmp_path / "journal.jsonl"
    with running(data) as sandbox, client_of(sandbox.address) as client:
        first = client.intent("k1", payment_method="pm_fault_429_on_capture")
        intent = first.body["id"]
        assert client.post(f"/v1/payment_intents/{intent}/capture", {}, "k2").status == 429
        made = client.post("/v1/payment_methods", {"type": "card", "card[token]": "tok_visa"}).body["id"]
        client.intent("k3", payment_method=made)
        before = client.ledger()
        sandbox.kill()
    with data.open("ab") as journal:
        journal.write(b'{"key": ["cut short')

    with running(data) as sandbox, client_of(sandbox.address) as client:
        assert client.ledger() == before
        again = client.intent("k1", payment_method="pm_fault_429_on_capture")
        assert (again.body, again.replayed) == (first.body, True)
        assert client.post(f"/v1/payment_intents/{intent}/capture", {}, "k2").body["status"] == "succeeded"
        assert client.intent(payment_method=made).status == 400
        after = client.ledger()
        assert sandbox.stop() == 0

    with running(data) as sandbox, client_of(sandbox.address) as client:
        assert client.ledger() == after


def test_a_held_connection_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with running(tmp_path / "journal.jsonl") as sandbox, client_of(sandbox.address) as client:
        with pytest.raises(httpx.ReadTimeout):
            client.http.post(
                "/v1/payment_intents",
                data={
                    "amount": "50",
                    "currency": "eur",
                    "confirm": "true",
                    "payment_method": "pm_fault_timeout_before",
                },
                headers={"Authorization": "Bearer sk_test_1"},
                timeout=0.2,
            )
        assert sandbox.stop() == 0


def test_the_sandbox_listens_on_loopback_only(tmp_path: Path) -> None:
    for listen in ("0.0.0.0:0", "192.0.2.1:80", "example.com:80", "127.0.0.1"):
        command = [sys.executable, "-m", "deploy.sandbox", "--listen", listen, "--data", str(tmp_path / "j")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert len(done.stderr.splitlines()) == 1


def test_two_sandboxes_never_share_a_journal(tmp_path: Path) -> None:
    data = tmp_path / "journal.jsonl"
    with running(data):
        command = [sys.executable, "-m", "deploy.sandbox", "--listen", "127.0.0.1:0", "--data", str(data)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Another sandbox uses" in done.stderr


def test_an_authorization_lapses_and_a_key_is_forgotten_in_time(tmp_path: Path) -> None:
    now = 1_800_000_000.0
    bank = Bank(lambda: now, 5.0)
    with Memory(tmp_path / "journal.jsonl", bank) as memory:
        form = {"amount": "50", "currency": "eur", "confirm": "true", "capture_method": "manual"}
        form["payment_method_types[]"] = "card"
        done = create(bank, form | {"payment_method": "pm_card_visa"}, "k")
        memory.remember("k", Stored("f", 200, b"{}", now), done.changed)
        now += KEY_TTL_S
        assert memory.stored("k") is None
        now += AUTHORIZATION_TTL_S
        [entry] = ledger_json(bank)["payment_intents"]
    assert entry["status"] == "canceled"
    assert [effect["kind"] for effect in entry["effects"]] == ["authorize", "cancel"]


@pytest.mark.parametrize("second_at", [1.0, 9.0], ids=["both pending", "the first is decided"])
def test_the_ledger_is_the_same_after_a_restart_though_two_refunds_of_a_payment_were_pending(
    tmp_path: Path, second_at: float
) -> None:
    data, begun = tmp_path / "journal.jsonl", 1_800_000_000.0
    now = begun
    bank = Bank(lambda: now, 5.0)
    with Memory(data, bank) as memory:

        def remember(key: str, done: Done) -> None:
            memory.remember(key, Stored("f", 200, b"{}", now), done.changed)

        form = {"amount": "500", "currency": "eur", "confirm": "true", "payment_method_types[]": "card"}
        made = create(bank, form | {"payment_method": "pm_fault_refund_pending"}, "k")
        remember("k", made)
        for key, at in (("k-1", 0.0), ("k-2", second_at)):
            now = begun + at
            intent = bank.intent(made.body["id"])
            assert intent is not None
            remember(key, refund(bank, intent, {"payment_intent": intent.id, "amount": "100"}, key))
        now = begun + 60
        before = ledger_json(bank)
    again = Bank(lambda: now, 5.0)

    with Memory(data, again):
        after = ledger_json(again)

    assert after == before
    [entry] = after["payment_intents"]
    assert [effect["key"] for effect in entry["effects"] if effect["kind"] == "refund"] == ["k-1", "k-2"]
    assert entry["amount_refunded_minor"] == 200


def test_an_interrupt_ends_it_well(tmp_path: Path) -> None:
    with running(tmp_path / "journal.jsonl") as sandbox:
        sandbox.signal(signal.SIGINT)
        assert sandbox.stop() == 0


def test_an_odd_amount_of_one_transaction_does_not_hide_the_others(client: Client) -> None:
    """Half a króna has no minor unit: it is shown as Stripe counts it."""
    intent = client.intent("k-half", payment_method="pm_wallet_captured", amount=500, currency="isk").body["id"]
    client.post("/v1/refunds", {"payment_intent": intent, "amount": 50}, "k-half-back")

    [entry] = [found for found in client.ledger()["payment_intents"] if found["id"] == intent]

    assert (entry["amount_captured_minor"], entry["amount_refunded_minor"]) == (5, 50)
