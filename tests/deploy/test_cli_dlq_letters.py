"""`payments dlq list`, `show` and `redrive`: what operators see and do, by options, JSON and exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.cli.words import os_user
from deploy.settings import load_settings
from outbox.operators.letter_list import Selection, letter_list
from outbox.operators.queries import snapshot
from tests.deploy.commands import Ran, payments
from tests.deploy.orders import confirmed, publish, retried, status_of
from tests.embedded.support import connected
from tests.processes import Process, started

pytestmark = pytest.mark.integration

CONTRACT = ["id", "topic", "partition", "offset", "order_id", "event_id", "reason", "detail", "at", "count", "redriven"]
TOKEN = "pm_card_mastercard"
CUSTOMER = "cus_of_order_1"


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
    with started(directory, "up", PAYMENTS_EARLY_WAIT_S="1", **environment) as up:
        saved = retried("order-1", 1, TOKEN)
        saved["payment_method"] |= {"gateway_customer_id": CUSTOMER, "off_session": True}
        operator.publish(saved)
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
        hidden = {"token": "(hidden)", "gateway_customer_id": "(hidden)", "off_session": True}
        assert shown["event"]["payment_method"] == {"kind": "CARD", **hidden}
        assert (shown["key"], dict(shown["headers"])["ce_subject"]) == ("order-1", "order-1")
        text = operator.dlq("show", str(first["id"])).out
        assert "unknown_order" in text
        assert TOKEN not in text + json.dumps(shown)
        assert CUSTOMER not in text + json.dumps(shown)

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
        assert operator.json("redrive", "--order", "order-1") == {
            "letters": [],
            "more": False,
            "dry_run": False,
            "left": [],
        }
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


def keep(operator: Operator, order_id: str, *behind: bool, group: str = "gone", **headers: bytes) -> None:
    """Keep letters of an order in quarantine, as an earlier release would have; behind: whether each waits behind."""
    with connected(operator.environment["PAYMENTS_DATABASE_URL"]) as connection:
        for number, waits_behind in enumerate(behind):
            connection.execute(
                "INSERT INTO dead_letter (consumer_group, topic, partition, message_offset, origin, message_at, key,"
                " body, header_names, header_values, masked, reason, detail, order_id, waits, behind)"
                " VALUES (%s, %s, 0, %s, '\\x01', now(), %s, 'x', %s, %s, false, 'quarantined',"
                " 'KeyError', %s, true, %s)",
                [
                    group,
                    f"{operator.environment['PAYMENTS_TOPIC_PREFIX']}OrderConfirmed",
                    number,
                    order_id.encode(),
                    list(headers),
                    list(headers.values()),
                    order_id,
                    waits_behind,
                ],
            )


def test_who_redrives_one_letter_is_told_what_waits_behind_it_and_what_to_run(operator: Operator) -> None:
    with connected(operator.environment["PAYMENTS_DATABASE_URL"]) as connection:
        connection.execute("INSERT INTO quarantine (kind, order_id, detail, trace) VALUES ('order', 'a b', '', '')")
    keep(operator, "a b", True, True)
    keep(operator, "other", False, group="another")
    left = [{"order_id": "a b", "waiting": 2, "command": "payments dlq redrive --order 'a b'"}]
    assert operator.json("redrive", "Q1", "--dry-run")["left"] == left
    ran = operator.dlq("redrive", "Q1")
    assert (ran.code, ran.err) == (0, "1 redriven, 0 not\n")
    assert ran.out.splitlines()[1:] == [
        "order a b has 2 more in quarantine, and waits: `payments dlq redrive --order 'a b'`"
    ]
    assert operator.json("redrive", "1", code=1)["left"] == [left[0] | {"waiting": 1}]
    assert operator.json("redrive", "--order", "a b", code=1)["left"] == []


def test_letter_that_cannot_be_redriven_is_given_up_once_with_who_and_why(operator: Operator) -> None:
    keep(operator, "order-1", False, True)
    for arguments, code, says in (
        (("1",), 2, "--reason"),
        (("1", "--reason", " "), 2, "1 to 500 characters"),
        (("1", "--reason", "card 4242424242424242"), 2, "card number"),
        (("1", "--reason", "red \x1b[31m"), 2, "control character"),
        (("1", "--reason", "gone", "--by", "a\nb"), 2, "control character"),
        (("99", "--reason", "gone"), 1, "payments dlq list"),
    ):
        ran = operator.dlq("give-up", *arguments)
        assert (ran.code, ran.out, ran.err.count("\n")) == (code, "", 1), ran.err
        assert says in ran.err
    assert "`payments dlq give-up 1`" in operator.dlq("redrive", "1").out
    given_up = operator.json("give-up", "1", "--reason", "published anew", "--by", "ann")
    (letter,) = given_up["letters"]
    assert (letter["done"], letter["given_up"], letter["waits"]) == (True, True, False)
    assert [(one["by"], one["result"]) for one in letter["redriven"]] == [("ann", "given up: published anew")]
    assert given_up["left"] == [
        {"order_id": "order-1", "waiting": 1, "command": "payments dlq redrive --order order-1"}
    ]
    for command in (("give-up", "1", "--reason", "again"), ("redrive", "1")):
        again = operator.dlq(*command)
        assert (again.code, "already given up" in again.out) == (1, True)
    assert operator.dlq("give-up", "2", "--reason", "gone", "--by", "ann").code == 0
    assert operator.dlq("list").out.count("given up") == 2
    with connected(operator.environment["PAYMENTS_DATABASE_URL"]) as connection:
        connection.execute("INSERT INTO quarantine (kind, order_id, detail, trace) VALUES ('order', 'order-1', '', '')")
    work = operator.dlq("give-up", "Q1", "--reason", "gone")
    assert (work.code, "`payments dlq redrive Q1`" in work.err) == (1, True)


def test_every_header_is_shown_without_card_numbers_tokens_and_control_characters(operator: Operator) -> None:
    keep(operator, "order-1", False)
    values = [b"red \x1b[31m", b"second", b"4242 4242 4242 4242", b"paid with pm_card_visa", b"\xff\xc2\x9b1m", None]
    names = ["note", "note", "\x1b[2J", "token", "c1", "none"]
    with connected(operator.environment["PAYMENTS_DATABASE_URL"]) as connection:
        connection.execute(
            "UPDATE dead_letter SET header_names = %s, header_values = %s, key = '\\x1b5b', detail = %s",
            [names, values, "said \x1b[31m"],
        )
    (shown,) = operator.json("show", "1")["letters"]
    assert shown["headers"] == [
        ["note", "red \x1b[31m"],
        ["note", "second"],
        ["\x1b[2J", "**** **** **** ****"],
        ["token", "paid with (hidden)"],
        ["c1", "\\xff\x9b1m"],
        ["none", None],
    ]
    for arguments in (["show", "1"], ["show", "1", "--json"], ["list"], ["list", "--json"]):
        out = operator.dlq(*arguments).out
        assert "\n" in out
        assert all(character.isprintable() or character == "\n" for character in out), repr(out)
    text = operator.dlq("show", "1").out
    assert "    note: red \\x1b[31m\n    note: second\n" in text
    assert "detail: said \\x1b[31m\n" in text


MANY = 70_000
"""More than a statement has parameters (65,535)."""


def test_more_letters_than_a_statement_has_parameters_are_listed_and_redriven_the_oldest_first(
    operator: Operator,
) -> None:
    url, topic = operator.environment["PAYMENTS_DATABASE_URL"], operator.environment["PAYMENTS_TOPIC_PREFIX"]
    with connected(url) as connection:
        connection.execute(
            "INSERT INTO dead_letter (consumer_group, topic, partition, message_offset, message_at, header_names,"
            " header_values, masked, reason, detail, order_id, first_at)"
            " SELECT 'payments.retry_payment', %s, 0, n, now(), '{}', '{}', false, 'unreadable', '', 'order-' || n,"
            " now() - interval '1 day' + n * interval '1 ms' FROM generate_series(1, %s) n",
            [f"{topic}PaymentRetryRequested", MANY],
        )
        connection.execute(
            "INSERT INTO quarantine (kind, order_id, detail, trace, at)"
            " SELECT 'order', 'order-' || n, '', '', now() - interval '2 days' + n * interval '1 ms'"
            " FROM generate_series(1, %s) n",
            [MANY],
        )
    for chosen in (["--all"], ["--reason", "unreadable"], ["--topic", "PaymentRetryRequested"]):
        code = 0 if chosen == ["--all"] else 1
        tried = operator.json("redrive", *chosen, "--limit", "2", "--dry-run", code=code)["letters"]
        assert [letter["order_id"] for letter in tried] == ["order-1", "order-2"]
        assert {letter["topic"] is None for letter in tried} == {code == 0}
    settings = load_settings(operator.environment, directory=operator.directory)
    with snapshot(settings.sqlalchemy_url()) as connection:
        every = letter_list(connection, Selection(undone=True))
        assert len(every) == 2 * MANY
        named = letter_list(connection, Selection(ids=[str(record["id"]) for record in every]))
        assert named == every
        assert letter_list(connection, Selection(), oldest=True) == every[::-1]


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
        ["give-up", "1"],
        ["give-up", "--reason", "gone"],
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


def test_a_letter_whose_token_is_erased_is_not_redrivable_and_says_so_everywhere(operator: Operator) -> None:
    with started(operator.directory, "up", PAYMENTS_EARLY_WAIT_S="1", **operator.environment) as up:
        operator.publish(retried("order-1", 1, TOKEN))
        operator.until_letters(up, 1)
    with connected(operator.environment["PAYMENTS_DATABASE_URL"]) as connection:
        connection.execute("UPDATE dead_letter SET first_at = first_at - interval '3 days'")
    swept = payments(operator.directory, "sweep", "--once", **operator.environment)
    assert swept.code == 0, swept.err
    (kept,) = operator.letters()
    assert (kept["erased_at"], kept["masked"]) == (None, False), "seven days are not over"
    days = {"PAYMENTS_DEAD_LETTER_TOKEN_DAYS": "2"}
    assert payments(operator.directory, "sweep", "--once", **operator.environment, **days).code == 0
    (letter,) = operator.letters()
    assert (letter["erased_at"] is not None, letter["masked"]) == (True, True)
    assert "not redrivable" in operator.dlq("list").out
    (shown,) = operator.json("show", "1")["letters"]
    assert shown["event"]["payment_method"]["token"] == "(hidden)"
    assert (shown["body_bytes"], shown["body_sha256"]) == (None, None)
    ran = operator.dlq("redrive", "1")
    assert ran.code == 1
    assert "not redrivable: its payment token was erased on " in ran.out
    assert "have it published anew" in ran.out
