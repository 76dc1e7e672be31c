"""Disputes follow a capture, move money, and end as the evidence says."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from deploy.playbank import cards
from tests.eventually import eventually
from tests.sandbox.client import Answer, Client, client_of
from tests.sandbox.process import running
from tests.sandbox.test_bank_methods import SAVED, fetch, pay
from tests.sandbox.test_events import listed, told

PAID = {"capture_method": "automatic"}
TEXT = "evidence[uncategorized_text]"


def paid(client: Client, card: str = "createDispute", **changes: Any) -> str:
    """Pay with a test card; return the PaymentIntent's id."""
    intent: str = client.intent(payment_method=f"pm_card_{card}", **{**PAID, **changes}).body["id"]
    return intent


def disputes(client: Client, intent: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"/v1/disputes?payment_intent={intent}").body["data"]
    return found


def dispute(client: Client, intent: str) -> dict[str, Any]:
    [found] = disputes(client, intent)
    return found


def answer(client: Client, intent: str, text: str, **more: str) -> Answer:
    return client.post(f"/v1/disputes/{dispute(client, intent)['id']}", {TEXT: text, **more})


def money(client: Client, intent: str) -> tuple[int, list[tuple[str, int]]]:
    """Return what the dispute has now, and what it moved, as the ledger has it."""
    [entry] = [entry for entry in client.ledger()["payment_intents"] if entry["id"] == intent]
    return entry["disputed_minor"], [(move["kind"], move["amount_minor"]) for move in entry["disputes"]]


def told_of(client: Client, intent: str) -> list[str]:
    """Return the types of the events about a payment's disputes, in order."""
    ids = {found["id"] for found in disputes(client, intent)}
    events = listed(client)
    return [event["type"] for event in reversed(events) if event["data"]["object"]["id"] in ids]


def refund(client: Client, intent: str) -> Answer:
    return client.post("/v1/refunds", {"payment_intent": intent, "amount": 100})


def test_a_dispute_follows_the_capture_and_takes_the_money(client: Client) -> None:
    intent = paid(client, capture_method="manual")
    assert disputes(client, intent) == []

    charge = client.post(f"/v1/payment_intents/{intent}/capture", {"amount_to_capture": 1000}).body["latest_charge"]

    found = dispute(client, intent)
    assert (found["amount"], found["charge"], found["currency"]) == (1000, charge, "eur")
    assert (found["reason"], found["status"], found["is_charge_refundable"]) == ("fraudulent", "needs_response", False)
    assert [moved["amount"] for moved in found["balance_transactions"]] == [-1000]
    assert found["evidence_details"]["due_by"] > found["created"]
    assert client.get(f"/v1/charges/{charge}").body["disputed"] is True
    assert client.get(f"/v1/disputes/{found['id']}").body == found
    assert money(client, intent) == (1000, [("dispute_withdrawn", 1000)])
    assert told_of(client, intent) == ["charge.dispute.created", "charge.dispute.funds_withdrawn"]
    assert refund(client, intent).error == (400, "charge_disputed", None)


@pytest.mark.parametrize("card", sorted(cards.DISPUTES))
def test_every_documented_card_is_disputed_as_its_table_says(client: Client, card: str) -> None:
    found = disputes(client, paid(client, card))

    cases = cards.DISPUTES[card]
    shown = [(one["reason"], one["payment_method_details"]["card"]["case_type"]) for one in found]
    assert shown == [(case.reason, case.case_type) for case in reversed(cases)]
    assert [one["enhanced_eligibility_types"] for one in found] == [
        [] if case.eligible_for is None else [case.eligible_for] for case in reversed(cases)
    ]
    assert sum(one["amount"] for one in found) == 1250


def test_evidence_wins_and_the_money_comes_back(client: Client) -> None:
    intent = paid(client)

    won = answer(client, intent, "winning_evidence").body

    assert (won["status"], won["is_charge_refundable"], won["evidence_details"]["submission_count"]) == ("won", True, 1)
    assert [moved["amount"] for moved in won["balance_transactions"]] == [-1250, 1250]
    assert money(client, intent) == (0, [("dispute_withdrawn", 1250), ("dispute_reinstated", 1250)])
    assert told_of(client, intent)[2:] == [
        "charge.dispute.updated",
        "charge.dispute.funds_reinstated",
        "charge.dispute.closed",
    ]
    assert refund(client, intent).body["status"] == "succeeded"
    assert answer(client, intent, "winning_evidence").error == (400, None, None)


@pytest.mark.parametrize("by", ["evidence", "closing"])
def test_a_lost_dispute_keeps_the_money(client: Client, by: str) -> None:
    intent = paid(client, "createDisputeProductNotReceived")

    if by == "evidence":
        lost = answer(client, intent, "losing_evidence").body
    else:
        lost = client.post(f"/v1/disputes/{dispute(client, intent)['id']}/close", {}).body

    assert (lost["status"], lost["is_charge_refundable"]) == ("lost", False)
    assert money(client, intent) == (1250, [("dispute_withdrawn", 1250)])
    assert told_of(client, intent)[2:] == ["charge.dispute.updated", "charge.dispute.closed"]
    assert refund(client, intent).error == (400, "charge_disputed", None)
    assert client.post(f"/v1/disputes/{lost['id']}/close", {}).error == (400, None, None)


def test_other_evidence_is_under_review_and_may_still_win(client: Client) -> None:
    intent = paid(client)
    saved = answer(client, intent, "a parcel number", submit="false").body
    assert (saved["status"], saved["evidence_details"]["has_evidence"]) == ("needs_response", True)
    assert saved["evidence_details"]["submission_count"] == 0

    reviewed = client.post(f"/v1/disputes/{saved['id']}", {"submit": "true"}).body
    won = answer(client, intent, "winning_evidence").body

    assert (reviewed["status"], reviewed["evidence"]["uncategorized_text"]) == ("under_review", "a parcel number")
    assert won["status"] == "won"


def test_an_inquiry_moves_no_money_until_it_is_escalated(client: Client) -> None:
    intent = paid(client, "createDisputeInquiry")
    asked = dispute(client, intent)
    assert (asked["status"], asked["balance_transactions"]) == ("warning_needs_response", [])
    assert asked["is_charge_refundable"] is True
    assert refund(client, intent).status == 200
    assert money(client, intent) == (0, [])

    escalated = answer(client, intent, "escalate_inquiry_evidence").body

    assert (escalated["status"], escalated["is_charge_refundable"]) == ("needs_response", False)
    assert money(client, intent) == (1150, [("dispute_withdrawn", 1150)])
    assert told_of(client, intent) == [
        "charge.dispute.created",
        "charge.dispute.updated",
        "charge.dispute.funds_withdrawn",
    ]


@pytest.mark.parametrize("text", ["winning_evidence", "losing_evidence", "close"])
def test_an_answered_inquiry_is_over(client: Client, text: str) -> None:
    intent = paid(client, "createDisputeInquiry")
    inquiry = dispute(client, intent)["id"]

    ended = client.post(f"/v1/disputes/{inquiry}/close", {}) if text == "close" else answer(client, intent, text)

    assert (ended.body["status"], money(client, intent)) == ("warning_closed", (0, []))
    assert told_of(client, intent)[-1] == "charge.dispute.closed"


def test_a_disputed_debit_is_lost_as_it_begins(client: Client) -> None:
    intent = pay(client, "pm_disputed_de", **SAVED).body["id"]
    eventually(lambda: fetch(client, intent)["status"] == "succeeded", "the bank pays")

    found = dispute(client, intent)

    assert (found["status"], found["reason"], "payment_method_details" in found) == (
        "lost",
        "debit_not_authorized",
        False,
    )
    assert money(client, intent) == (1250, [("dispute_withdrawn", 1250)])
    assert told_of(client, intent) == [
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.closed",
    ]


def test_disputes_are_listed_newest_first(client: Client) -> None:
    intents = [paid(client) for _ in range(3)]
    found = [dispute(client, intent) for intent in intents]
    ids = [one["id"] for one in found]

    def page(query: str) -> list[str]:
        return [one["id"] for one in client.get(f"/v1/disputes?{query}").body["data"]]

    assert page("limit=2") == ids[:0:-1]
    assert page(f"limit=1&starting_after={ids[1]}") == [ids[0]]
    assert page(f"ending_before={ids[1]}") == [ids[2]]
    assert page(f"charge={found[0]['charge']}") == [ids[0]]
    assert page("created[gte]=9999999999") == []
    whole = client.get("/v1/disputes?limit=1&expand[]=data.payment_intent&expand[]=data.charge").body["data"][0]
    assert (whole["payment_intent"]["id"], whole["charge"]["disputed"]) == (intents[2], True)


@pytest.mark.parametrize(
    ("path", "form", "error"),
    [
        ("", {"evidence[colour]": "x"}, (501, "not_played", "evidence[colour]")),
        ("", {"evidence[receipt]": "file_1"}, (501, "not_played", "evidence[receipt]")),
        ("", {TEXT: "x" * 20_001}, (400, None, TEXT)),
        ("", {"submit": "perhaps"}, (400, None, "submit")),
        ("", {"colour": "x"}, (400, "parameter_unknown", "colour")),
        ("/close", {"reason": "x"}, (400, "parameter_unknown", "reason")),
    ],
)
def test_a_wrong_answer_to_a_dispute_is_refused(
    client: Client, path: str, form: dict[str, str], error: tuple[int, str | None, str]
) -> None:
    found = dispute(client, paid(client))

    assert client.post(f"/v1/disputes/{found['id']}{path}", form).error == error
    assert client.get(f"/v1/disputes/{found['id']}").body == found


def test_metadata_is_no_evidence(client: Client) -> None:
    found = dispute(client, paid(client))

    changed = client.post(f"/v1/disputes/{found['id']}", {"metadata[case]": "7"}).body

    assert changed == found | {"metadata": {"case": "7"}}


def test_what_does_not_exist_is_missing(client: Client) -> None:
    assert client.get("/v1/disputes/du_1").error == (404, "resource_missing", "dispute")
    assert client.post("/v1/disputes/du_1/close", {}).error == (404, "resource_missing", "dispute")
    assert client.get("/v1/disputes?charge=ch_1").error == (400, "resource_missing", "charge")
    assert client.get("/v1/disputes?starting_after=du_1").error == (400, "resource_missing", "starting_after")


def test_a_payment_of_an_older_release_is_disputed_too(tmp_path: Path) -> None:
    intent = {
        "id": "pi_3a0",
        "sequence": 0,
        "created": 1_700_000_000.0,
        "amount": 500,
        "currency": "eur",
        "capture_method": "automatic",
        "payment_method": "pm_card_createDispute",
        "behaves_as": "pm_card_createDispute",
        "metadata": {},
        "status": "succeeded",
        "amount_received": 500,
        "charge": "ch_3a0",
        "effects": [{"kind": "capture", "key": "k", "at": 1_700_000_001.5, "amount": 500}],
    }
    lines = [{"born": "a"}, {"intent": intent, "key": ["k", "f", 200, "{}", 1_700_000_001.5]}]
    (tmp_path / "journal").write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))

    with running(tmp_path / "journal") as process, client_of(process.address) as client:
        found = dispute(client, "pi_3a0")
        assert (found["created"], found["charge"], found["amount"]) == (1_700_000_001, "ch_3a0", 500)
        assert told_of(client, "pi_3a0") == ["charge.dispute.created", "charge.dispute.funds_withdrawn"]


def test_disputes_survive_a_crash(tmp_path: Path) -> None:
    with running(tmp_path / "journal") as process, client_of(process.address) as client:
        won, kept, warned = paid(client), paid(client, "createDisputeInquiry"), paid(client, "createIssuerFraudRecord")
        answer(client, won, "winning_evidence")
        answer(client, kept, "a parcel number", submit="false")
        before = _everything(client)
        process.kill()

    with running(tmp_path / "journal") as process, client_of(process.address) as client:
        assert _everything(client) == before
        assert answer(client, kept, "losing_evidence").body["status"] == "warning_closed"
        assert client.get(f"/v1/radar/early_fraud_warnings?payment_intent={warned}").body["data"] != []


def _everything(client: Client) -> tuple[Any, ...]:
    events = [(event["id"], event["type"], event["created"]) for event in listed(client)]
    return client.get("/v1/disputes").body, client.ledger(), events


def test_disputes_are_told_by_webhook(tmp_path: Path) -> None:
    with told(tmp_path) as (client, inbox):
        intent = paid(client)
        answer(client, intent, "losing_evidence")
        eventually(lambda: len(inbox.events) == 5, lambda: str(inbox.types()))
        assert inbox.types() == [
            "charge.dispute.closed",
            "charge.dispute.created",
            "charge.dispute.funds_withdrawn",
            "charge.dispute.updated",
            "payment_intent.succeeded",
        ]
