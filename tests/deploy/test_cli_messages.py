"""`payments messages`, and processes that tell customers by mail."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.commands import Ran, payments
from tests.deploy.orders import confirmed, publish, show, status_of
from tests.embedded.support import connected
from tests.messages.mail_server import MailServer, mail_server_aside
from tests.processes import started

pytestmark = pytest.mark.integration

DECLINED = "pm_card_chargeDeclined"
EMAIL = "ada@customers.example"
NOBODYS = "5f0f8e0c-6b1c-5a57-9a5c-0d5c0a7e1b11"
REASON = ("--reason", "the server is mended")


def mailing(directory: Path, deployment: dict[str, str], server: MailServer) -> dict[str, str]:
    """Return settings by which the customers of a file get mails over this server."""
    customers = directory / "customers.csv"
    customers.write_text(f"customer_id,email\ncustomer-1,{EMAIL}\n")
    return {
        **deployment,
        "PAYMENTS_NOTIFIER": "smtp",
        "PAYMENTS_SMTP_URL": f"smtp://127.0.0.1:{server.port}",
        "PAYMENTS_SMTP_FROM": "A Shop <no-reply@shop.example>",
        "PAYMENTS_CUSTOMER_DIRECTORY": str(customers),
        "PAYMENTS_SWEEP_INTERVAL_S": "0.2",
    }


def listed(directory: Path, environment: dict[str, str], *options: str) -> list[dict[str, Any]]:
    ran = payments(directory, "messages", "list", "--json", *options, **environment)
    assert ran.code == 0, ran.err
    assert EMAIL not in ran.out
    found: list[dict[str, Any]] = json.loads(ran.out)["messages"]
    return found


def states(environment: dict[str, str]) -> dict[str, str]:
    """Ask the database, for a command a time would be slow."""
    with connected(environment["PAYMENTS_DATABASE_URL"]) as connection:
        return dict(connection.execute("SELECT order_id, state FROM message").fetchall())


def retry(directory: Path, environment: dict[str, str], *arguments: str) -> Ran:
    return payments(directory, "messages", "retry", *arguments, **environment)


def test_a_customer_is_mailed_and_operators_see_when(tmp_path: Path, deployment: dict[str, str]) -> None:
    with mail_server_aside() as server:
        environment = mailing(tmp_path, deployment, server)
        with started(tmp_path, "up", **environment) as up:
            up.await_line("customers are told by the sweep")
            publish(tmp_path, environment, confirmed("order-1", DECLINED))
            up.eventually(lambda: states(environment) == {"order-1": "sent"}, "sent")
            assert up.stop() == 0
            assert EMAIL not in up.log + up.out
        assert server.recipients == [EMAIL]
        (message,) = listed(tmp_path, environment, "--order", "order-1")
        assert server.keys == [message["event_id"]]
    assert (message["kind"], message["tries"], message["error"]) == ("PAYMENT_FAILED", 0, None)
    assert message["sent_at"] > message["occurred_at"]
    (told,) = show(tmp_path, environment, "order-1")["notifications"]
    assert (told["state"], told["sent_at"]) == ("sent", message["sent_at"])
    text = payments(tmp_path, "order", "show", "order-1", **environment).out
    assert "customer told" in text
    assert EMAIL not in text
    people = payments(tmp_path, "messages", "list", **environment)
    assert people.out.splitlines()[0].split() == [
        "id",
        "order",
        "kind",
        "state",
        "asked",
        "for",
        "sent",
        "tries",
        "why",
        "not",
    ]


@pytest.mark.timeout(240)
def test_what_was_given_up_is_sent_when_an_operator_says_so(tmp_path: Path, deployment: dict[str, str]) -> None:
    with mail_server_aside() as server:
        environment = mailing(tmp_path, deployment, server)
        server.on_data = "554 5.7.1 not today"
        with started(tmp_path, "up", **environment) as up:
            publish(tmp_path, environment, confirmed("order-1", DECLINED), confirmed("order-2", DECLINED))
            given_up = {"order-1": "given_up", "order-2": "given_up"}
            up.eventually(lambda: states(environment) == given_up, "given up")
            up.await_line("message_given_up")
            first, second = sorted(listed(tmp_path, environment, "--state", "given_up"), key=lambda m: m["order_id"])
            assert (first["error"], first["tries"]) == ("DATA: SMTP 554 5.7.1", 1)
            assert "customer not told" in payments(tmp_path, "order", "show", "order-1", **environment).out

            server.on_data = None
            unknown = retry(tmp_path, environment, first["event_id"], NOBODYS, *REASON)
            assert (unknown.code, unknown.err.count("\n")) == (1, 1)
            assert "nothing was tried again" in unknown.err

            ran = retry(tmp_path, environment, first["event_id"], *REASON, "--by", "ada", "--json")
            assert ran.code == 0, ran.err
            (again,) = json.loads(ran.out)["messages"]
            assert (again["event_id"], again["retried"], again["by"]) == (first["event_id"], True, "ada")
            up.eventually(lambda: states(environment)["order-1"] == "sent", "sent")
            assert states(environment) == {"order-1": "sent", "order-2": "given_up"}
            assert retry(tmp_path, environment, "--all-given-up", *REASON).code == 0
            up.eventually(lambda: states(environment)["order-2"] == "sent", "sent")
            assert up.stop() == 0
        assert sorted(server.keys) == sorted([first["event_id"], second["event_id"]])
    sent = retry(tmp_path, environment, first["event_id"], *REASON)
    assert sent.code == 1
    assert "not tried again: it is sent" in sent.out


@pytest.mark.parametrize("arguments", [REASON, (NOBODYS,), (NOBODYS, "--all-given-up", *REASON), ("x", *REASON)])
def test_a_retry_says_which_and_why(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ran = retry(tmp_path, {}, *arguments)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)


def test_by_default_nobody_is_told_and_a_line_at_start_says_so(tmp_path: Path, deployment: dict[str, str]) -> None:
    with started(tmp_path, "up", **deployment) as up:
        up.await_line("no customer is told: PAYMENTS_NOTIFIER is log")
        publish(tmp_path, deployment, confirmed("order-1", DECLINED))
        up.eventually(lambda: status_of(deployment, "order-1") == "payment_failed", "declined")
        up.await_line("customers to tell, logged only")
        assert up.stop() == 0
    (message,) = listed(tmp_path, deployment, "--state", "logged")
    assert (message["order_id"], message["state"], message["sent_at"]) == ("order-1", "logged", None)
    assert listed(tmp_path, deployment, "--state", "sent") == []


def test_a_sweep_starts_with_no_text_and_no_file_that_it_cannot_use(tmp_path: Path, deployment: dict[str, str]) -> None:
    with mail_server_aside() as server:
        environment = mailing(tmp_path, deployment, server)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "refunded.txt").write_text("Subject: x\n\n$name\n")
    texts = {**environment, "PAYMENTS_NOTIFIER_TEMPLATES": str(tmp_path / "texts")}
    (tmp_path / "customers.csv").write_text(f"name\n{EMAIL}\n")
    for settings, says in ((texts, "$name is not known here"), (environment, "must name the columns")):
        ran = payments(tmp_path, "sweep", "--once", **settings)
        assert (ran.code, ran.err.count("\n")) == (2, 1), ran.err
        assert says in ran.err
        assert EMAIL not in ran.err
