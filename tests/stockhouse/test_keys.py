"""A key gets one answer, what was answered survives a crash, and what is not as described is refused."""

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.stockhouse.client import HOLD, Answer, Client, client_of
from tests.stockhouse.clocked import Clock, Clocked, clocked
from tests.stockhouse.process import running

OTHER = "5b8d9c1e-7f1d-5c44-8f0b-0f9c1d2e3f40"
AT_15 = "2026-03-01T12:15:00Z"
PLAIN = {"order_id": "A-1"}
RESERVE = {"order_id": "A-1", "lines": [{"sku": "TEA", "quantity": 1}], "until": AT_15}
JSON = {"Content-Type": "application/json", "Idempotency-Key": "k"}


def test_the_first_answer_of_a_key_is_given_again(house: Clocked) -> None:
    house.stock({"TEA": 1})
    first = house.reserve({"TEA": 1}, AT_15, key="k")
    house.call("release", PLAIN)

    again = house.reserve({"TEA": 1}, AT_15, key="k")

    assert (again.status, again.body) == (first.status, first.body), "although the hold is released by now"
    assert house.call("hold").word == "released"


def test_a_shortage_is_remembered_by_its_key_alone(house: Clocked) -> None:
    house.stock({"TEA": 0})
    assert house.reserve({"TEA": 1}, AT_15, key="k").word == "short"
    house.stock({"TEA": 1})

    assert house.reserve({"TEA": 1}, AT_15, key="k").word == "short"
    assert house.reserve({"TEA": 1}, AT_15, key="k2").word == "held"


def test_a_key_belongs_to_its_call_and_body(house: Clocked) -> None:
    house.stock({"TEA": 3})
    house.reserve({"TEA": 1}, AT_15, key="k")

    assert house.reserve({"TEA": 2}, AT_15, key="k").word == "key_reused"
    assert house.reserve({"TEA": 1}, AT_15, key="k", thing=OTHER).word == "key_reused"
    assert house.call("confirm", PLAIN, key="k").word == "key_reused"
    assert house.call("hold").word == "held"


def test_a_key_counts_alone_and_in_a_batch(house: Clocked) -> None:
    house.stock({"TEA": 1})
    first = house.reserve({"TEA": 1}, AT_15, key="k")

    (answer,) = house.call("batch", _batch(("reserve", "k", HOLD, RESERVE))).body["answers"]
    (other,) = house.call("batch", _batch(("confirm", "k", HOLD, PLAIN))).body["answers"]

    assert (answer["status"], answer["body"]) == (200, first.body)
    assert (other["status"], other["body"]["type"].rpartition(":")[2]) == (422, "key_reused")


def test_a_key_is_forgotten_after_a_day_but_never_done_twice(house: Clocked) -> None:
    house.stock({"TEA": 2})
    until = "2026-03-03T12:00:00Z"
    house.reserve({"TEA": 1}, until, key="k")
    house.clock.minutes(24 * 60 + 1)

    assert house.reserve({"TEA": 2}, until, key="k").word == "other_content"
    assert house.reserve({"TEA": 1}, until, key="k2").word == "held"
    assert house.shelf("TEA") == (1, 1, 0)


def test_a_key_in_use_is_told_to_wait(client: Client) -> None:
    """Of two calls at once, the first is executed slowly and the second is told to wait."""
    client.stock({"SKU-FAULT-SLOW-3S-ALWAYS": 2})
    until = client.in_minutes(10)

    def reserve(_: int) -> Answer:
        return client.reserve({"SKU-FAULT-SLOW-3S-ALWAYS": 1}, until, key="k-use", thing=OTHER)

    with ThreadPoolExecutor(2) as pool:
        done, refused = sorted(pool.map(reserve, range(2)), key=lambda answer: answer.status)

    assert (done.word, refused.word, refused.headers["retry-after"]) == ("held", "key_running", "1")
    assert reserve(0).body == done.body
    assert client.shelf("SKU-FAULT-SLOW-3S-ALWAYS") == (1, 1, 0)


def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    data = tmp_path / "inventory.jsonl"
    with running(data) as first, client_of(first.address) as client:
        client.stock({"TEA": 3})
        client.reserve({"TEA": 1}, client.in_minutes(10), key="k")
        confirmed = client.call("confirm", PLAIN, key="k2")
        before = client.ledger()
        first.kill()
    with data.open("ab") as torn:
        torn.write(b'{"key": ["half a li')

    with running(data) as second, client_of(second.address) as client:
        assert client.ledger() == before
        assert client.call("confirm", PLAIN, key="k2").body == confirmed.body
        assert client.call("confirm", {"order_id": "A-2"}, key="k2").word == "key_reused"
        assert second.stop() == 0


def test_a_hold_lapses_while_nobody_runs(tmp_path: Path) -> None:
    clock = Clock()
    with clocked(tmp_path / "j", clock) as house:
        house.stock({"TEA": 1})
        house.reserve({"TEA": 1}, AT_15)
    clock.minutes(16)
    with clocked(tmp_path / "j", clock) as house:
        assert house.call("hold").word == "lapsed"
        assert house.shelf("TEA") == (1, 0, 0)


def test_two_cannot_write_one_journal(tmp_path: Path) -> None:
    data = tmp_path / "inventory.jsonl"
    with running(data):
        second = subprocess.run(
            [sys.executable, "-m", "deploy.stockhouse", "--listen", "127.0.0.1:0", "--data", str(data)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert (second.returncode, second.stdout) == (2, "")
    assert "give another file" in second.stderr


def test_it_listens_on_this_machine_only(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deploy.stockhouse", "--listen", "0.0.0.0:0", "--data", str(tmp_path / "j")]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    assert refused.returncode == 2
    assert "loopback only" in refused.stderr


def test_it_ends_with_0_when_asked(tmp_path: Path) -> None:
    with running(tmp_path / "j") as process:
        process.signal(signal.SIGINT)
        assert process.stop() == 0


WRONG_BODIES: list[tuple[Any, str]] = [
    ([], ""),
    ({**RESERVE, "note": "hello"}, "/note"),
    ({**RESERVE, "order_id": "A 1"}, "/order_id"),
    ({**RESERVE, "order_id": 1}, "/order_id"),
    ({**RESERVE, "lines": []}, "/lines"),
    ({**RESERVE, "lines": [{"sku": "TEA", "quantity": 1.0}]}, "/lines/0/quantity"),
    ({**RESERVE, "lines": [{"sku": "TEA", "quantity": True}]}, "/lines/0/quantity"),
    ({**RESERVE, "lines": [{"sku": "TEA", "quantity": 2**70}]}, "/lines/0/quantity"),
    ({**RESERVE, "lines": [{"sku": "T\u0000", "quantity": 1}]}, "/lines/0/sku"),
    ({**RESERVE, "lines": [{"sku": "TEA", "quantity": 1}, {"sku": "TEA", "quantity": 2}]}, "/lines"),
    ({**RESERVE, "until": "2026-03-01T13:15:00+01:00"}, "/until"),
    ({**RESERVE, "until": "2026-02-30T12:00:00Z"}, "/until"),
    ({**RESERVE, "until": "0000-01-01T12:00:00Z"}, "/until"),
    ({**RESERVE, "until": 1772366400}, "/until"),
]


@pytest.mark.parametrize(("body", "pointer"), WRONG_BODIES)
def test_a_wrong_body_is_refused_and_its_place_named(house: Clocked, body: Any, pointer: str) -> None:
    house.stock({"TEA": 1})

    refused = house.call("reserve", body, key="k")

    assert (refused.status, refused.word) == (422, "invalid")
    assert [error["pointer"] for error in refused.body["errors"]] == [pointer]
    assert house.ledger()["holds"] == []
    assert house.reserve({"TEA": 1}, AT_15, key="k").status == 200, "no key remembers that"


@pytest.mark.parametrize(
    ("sent", "status", "word"),
    [
        ({"content": b"{", "headers": JSON}, 400, "malformed"),
        ({"content": b'{"a": "\xff"}', "headers": JSON}, 400, "malformed"),
        ({"content": b"[" * 100_000, "headers": JSON}, 400, "malformed"),
        ({"content": b"{}", "headers": {"Idempotency-Key": "k"}}, 415, "malformed"),
        ({"json": RESERVE}, 400, "key_missing"),
        ({"json": RESERVE, "headers": {"Idempotency-Key": "a b"}}, 400, "key_missing"),
        ({"json": RESERVE, "headers": [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]}, 400, "key_missing"),
        ({"json": RESERVE, "headers": {"Idempotency-Key": "k" * 256}}, 400, "key_missing"),
        ({"content": b" " * (8 * 2**20 + 1), "headers": JSON}, 413, "too_large"),
    ],
)
def test_a_wrong_request_is_refused(house: Clocked, sent: dict[str, Any], status: int, word: str) -> None:
    answer = house.http.put(f"/v1/holds/{HOLD}", **sent)

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["type"] == f"urn:payments:inventory:{word}"


@pytest.mark.parametrize(
    ("method", "path", "status", "word"),
    [
        ("GET", "/v2/holds", 404, "unknown_url"),
        ("DELETE", f"/v1/holds/{HOLD}", 405, "wrong_method"),
        ("GET", "/v1/holds/7D8F4F6E-0F0B-5A57-9A0E-2F5A3C1B9D10", 422, "invalid"),
        ("GET", "/v1/holds/..%2f..", 404, "unknown_url"),
        ("GET", "/v1/holds?since=yesterday", 422, "invalid"),
        ("GET", "/v1/holds?limit=0", 422, "invalid"),
        ("GET", "/v1/holds?limit=²", 422, "invalid"),
        ("GET", "/v1/holds?after=x", 422, "invalid"),
        ("GET", "/v1/holds?limit=1&limit=2", 422, "invalid"),
        ("GET", "/v1/stock?since=2026-03-01T12:00:00Z", 422, "invalid"),
    ],
)
def test_a_wrong_address_is_refused(house: Clocked, method: str, path: str, status: int, word: str) -> None:
    answer = house.http.request(method, path)

    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (status, word)


def test_a_token_is_wanted_where_one_is_set(tmp_path: Path) -> None:
    with clocked(tmp_path / "j", token="letmein") as house:
        assert house.call("about").word == "unauthorized"
        for wrong in ("Bearer letmeout", "letmein", "Bearer ", "Basic letmein"):
            assert house.http.get("/v1", headers={"Authorization": wrong}).status_code == 401
        assert house.http.get("/v1", headers={"Authorization": "Bearer letmein"}).status_code == 200


def test_a_batch_is_checked_as_a_whole(tmp_path: Path) -> None:
    with clocked(tmp_path / "j", batch_max=2) as house:
        house.stock({"TEA": 3})
        two_of_one = _batch(("reserve", "k", HOLD, RESERVE), ("confirm", "k2", HOLD, PLAIN))
        one_key = _batch(("reserve", "k", HOLD, RESERVE), ("reserve", "k", OTHER, RESERVE))
        too_many = _batch(*(("confirm", f"k{number}", f"{number}{HOLD[1:]}", PLAIN) for number in range(3)))
        nothing: dict[str, Any] = {"calls": []}
        for wrong in (nothing, two_of_one, one_key, too_many, _batch(("sell", "k", HOLD, PLAIN))):
            assert house.call("batch", wrong).word == "invalid"
        assert house.ledger()["holds"] == []

    with clocked(tmp_path / "j2", batch_max=0) as house:
        assert house.call("batch", two_of_one).word == "unknown_url"
        assert house.call("about").body["batch_max"] == 0


def test_each_call_of_a_batch_stands_for_itself(house: Clocked) -> None:
    house.stock({"TEA": 1})
    broken = {**RESERVE, "until": "soon"}

    answers = house.call(
        "batch",
        _batch(
            ("reserve", "k", HOLD, RESERVE), ("reserve", "k2", OTHER, broken), ("confirm", "k3", "9" + HOLD[1:], PLAIN)
        ),
    ).body["answers"]

    assert {answer["key"]: answer["status"] for answer in answers} == {"k": 200, "k2": 422, "k3": 404}
    assert house.shelf("TEA") == (0, 1, 0)


def _batch(*calls: tuple[str, str, str, Any]) -> dict[str, Any]:
    return {"calls": [{"call": call, "key": key, "id": thing, "body": body} for call, key, thing, body in calls]}
