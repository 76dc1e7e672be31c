"""`payments order refund` and `order approve`: exit codes, JSON, and that nobody approves what they asked for."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from consumers.runtime.asking import Asked
from deploy.cli.order_refund import _request, _tell
from deploy.cli.words import os_user
from deploy.failures import Failure
from domain.order import Status
from domain.requests import RequestState
from tests.deploy.commands import Ran, payments
from tests.deploy.orders import confirmed, publish, show, status_of
from tests.domain.builders import TOTAL, captured, order, request
from tests.processes import started

LIMIT = {"PAYMENTS_FOUR_EYES_MINOR": "EUR=1000"}


def said(ran: Ran, code: int = 0) -> dict[str, Any]:
    assert ran.code == code, ran.err
    document: dict[str, Any] = json.loads(ran.out)
    return document


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_money_is_given_back_and_above_the_limit_by_two_persons(tmp_path: Path, deployment: dict[str, str]) -> None:
    environment = deployment | LIMIT

    def order(*arguments: str) -> Ran:
        return payments(tmp_path, "order", *arguments, **environment)

    def state_of(request_id: str) -> str | None:
        requests = show(tmp_path, deployment, "order-1").get("requests", [])
        return next((r["state"] for r in requests if r["request_id"] == request_id), None)

    assert payments(tmp_path, "stock", "set", "tea", "10", **environment).code == 0
    with started(tmp_path, "up", **environment) as up:
        publish(tmp_path, deployment, confirmed("order-1"))
        up.eventually(lambda: status_of(deployment, "order-1") == "paid_and_confirmed", "paid")
        (line, *_) = show(tmp_path, deployment, "order-1")["lines"]

        asked = ("--amount", "300", "--restock", f"{line['sku']}=1", "--reason", "damaged", "--request-id", "R-1")
        first = said(order("refund", "order-1", *asked, "--json"))
        assert (first["state"], first["taken_minor"], first["new"]) == ("taken", 300, True)
        assert first["operator"].split("/")[0] == os_user()
        assert [event["type"] for event in first["events"]] == ["ItemsRestocked"]
        up.eventually(lambda: state_of("R-1") == "done", "refunded")
        assert f"R-1, 1 x {line['sku']}\n" in order("show", "order-1").out
        again = said(order("refund", "order-1", *asked, "--json"))
        assert (again["state"], again["new"]) == ("done", False)
        assert "is done, 3.00 EUR (asked for before)" in order("refund", "order-1", *asked).out
        other = order("refund", "order-1", "--amount", "301", "--reason", "damaged", "--request-id", "R-1")
        assert (other.code, "has another request R-1" in other.err) == (1, True)

        much = said(order("refund", "order-1", "--amount", "9999999", "--reason", "much", "--json"), 1)
        assert (much["state"], much["refused"]) == ("refused", "EXCEEDS_KEPT")
        told = order("refund", "order-1", "--amount", "9999999", "--reason", "much")
        assert (told.code, told.out, told.err.count("\n")) == (1, "", 1)
        assert "less than that is kept" in told.err

        above = said(
            order("refund", "order-1", "--amount", "701", "--reason", "above", "--request-id", "R-2", "--json")
        )
        assert above["state"] == "approval"
        waits = order("refund", "order-1", "--amount", "701", "--reason", "above", "--request-id", "R-2")
        assert "is waiting for a second person" in waits.out
        listed = json.loads(order("list", "--approval", "--json").out)
        assert [o["order_id"] for o in listed["orders"]] == ["order-1"]
        own = order("approve", "order-1", "R-2", "--by", "somebody else")
        assert (own.code, own.out) == (1, "")
        assert "somebody else approves it" in own.err

        upstream = {
            "type": "RefundRequested",
            "order_id": "order-1",
            "request_id": "R-3",
            "amount_minor": 701,
            "reason": "above",
            "requested_by": "agent-7",
        }
        publish(tmp_path, deployment, upstream)
        up.eventually(lambda: state_of("R-3") == "approval", "waits for a second person")
        approved = said(order("approve", "order-1", "R-3", "--json"))
        assert (approved["state"], approved["approved_by"].split("/")[0]) == ("taken", os_user())
        up.eventually(lambda: state_of("R-3") == "done", "refunded")
        assert "it waits for nobody" in order("approve", "order-1", "R-3").err
        look_at_what_cannot_be_asked_for(order)
        cancel = order("cancel", "order-1", "--reason", "none", "--request-id", "C-1")
        assert (cancel.code, "somebody else runs `payments order approve order-1 C-1`" in cancel.out) == (0, True)
        assert up.stop() == 0
    assert payments(tmp_path, "audit", "--wait", "30", **environment).code == 0


def look_at_what_cannot_be_asked_for(order: Callable[..., Ran]) -> None:
    assert order("refund", "order-9", "--reason", "none").code == 1
    twice = order("refund", "order-1", "--reason", "none", "--restock", "tea=1", "--restock", "tea=1")
    assert (twice.code, "names tea more than once" in twice.err) == (2, True)
    for restock in ("SKU", "SKU=0", "=1", f"{'S' * 65}=1"):
        assert order("refund", "order-1", "--reason", "none", "--restock", restock).code == 2
    assert order("refund", "order-1", "--reason", "none", "--amount", "9" * 25).code == 2
    spaced = order("refund", "order 1", "--reason", "none")
    assert (spaced.code, "there is no order order 1" in spaced.err) == (1, True)


def test_a_sku_is_named_once() -> None:
    with pytest.raises(click.UsageError, match="--restock names tea more than once"):
        _request("order-1", None, None, ("tea=1", "mug=1", "tea=2"), "damaged", "alice")


def test_a_refund_of_all_that_finds_nothing_kept_says_so() -> None:
    for amount, words in ((None, "nothing is kept of it any more"), (100, "less than that is kept of it")):
        refused = request(amount_minor=amount, state=RequestState.REFUSED, refused="EXCEEDS_KEPT")
        known = order(Status.PAID_AND_CONFIRMED, captured(refunded_minor=TOTAL), requests=(refused,))
        with pytest.raises(Failure, match=words):
            _tell(Asked(known, known), refused, as_json=False)
