"""`payments webhooks`, and `up`: they listen only with a secret, keep what is signed, and say nothing secret."""

import http.client
import re
import socket
from pathlib import Path
from typing import Any

import orjson
import pytest

from deploy.webhooks.endpoint import PATH
from tests.deploy.commands import payments
from tests.deploy.orders import confirmed, publish, status_of
from tests.embedded.support import connected
from tests.processes import Process, started
from tests.webhooks.gateway import event, header

pytestmark = pytest.mark.integration

OLD, NEW = "whsec_0123456789old", "whsec_0123456789new"
ANY_PORT = {"PAYMENTS_WEBHOOKS_LISTEN": "127.0.0.1:0"}


def post(process: Process, body: bytes, signature: str) -> int:
    """Send one webhook to the address that the process logged."""
    process.await_line("listening for webhooks")
    (port,) = re.findall(r"listening for webhooks.*127\.0\.0\.1:(\d+)", process.log)
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)
    try:
        connection.request("POST", PATH, body, {"Stripe-Signature": signature})
        return connection.getresponse().status
    finally:
        connection.close()


def kept(deployment: dict[str, str]) -> list[tuple[Any, ...]]:
    with connected(deployment["PAYMENTS_DATABASE_URL"]) as connection:
        return connection.execute(b"SELECT notice_id, order_id, intent_id FROM gateway_notice").fetchall()


def test_without_a_secret_it_ends_with_2_and_says_what_to_set(tmp_path: Path, deployment: dict[str, str]) -> None:
    ran = payments(tmp_path, "webhooks", **deployment)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "set PAYMENTS_STRIPE_WEBHOOK_SECRET" in ran.err


def test_it_needs_the_database_and_nothing_else(tmp_path: Path, deployment: dict[str, str]) -> None:
    alone = {"PAYMENTS_DATABASE_URL": deployment["PAYMENTS_DATABASE_URL"], **ANY_PORT}
    body = orjson.dumps(event(1, "order-1", "pi_1"))
    with started(tmp_path, "webhooks", PAYMENTS_STRIPE_WEBHOOK_SECRET=f"{OLD},{NEW}", **alone) as process:
        statuses = [post(process, body, header(body, secret)) for secret in (OLD, NEW, "whsec_forged")]
        assert process.stop() == 0
    assert statuses == [200, 200, 400]
    assert kept(deployment) == [("evt_1", "order-1", "pi_1")]
    for secret in (OLD, NEW, header(body, OLD)[20:], "jane@example.com"):
        assert secret not in process.log


def test_an_address_in_use_ends_it_with_2(tmp_path: Path, deployment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        taking = {"PAYMENTS_STRIPE_WEBHOOK_SECRET": OLD, "PAYMENTS_WEBHOOKS_LISTEN": listen}
        for command in ("webhooks", "up"):
            ran = payments(tmp_path, command, **deployment, **taking)
            assert (ran.code, "set PAYMENTS_WEBHOOKS_LISTEN" in ran.err) == (2, True), ran.err


def test_without_the_table_it_names_the_command_that_makes_it(tmp_path: Path, places: dict[str, str]) -> None:
    ran = payments(tmp_path, "webhooks", PAYMENTS_STRIPE_WEBHOOK_SECRET=OLD, **places)
    assert (ran.code, "run `payments migrate`" in ran.err) == (3, True)


def test_up_listens_with_a_secret_and_otherwise_says_once_that_it_polls(
    tmp_path: Path, deployment: dict[str, str]
) -> None:
    with started(tmp_path, "up", **deployment, **ANY_PORT) as up:
        up.await_line("running")
        assert up.stop() == 0
    assert up.log.count("no webhooks are taken") == 1
    assert "listening for webhooks" not in up.log
    body = orjson.dumps(event(1, "order-1", "pi_1"))
    with started(tmp_path, "up", PAYMENTS_STRIPE_WEBHOOK_SECRET=NEW, **deployment, **ANY_PORT) as up:
        up.await_line("running")
        assert post(up, body, header(body, NEW)) == 200
        assert up.stop() == 0
    assert kept(deployment) == [("evt_1", "order-1", "pi_1")]
    assert "no webhooks are taken" not in up.log


SLOW_POLLS = {"PAYMENTS_UNKNOWN_RETRY_S": "600", "PAYMENTS_BACKOFF_MAX_S": "600", "PAYMENTS_GATEWAY": "sandbox"}
"""Whatever an unknown outcome comes to within a test, no look-up by time found it."""
LOST = "pm_fault_reset_after_on_authorize"
FAILING = (
    confirmed("declined", "pm_card_chargeDeclined"),
    confirmed("action", "pm_card_authenticationRequired"),
    confirmed("capture-refused", "pm_fault_capture_refused"),
    confirmed("voided", quantity=99),
    confirmed("refunded", "pm_wallet_captured", quantity=99),
    confirmed("refunded-late", "pm_fault_refund_pending", quantity=99),
)
NOTICES = 17
"""Two each of `order-1` and `paid`, and of FAILING 1, 1, 2, 2, 3 and 4."""


def test_the_sandbox_tells_up_of_a_payment_whose_answer_was_lost(tmp_path: Path, deployment: dict[str, str]) -> None:
    payments(tmp_path, "stock", "set", "tea", "10", **deployment)
    with started(tmp_path, "up", **{**deployment, **SLOW_POLLS}) as up:
        up.await_line("running")
        publish(tmp_path, deployment, confirmed("order-1", LOST))
        up.eventually(lambda: status_of(deployment, "order-1") == "paid_and_confirmed", "paid")
        publish(tmp_path, deployment, confirmed("paid"), *FAILING)
        up.eventually(lambda: _fates(deployment) == {"applied or known": NOTICES}, "nothing is kept or waits")
        assert up.stop() == 0
    assert {status_of(deployment, order["order_id"]) for order in FAILING} == {"payment_failed"}
    assert "that no webhook brought" not in up.log
    with connected(deployment["PAYMENTS_DATABASE_URL"]) as connection:
        woken = connection.execute(b"SELECT DISTINCT order_id FROM gateway_notice WHERE fate = 'woken'").fetchall()
    assert {"order-1", "refunded-late"} == {order_id for (order_id,) in woken}


def test_without_webhooks_a_sweep_finds_it_in_the_list_of_events(tmp_path: Path, deployment: dict[str, str]) -> None:
    payments(tmp_path, "stock", "set", "tea", "10", **deployment)
    with started(tmp_path, "sandbox", PAYMENTS_SANDBOX_LISTEN="127.0.0.1:0") as sandbox:
        sandbox.eventually(lambda: sandbox.out.endswith("\n"), "ready")
        address = sandbox.out.removeprefix("sandbox ready on ").strip()
        here = {**deployment, **SLOW_POLLS, "PAYMENTS_STRIPE_API_BASE": address}
        with started(tmp_path, "up", **here) as up:
            up.await_line("running")
            publish(tmp_path, deployment, confirmed("order-1", LOST))
            up.eventually(lambda: _is_unknown(deployment), "unknown")
            swept = payments(tmp_path, "sweep", "--once", **here)
            assert (swept.code, swept.out) == (0, "1 operation was due\n"), swept.err
            up.eventually(lambda: status_of(deployment, "order-1") == "paid_and_confirmed", "paid")
            again = payments(tmp_path, "sweep", "--once", **here)
            assert (again.code, again.out) == (0, "0 operations were due\n"), again.err
    assert up.log.count("no webhooks are taken") == 1


def _fates(deployment: dict[str, str]) -> dict[str, int]:
    """Count the notices by fate. Whether one woke its operation or came after its answer is a race."""
    query = b"""SELECT CASE WHEN fate IN ('woken', 'known') THEN 'applied or known' ELSE fate END, count(*)
                  FROM gateway_notice GROUP BY 1"""
    with connected(deployment["PAYMENTS_DATABASE_URL"]) as connection:
        return dict(connection.execute(query).fetchall())


def _is_unknown(deployment: dict[str, str]) -> bool:
    with connected(deployment["PAYMENTS_DATABASE_URL"]) as connection:
        return bool(connection.execute(b"SELECT 1 FROM operation WHERE state = 'unknown'").fetchall())
