"""The sandbox tells what happened as Stripe does: by webhooks, signed and sent again, and in its list of events."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest
import stripe

from tests.eventually import eventually
from tests.sandbox.client import Client, client_of
from tests.sandbox.process import running

SECRET = "whsec_sandbox"
OURS = {"metadata[order_id]": "order-1", "metadata[operation_id]": "00000000-0000-0000-0000-000000000001"}


class Inbox(ThreadingHTTPServer):
    """An endpoint that checks signatures with Stripe's SDK. statuses: what it answers first; afterwards 200."""

    daemon_threads = True

    def __init__(self, *statuses: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses = list(statuses)
        self.events: list[dict[str, Any]] = []
        self.taken: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/webhooks/stripe"

    def types(self) -> list[str]:
        return sorted(event["type"] for event in self.events)


class _Handler(BaseHTTPRequestHandler):
    server: Inbox

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        stripe.WebhookSignature.verify_header(body, self.headers["Stripe-Signature"], SECRET, tolerance=300)
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        self.server.taken.append(orjson.loads(body)["id"])
        if status == 200:
            self.server.events.append(orjson.loads(body))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def told(tmp_path: Path, *statuses: int, pending_s: float = 0.2) -> Iterator[tuple[Client, Inbox]]:
    """Run a sandbox that tells an inbox."""
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    with Inbox(*statuses) as inbox:
        serving = threading.Thread(target=inbox.serve_forever, daemon=True)
        serving.start()
        more = ["--webhook-url", inbox.url, "--webhook-secret", str(tmp_path / "secret")]
        with running(tmp_path / "journal", pending_s, more) as process, client_of(process.address) as client:
            yield client, inbox
        inbox.shutdown()
        serving.join()


def listed(client: Client, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"/v1/events?limit=100{query}").body["data"]
    return found


def test_a_payment_is_told_from_its_authorization_to_its_refund(tmp_path: Path) -> None:
    with told(tmp_path) as (client, inbox):
        intent = client.intent(**OURS).body["id"]
        client.post(f"/v1/payment_intents/{intent}/capture", {})
        client.post("/v1/refunds", {"payment_intent": intent})
        eventually(lambda: len(inbox.events) == 4, lambda: str(inbox.types()))
        assert inbox.types() == [
            "charge.refunded",
            "payment_intent.amount_capturable_updated",
            "payment_intent.succeeded",
            "refund.created",
        ]
        charge = next(e for e in inbox.events if e["type"] == "charge.refunded")["data"]["object"]
        assert (charge["payment_intent"], charge["metadata"]["order_id"]) == (intent, "order-1")
        assert {e["id"] for e in listed(client)} == {e["id"] for e in inbox.events}


@pytest.mark.parametrize(
    ("method", "types"),
    [
        ("pm_card_chargeDeclined", ["payment_intent.payment_failed"]),
        ("pm_card_authenticationRequired", ["payment_intent.requires_action"]),
        ("pm_wallet_captured", ["payment_intent.succeeded"]),
    ],
)
def test_every_end_of_an_authorization_has_its_event(tmp_path: Path, method: str, types: list[str]) -> None:
    with told(tmp_path) as (client, inbox):
        client.intent(payment_method=method)
        eventually(lambda: inbox.types() == types, lambda: str(inbox.types()))
        assert [e["type"] for e in listed(client)] == types


def test_a_void_is_told(tmp_path: Path) -> None:
    with told(tmp_path) as (client, inbox):
        intent = client.intent().body["id"]
        client.post(f"/v1/payment_intents/{intent}/cancel", {})
        eventually(lambda: "payment_intent.canceled" in inbox.types(), lambda: str(inbox.types()))


def test_what_time_alone_decides_is_told_unasked(tmp_path: Path) -> None:
    with told(tmp_path, pending_s=0.3) as (client, inbox):
        for method in ("pm_card_pendingRefund", "pm_card_refundFail"):
            intent = client.intent(payment_method=method, capture_method="automatic").body["id"]
            client.post("/v1/refunds", {"payment_intent": intent})
        eventually(lambda: inbox.types().count("refund.updated") == 2, lambda: str(inbox.types()))
        statuses = {e["data"]["object"]["status"] for e in inbox.events if e["type"] == "refund.updated"}
        assert statuses == {"succeeded", "failed"}
        eventually(lambda: "refund.failed" in inbox.types(), lambda: str(inbox.types()))


def test_what_is_not_answered_2xx_is_sent_again(tmp_path: Path) -> None:
    with told(tmp_path, 503, 400) as (client, inbox):
        client.intent()
        eventually(lambda: inbox.events, "it is sent a third time")
        assert inbox.taken == [inbox.events[0]["id"]] * 3


def test_a_repeated_answer_of_a_key_is_no_event(tmp_path: Path) -> None:
    with told(tmp_path) as (client, inbox):
        for _ in range(3):
            client.intent("k-once")
        assert len(listed(client)) == 1
        eventually(lambda: len(inbox.events) == 1, "one webhook")


def test_the_list_is_paged_and_filtered(client: Client) -> None:
    intents = [client.intent().body["id"] for _ in range(5)]
    client.post(f"/v1/payment_intents/{intents[0]}/cancel", {})
    newest = client.get("/v1/events?limit=2").body
    assert (newest["object"], newest["has_more"], len(newest["data"])) == ("list", True, 2)
    assert newest["data"][0]["type"] == "payment_intent.canceled"
    after = newest["data"][-1]["id"]
    rest = client.get(f"/v1/events?limit=4&starting_after={after}&types[0]=payment_intent.amount_capturable_updated")
    assert [e["data"]["object"]["id"] for e in rest.body["data"]] == intents[3::-1]
    assert client.get(f"/v1/events/{after}").body == newest["data"][-1]
    assert listed(client, "&created[gte]=9999999999") == []
    assert listed(client, "&type=payment_intent.canceled")[0]["id"] == newest["data"][0]["id"]


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("limit=101", (400, "parameter_invalid_integer", "limit")),
        ("colour=red", (400, "parameter_unknown", "colour")),
        ("starting_after=evt_no", (400, "resource_missing", "starting_after")),
        ("type=a&types[]=b", (400, None, "type")),
        ("&".join(f"types[{n}]=x{n}" for n in range(21)), (400, None, "types")),
    ],
)
def test_a_wrong_question_is_refused(client: Client, query: str, error: tuple[int, str | None, str]) -> None:
    assert client.get(f"/v1/events?{query}").error == error
    assert client.get("/v1/events/evt_no").status == 404


def test_events_have_the_same_ids_after_a_crash(tmp_path: Path) -> None:
    with running(tmp_path / "journal") as process, client_of(process.address) as client:
        intent = client.intent().body["id"]
        client.post(f"/v1/payment_intents/{intent}/capture", {})
        before = [(e["id"], e["type"], e["created"]) for e in listed(client)]
        process.signal(signal.SIGKILL)
    with running(tmp_path / "journal") as process, client_of(process.address) as client:
        assert [(e["id"], e["type"], e["created"]) for e in listed(client)] == before
    assert len(before) == 2
