"""`payments order resolve`: an operator's word, its refusals, and what is kept of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.cli.words import os_user
from domain.ways_out import WAYS
from tests.deploy.commands import Ran, payments
from tests.deploy.orders import confirmed, publish, show, status_of
from tests.processes import started
from tests.sandbox.client import client_of
from tests.sandbox.process import running

ROOT = Path(__file__).parents[2]
NEVER_ANSWERED = "pm_fault_html_on_authorize_always"
QUICK = {"PAYMENTS_UNKNOWN_GIVE_UP_S": "0.5", "PAYMENTS_UNKNOWN_RETRY_S": "0.1"}


def resolve(directory: Path, environment: dict[str, str], order_id: str, *arguments: str) -> Ran:
    return payments(directory, "order", "resolve", order_id, *arguments, **environment)


def said(ran: Ran) -> dict[str, Any]:
    assert ran.code == 0, ran.err
    document: dict[str, Any] = json.loads(ran.out)
    return document


@pytest.fixture
def reviewed(tmp_path: Path, deployment: dict[str, str]) -> dict[str, str]:
    """Bring two orders under review, whose authorize never had an answer."""
    with started(tmp_path, "up", **deployment | QUICK) as up:
        publish(tmp_path, deployment, confirmed("order-1", NEVER_ANSWERED), confirmed("order-2", NEVER_ANSWERED))
        up.eventually(lambda: status_of(deployment, "order-1") == "manual_review", "a review")
        up.eventually(lambda: status_of(deployment, "order-2") == "manual_review", "another review")
        assert up.stop() == 0
    return deployment


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_an_operator_settles_a_review_and_who_and_why_is_kept(tmp_path: Path, reviewed: dict[str, str]) -> None:
    word = ("--as", "not-executed", "--reason", "not in the dashboard")
    tried = said(resolve(tmp_path, reviewed, "order-1", *word, "--dry-run", "--json"))
    assert (tried["dry_run"], tried["status"], status_of(reviewed, "order-1")) == (
        True,
        "payment_failed",
        "manual_review",
    )
    done = said(resolve(tmp_path, reviewed, "order-1", *word, "--by", "alice", "--json"))
    assert [event["type"] for event in done["events"]] == ["PaymentFailed", "CustomerNotificationRequested"]
    assert {key: done[key] for key in ("order_id", "review_reason", "as", "by", "reason", "status", "dry_run")} == {
        "order_id": "order-1",
        "review_reason": "authorize_unknown",
        "as": "not-executed",
        "by": "alice",
        "reason": "not in the dashboard",
        "status": "payment_failed",
        "dry_run": False,
    }
    again = resolve(tmp_path, reviewed, "order-1", *word, "--by", "bob")
    assert (again.code, again.out, again.err.count("\n")) == (1, "", 1)
    assert "payment_failed, not in manual review; alice said not-executed at " in again.err
    assert "not in the dashboard" in again.err

    order = show(tmp_path, reviewed, "order-1")
    assert [(o["kind"], o["state"], o["by"], o["reason"]) for o in order["operations"]] == [
        ("authorize", "not_executed", "alice", "not in the dashboard")
    ]
    assert [(r["by"], r["word"], r["reason"], r["review_reason"]) for r in order["resolutions"]] == [
        ("alice", "not-executed", "not in the dashboard", "authorize_unknown")
    ]
    timeline = payments(tmp_path, "order", "show", "order-1", **reviewed).out.split("timeline\n")[1].splitlines()
    words = ("PaymentReviewRequired", "authorize_unknown: not-executed", "authorize not_executed", "PaymentFailed")
    places = [next(n for n, line in enumerate(timeline) if word in line) for word in words]
    assert places == sorted(places)
    assert all("alice" in timeline[place] for place in places[1:3])

    text = resolve(tmp_path, reviewed, "order-2", *word)
    assert (text.code, text.err) == (0, "")
    assert text.out.startswith(f"order-2: authorize_unknown is settled as not-executed by {os_user()}\n")


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_a_wrong_word_is_refused_in_one_line_with_what_to_do(tmp_path: Path, reviewed: dict[str, str]) -> None:
    why = ("--reason", "saw it")
    for arguments, code, says in (
        (("order-1", "--as", "executed", *why), 1, "--reference"),
        (("order-1", "--as", "executed", "--reference", "re_1", *why), 1, "pi_..."),
        (("nobody", "--as", "executed", *why), 1, "payments order list --status manual_review"),
        (("order-1", "--as", "perhaps", *why), 2, "not-executed"),
        (("order-1", "--as", "executed"), 2, "--reason"),
        (("order-1", "--as", "executed", "--reason", " "), 2, "1 to 500 characters"),
        (("order-1", "--as", "executed", "--reason", "card 4242424242424242"), 2, "card number"),
        (("order-1", "--as", "executed", "--reference", "pi 1", *why), 2, "no spaces"),
    ):
        ran = resolve(tmp_path, reviewed, *arguments)
        assert (ran.code, ran.out, ran.err.count("\n")) == (code, "", 1), ran.err
        assert says in ran.err
    gone = reviewed | {"PAYMENTS_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nowhere"}
    assert resolve(tmp_path, gone, "order-1", "--as", "not-executed", *why).code == 3
    assert status_of(reviewed, "order-1") == "manual_review"


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_an_id_that_the_gateway_does_not_have_is_refused_before_anything_is_settled(
    tmp_path: Path, reviewed: dict[str, str]
) -> None:
    with running(tmp_path / "journal.jsonl") as sandbox:
        asked = reviewed | {"PAYMENTS_GATEWAY": "sandbox", "PAYMENTS_STRIPE_API_BASE": sandbox.address}
        executed = ("--as", "executed", "--reason", "saw it", "--reference")
        never = resolve(tmp_path, asked, "order-1", *executed, "pi_never")
        assert (never.code, never.out) == (1, "")
        assert "the gateway has nothing of the id pi_never" in never.err
        with client_of(sandbox.address) as client:
            other = client.intent(**{"metadata[order_id]": "order-3"}).body["id"]
        of_another = resolve(tmp_path, asked, "order-1", *executed, other)
        assert of_another.code == 1
        assert f"{other} is of order order-3 at the gateway" in of_another.err
    silent = resolve(tmp_path, asked, "order-1", *executed, "pi_never")
    assert silent.code == 3
    assert "does not say what pi_never is" in silent.err
    assert status_of(reviewed, "order-1") == "manual_review"


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_a_refund_of_a_part_does_not_count_as_all_that_is_owed(tmp_path: Path, deployment: dict[str, str]) -> None:
    with running(tmp_path / "journal.jsonl", pending_s=0.5) as sandbox:
        at = {"PAYMENTS_GATEWAY": "sandbox", "PAYMENTS_STRIPE_API_BASE": sandbox.address}
        environment = deployment | at | {"PAYMENTS_REFUND_RECHECK_S": "1"}
        with started(tmp_path, "up", **environment) as up:
            publish(tmp_path, environment, confirmed("order-1", "pm_fault_refund_fails_later"))
            up.eventually(lambda: status_of(environment, "order-1") == "manual_review", "a review")
            assert up.stop() == 0
    attempt = show(tmp_path, environment, "order-1")["attempts"][0]
    with running(tmp_path / "journal.jsonl", pending_s=600) as sandbox, client_of(sandbox.address) as client:
        environment |= {"PAYMENTS_STRIPE_API_BASE": sandbox.address}
        form = {"payment_intent": attempt["transaction_id"], "amount": "250"}
        part = client.post("/v1/refunds", form).body["id"]
        of_part = "gives back 2.50 EUR of 12.50 EUR at the gateway: --as not-executed has what is still owed refunded"
        for refund_id, found in ((part, of_part), (attempt["refund_id"], "is declined in our books")):
            word = ("--as", "executed", "--reason", "saw it", "--reference", refund_id)
            refused = resolve(tmp_path, environment, "order-1", *word)
            assert (refused.code, refused.out) == (1, "")
            assert f"refund {refund_id} {found}" in refused.err
        again = ("--as", "not-executed", "--reason", "it has failed there", "--dry-run", "--json")
        assert [o["kind"] for o in said(resolve(tmp_path, environment, "order-1", *again))["operations"]] == ["refund"]
    assert status_of(environment, "order-1") == "manual_review"


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_not_executed_is_refused_if_the_gateway_has_made_the_refund_and_else_has_it_sent_again(
    tmp_path: Path, deployment: dict[str, str]
) -> None:
    ids = ("order-1", "order-2")
    with running(tmp_path / "journal.jsonl", pending_s=0.5) as sandbox:
        at = {"PAYMENTS_GATEWAY": "sandbox", "PAYMENTS_STRIPE_API_BASE": sandbox.address}
        environment = deployment | at | {"PAYMENTS_REFUND_RECHECK_S": "1"}
        with started(tmp_path, "up", **environment) as up:
            publish(tmp_path, environment, *(confirmed(name, "pm_fault_refund_fails_later") for name in ids))
            up.eventually(lambda: {status_of(environment, name) for name in ids} == {"manual_review"}, "reviews")
            assert up.stop() == 0
    word = ("--as", "not-executed", "--reason", "it has failed there")
    with running(tmp_path / "journal.jsonl", pending_s=600) as sandbox, client_of(sandbox.address) as client:
        environment |= {"PAYMENTS_STRIPE_API_BASE": sandbox.address}
        made_by, transaction = refused_refund(tmp_path, environment, "order-1")
        late = {"payment_intent": transaction, "amount": "1250", "metadata[operation_id]": made_by}
        refund_id = client.post("/v1/refunds", late).body["id"]

        refused = resolve(tmp_path, environment, "order-1", *word)
        assert (refused.code, refused.out, refused.err.count("\n")) == (1, "", 1)
        assert f"this call has made refund {refund_id}, which is succeeded at the gateway" in refused.err
        assert f"say --as executed --reference {refund_id}" in refused.err
        assert status_of(environment, "order-1") == "manual_review"
        proof = ("--as", "executed", "--reason", "a copy was late", "--reference", refund_id, "--json")
        assert said(resolve(tmp_path, environment, "order-1", *proof))["status"] == "payment_failed"

        sent = said(resolve(tmp_path, environment, "order-2", *word, "--json"))
        assert [(o["kind"], o["state"]) for o in sent["operations"]] == [("refund", "unknown")]
        assert payments(tmp_path, "sweep", "--once", **environment).code == 0
    order = show(tmp_path, environment, "order-2")
    refunds = [(o["kind"], o["state"]) for o in order["operations"] if o["kind"] == "refund"]
    assert (order["status"], refunds) == ("payment_failed", [("refund", "declined"), ("refund", "approved")])
    assert [r["word"] for r in order["resolutions"]] == ["not-executed"]


def refused_refund(directory: Path, environment: dict[str, str], order_id: str) -> tuple[str, str]:
    """Return the id of the order's refund that came to nothing, and of its transaction."""
    order = show(directory, environment, order_id)
    (refund,) = [o for o in order["operations"] if o["kind"] == "refund"]
    return refund["id"], order["attempts"][0]["transaction_id"]


@pytest.mark.parametrize("reason", WAYS)
def test_the_readme_shows_what_either_answer_does_for_every_reason(reason: str) -> None:
    way = WAYS[reason]
    rows = (ROOT / "deploy/README.md").read_text().split("\n## Reviews\n")[1].split("\n## ")[0].splitlines()
    (row,) = [row for row in rows if row.startswith("| `") and f"`{reason}`" in row.split(" | ")[0]]
    assert row.endswith(f" | {way.executed} | {way.not_executed} |")
