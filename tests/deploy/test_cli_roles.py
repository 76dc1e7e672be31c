"""Roles as processes: what they need at start, what they do, how they end."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.commands import Ran, payments
from tests.deploy.orders import confirmed, publish, show, status_of
from tests.embedded.support import connected
from tests.processes import started

pytestmark = pytest.mark.integration

NOBODY = "127.0.0.1:1"
NO_DATABASE = f"postgresql://payments@{NOBODY}/payments"
COMMANDS = (["consume", "all"], ["relay", "--once"], ["migrate"], ["stock", "show"])


def refusal(ran: Ran, code: int) -> str:
    """Return the one line with which a command says why it does not run."""
    assert (ran.code, ran.out, ran.err.count("\n")) == (code, "", 1), ran.err
    assert ran.err.startswith("payments: ")
    return ran.err


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with connected(url) as connection:
        return connection.execute(query.encode()).fetchall()


def test_consume_of_an_unknown_name_says_which_there_are(tmp_path: Path) -> None:
    line = refusal(payments(tmp_path, "consume", "OrderConfirmed", "order_confirmed"), 2)
    assert "no consumer reacts to order_confirmed" in line
    assert "ReservationFailed" in line


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_without_postgresql_a_command_ends_with_3(tmp_path: Path, arguments: list[str]) -> None:
    environment = {"PAYMENTS_DATABASE_URL": NO_DATABASE, "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": NOBODY}
    ran = payments(tmp_path, *arguments, PAYMENTS_GATEWAY="simulated", **environment)
    assert "PostgreSQL does not answer" in refusal(ran, 3)


def test_a_role_says_what_is_missing_and_which_command_makes_it(tmp_path: Path, places: dict[str, str]) -> None:
    for arguments in (["up"], ["order", "list"]):
        assert "run `payments migrate`" in refusal(payments(tmp_path, *arguments, **places), 3)
    assert payments(tmp_path, "migrate", **places).code == 0
    for arguments in (["relay"], ["sweep", "--once"]):
        assert "run `payments topics create`" in refusal(payments(tmp_path, *arguments, **places), 3)
    away = {**places, "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": NOBODY}
    assert f"no Kafka broker answers at {NOBODY}" in refusal(payments(tmp_path, "up", **away), 3)


def test_migrate_may_be_repeated_and_says_what_it_did(tmp_path: Path, places: dict[str, str]) -> None:
    first = payments(tmp_path, "migrate", **places)
    assert (first.code, first.err) == (0, "")
    assert first.out.startswith("schema: from nothing to revision 0")
    assert "18 partitions made" in first.out
    again = json.loads(payments(tmp_path, "migrate", "--json", **places).out)
    assert again["before"] == again["revision"]
    assert again["partitions_made"] == 0


def test_only_what_calls_the_gateway_needs_one_chosen(tmp_path: Path, deployment: dict[str, str]) -> None:
    del deployment["PAYMENTS_GATEWAY"]
    for arguments in (["up"], ["sweep", "--once"]):
        assert "set PAYMENTS_GATEWAY" in refusal(payments(tmp_path, *arguments, **deployment), 2)
    assert payments(tmp_path, "relay", "--once", **deployment).out == "0 messages sent\n"


def test_up_pays_an_order_and_drains_at_sigterm(tmp_path: Path, deployment: dict[str, str]) -> None:
    payments(tmp_path, "stock", "set", "tea", "10", **deployment)
    with started(tmp_path, "up", **deployment) as up:
        up.await_line("running")
        publish(tmp_path, deployment, confirmed("order-1"))
        up.eventually(lambda: status_of(deployment, "order-1") == "paid_and_confirmed", "paid")
        assert show(tmp_path, deployment, "order-1")["status"] == "paid_and_confirmed"
        assert up.stop() == 0
    lines = up.log.splitlines()
    assert [line for line in lines if "[info" not in line] == []
    assert up.out == ""


def test_roles_in_processes_of_their_own_pay_an_order(tmp_path: Path, deployment: dict[str, str]) -> None:
    payments(tmp_path, "stock", "set", "tea", "10", **deployment)
    with started(tmp_path, "sandbox", PAYMENTS_SANDBOX_LISTEN="127.0.0.1:0") as sandbox:
        sandbox.eventually(lambda: sandbox.out.endswith("\n"), "ready")
        address = sandbox.out.removeprefix("sandbox ready on ").strip()
        _pay_in_processes(tmp_path, {**deployment, "PAYMENTS_GATEWAY": "sandbox", "PAYMENTS_STRIPE_API_BASE": address})
        assert sandbox.stop() == 0


def _pay_in_processes(tmp_path: Path, deployment: dict[str, str]) -> None:
    orders = [f"order-{number}" for number in range(3)]
    with (
        started(tmp_path, "consume", "OrderConfirmed", "PaymentRetryRequested", **deployment) as first,
        started(tmp_path, "consume", "all", **deployment) as second,
        started(tmp_path, "relay", **deployment) as relay,
        started(tmp_path, "relay", **deployment) as standby,
        started(tmp_path, "sweep", **deployment) as sweep,
    ):
        everyone = (first, second, relay, standby, sweep)
        for process in everyone:
            process.await_line("running")
        publish(tmp_path, deployment, *map(confirmed, orders))
        paid = ["paid_and_confirmed"] * 3
        second.eventually(lambda: [status_of(deployment, order) for order in orders] == paid, "paid")
        for process in everyone:
            process.signal(signal.SIGTERM)
        assert [process.wait() for process in everyone] == [0, 0, 0, 0, 0]


def test_a_sweep_with_a_relay_sends_what_consumers_write(tmp_path: Path, deployment: dict[str, str]) -> None:
    payments(tmp_path, "stock", "set", "tea", "10", **deployment)
    with (
        started(tmp_path, "consume", "all", **deployment) as consumer,
        started(tmp_path, "sweep", "--relay", **deployment) as both,
    ):
        consumer.await_line("running")
        both.await_line("roles=relay,sweep")
        publish(tmp_path, deployment, confirmed("order-1"))
        consumer.eventually(lambda: status_of(deployment, "order-1") == "paid_and_confirmed", "paid")
        assert (consumer.stop(), both.stop()) == (0, 0)
    refused = payments(tmp_path, "sweep", "--relay", "--once", **deployment)
    assert (refused.code, "payments relay --once" in refused.err) == (2, True)


def test_relay_once_sends_what_the_outbox_holds(tmp_path: Path, deployment: dict[str, str]) -> None:
    publish(tmp_path, deployment, confirmed("order-1"))
    with started(tmp_path, "consume", "OrderConfirmed", **deployment) as consumer:
        consumer.eventually(lambda: status_of(deployment, "order-1") == "payment_authorized", "authorized")
        assert consumer.stop() == 0
    (event,) = show(tmp_path, deployment, "order-1")["events"]
    assert (event["type"], event["sent"]) == ("PaymentAuthorized", False)
    assert payments(tmp_path, "relay", "--once", **deployment).out == "1 message sent\n"
    assert show(tmp_path, deployment, "order-1")["events"][0]["sent"] is True
    assert payments(tmp_path, "relay", "--once", **deployment).out == "0 messages sent\n"


def test_sweep_once_finishes_what_a_killed_consumer_began(tmp_path: Path, deployment: dict[str, str]) -> None:
    url = deployment["PAYMENTS_DATABASE_URL"]
    publish(tmp_path, deployment, confirmed("order-1"))
    slow = {**deployment, "PAYMENTS_SIMULATED_LATENCY_MS": "15000"}
    with started(tmp_path, "consume", "OrderConfirmed", **slow) as consumer:
        consumer.eventually(lambda: rows(url, "SELECT FROM operation WHERE state = 'open'"), "an open operation")
        consumer.kill()
    assert payments(tmp_path, "sweep", "--once", **deployment).out == "0 operations were due\n"
    with connected(url) as connection:
        connection.execute("UPDATE operation SET due_at = now()")
    assert payments(tmp_path, "sweep", "--once", **deployment).out == "1 operation was due\n"
    assert status_of(deployment, "order-1") == "payment_authorized"


def test_the_first_sigterm_finishes_calls_and_the_second_ends_at_once(
    tmp_path: Path, deployment: dict[str, str]
) -> None:
    url = deployment["PAYMENTS_DATABASE_URL"]
    publish(tmp_path, deployment, confirmed("order-1"))
    slow = {**deployment, "PAYMENTS_SIMULATED_LATENCY_MS": "1500"}
    with started(tmp_path, "consume", "OrderConfirmed", **slow) as patient:
        patient.eventually(lambda: rows(url, "SELECT FROM operation WHERE state = 'open'"), "an open operation")
        assert patient.stop() == 0
    assert status_of(deployment, "order-1") == "payment_authorized"
    publish(tmp_path, deployment, confirmed("order-2"))
    very_slow = {**deployment, "PAYMENTS_SIMULATED_LATENCY_MS": "15000"}
    with started(tmp_path, "consume", "OrderConfirmed", **very_slow) as hurried:
        hurried.eventually(lambda: rows(url, "SELECT FROM operation WHERE state = 'open'"), "an open operation")
        hurried.signal(signal.SIGTERM)
        hurried.await_line("stopping")
        hurried.signal(signal.SIGTERM)
        assert hurried.wait(5) == 128 + signal.SIGTERM


@pytest.mark.parametrize(("role", "table"), [("relay", "outbox"), ("sweep", "reservation")])
def test_a_bug_stops_the_process_with_1_and_says_what_it_was(
    tmp_path: Path, deployment: dict[str, str], role: str, table: str
) -> None:
    with started(tmp_path, role, **deployment) as process:
        process.await_line("running")
        with connected(deployment["PAYMENTS_DATABASE_URL"]) as connection:
            connection.execute(f"DROP TABLE {table}".encode())
        assert process.wait() == 1
    # The sweep's jobs run side by side: more than one may have met it before the process ended.
    lines = [line for line in process.log.splitlines() if "[error" in line]
    assert lines
    # The store says that the release and the database do not fit; the relay passes on what the driver said.
    error_type = "error_type=Unfit" if table == "reservation" else "error_type=UndefinedTable"
    for word in ("alarm=true", "reason=bug", error_type, f'relation "{table}" does not exist'):
        assert all(word in line for line in lines)
    assert "Traceback" in process.log
