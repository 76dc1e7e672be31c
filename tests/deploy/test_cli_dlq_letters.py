"""`payments dlq list`, `show` and `redrive`: what operators see and do, by options, JSON and exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.cli.who import os_user
from tests.deploy.commands import Ran, payments
from tests.deploy.orders import confirmed, publish, retried, status_of
from tests.embedded.support import connected
from tests.processes import Process, started

pytestmark = pytest.mark.integration

CONTRACT = ["id", "topic", "partition", "offset", "order_id", "event_id", "reason", "detail", "at", "count", "redriven"]
TOKEN = "pm_card_mastercard"


class Operator:
    """Somebody at a terminal."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self.directory = directory
        self.environment = environment

    def dlq(self, *arguments: str) -> Ran:
        return payments(self.directory, "dlq", *arguments, **self.environment)

    def json(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        ran = self.dlq(*arguments, "--json")
        assert ran.code == code, ran.err
        document: dict[str, Any] = json.loads(ran.out)
        return document

    def letters(self, *arguments: str) -> list[dict[str, Any]]:
        letters: list[dict[str, Any]] = self.json("list", *arguments)["letters"]
        return letters

    def publish(self, *events: dict[str, Any]) -> None:
        publish(self.directory, self.environment, *events)

    def until_letters(self, process: Process, count: int) -> None:
        def are_there() -> bool:
            with connected(self.environment["PAYMENTS_DATABASE_URL"]) as connection:
                row = connection.execute("SELECT count(*) FROM dead_letter").fetchone()
            return row == (count,)

        process.eventually(are_there, f"{count} letters")


@pytest.fixture
def operator(tmp_path: Path, deployment: dict[str, str]) -> Operator:
    return Operator(tmp_path, deployment)


def test_letters_are_listed_shown_and_redriven_by_what_they_have_in_common(operator: Operator) -> None:
    directory, environment = operator.directory, operator.environment
    assert payments(directory, "stock", "set", "tea", "10", **environment).code == 0
    with started(directory, "up", **environment) as up:
        operator.publish(retried("order-1", 1, TOKEN))
        operator.until_letters(up, 1)
        operator.publish(retried("order-2", 1, TOKEN))
        operator.until_letters(up, 2)
        second, first = operator.letters()
        assert [first["order_id"], second["order_id"]] == ["order-1", "order-2"]
        assert list(first)[: len(CONTRACT)] == CONTRACT
        assert (first["topic"], first["reason"], first["count"], first["redriven"]) == (
            f"{environment['PAYMENTS_TOPIC_PREFIX']}PaymentRetryRequested",
            "unknown_order",
            1,
            [],
        )
        assert operator.json("list", "--limit", "1") == {"letters": [second], "more": True}
        assert operator.letters("--order", "order-1") == [first]
        assert operator.letters("--topic", "PaymentRetryRequested", "--reason", "unknown_order") == [second, first]
        assert operator.letters("--topic", "OrderConfirmed") == operator.letters("--reason", "conflict") == []
        assert operator.letters("--since", second["at"]) == [second]
        assert operator.letters("--until", first["at"]) == [first]

        (shown,) = operator.json("show", str(first["id"]))["letters"]
        assert {name: shown[name] for name in first} == first
        assert shown["event"]["payment_method"] == {"kind": "CARD", "token": "(hidden)"}
        assert (shown["key"], shown["headers"]["ce_subject"]) == ("order-1", "order-1")
        text = operator.dlq("show", str(first["id"])).out
        assert "unknown_order" in text
        assert TOKEN not in text + json.dumps(shown)

        told = operator.json("redrive", "--all", "--dry-run", code=1)
        assert [letter["done"] for letter in told["letters"]] == [False, False]
        assert operator.letters() == [second, first]

        operator.publish(confirmed("order-1", "pm_card_chargeDeclined"))
        up.eventually(lambda: status_of(environment, "order-1") == "payment_failed", "declined")
        redriven = operator.json("redrive", "--reason", "unknown_order", code=1)["letters"]
        assert [(one["order_id"], one["done"], one["count"]) for one in redriven] == [
            ("order-1", True, 1),
            ("order-2", False, 2),
        ]
        assert redriven[0]["redriven"][0] | {"at": ""} == {
            "at": "",
            "by": os_user(),
            "result": "done: authorize opened",
        }
        up.eventually(lambda: status_of(environment, "order-1") == "paid_and_confirmed", "paid")
        again = operator.dlq("redrive", str(first["id"]))
        assert (again.code, "already redriven" in again.out) == (1, True)
        assert operator.json("redrive", "--order", "order-1") == {"letters": [], "more": False, "dry_run": False}
        assert up.stop() == 0
    table = operator.dlq("list").out
    assert "redriven" in table
    assert "refused 2 times" in table


def test_work_in_quarantine_has_ids_of_its_own_and_no_topic(operator: Operator) -> None:
    with connected(operator.environment["PAYMENTS_DATABASE_URL"]) as connection:
        connection.execute(
            "INSERT INTO quarantine (kind, order_id, detail, trace) VALUES ('order', 'order-1', 'KeyError', 'line 7')"
        )
    (letter,) = operator.letters()
    assert (letter["id"], letter["topic"], letter["offset"], letter["reason"]) == ("Q1", None, None, "quarantined")
    assert operator.letters("--order", "order-1", "--reason", "quarantined") == [letter]
    assert operator.json("show", "q1")["letters"][0]["trace"] == "line 7"
    assert "line 7" in operator.dlq("show", "Q1").out
    (done,) = operator.json("redrive", "Q1")["letters"]
    assert done["result"] == "released: the sweep takes the order up again"
    assert [one["result"] for one in done["redriven"]] == ["released: the sweep takes the order up again"]
    assert operator.dlq("redrive", "Q1").code == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["redrive"],
        ["redrive", "1", "--all"],
        ["redrive", "1", "--topic", "OrderConfirmed"],
        ["redrive", "one"],
        ["list", "--reason", "boredom"],
        ["list", "--since", "yesterday"],
        ["list", "--topic", "Weather"],
        ["show"],
    ],
)
def test_wrong_usage_ends_with_2(operator: Operator, arguments: list[str]) -> None:
    ran = operator.dlq(*arguments)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)


def test_letter_that_is_not_there_ends_with_1_and_a_database_that_is_not_with_3(operator: Operator) -> None:
    for arguments in (["show", "99"], ["redrive", "99", "Q7"]):
        ran = operator.dlq(*arguments)
        assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert operator.dlq("redrive", "--all").code == 0
    operator.environment["PAYMENTS_DATABASE_URL"] = "postgresql://nobody@127.0.0.1:1/none"
    assert operator.dlq("list").code == 3
    assert operator.dlq("redrive", "--all").code == 3
