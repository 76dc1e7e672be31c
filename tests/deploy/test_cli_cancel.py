"""`payments order cancel`: an operator cancels an order; what is refused, and what the other commands show of it."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from deploy.cli.words import os_user
from tests.deploy.commands import Ran, payments
from tests.deploy.orders import confirmed, publish, show, status_of
from tests.embedded.support import connected
from tests.processes import started

REASON = ("--reason", "ordered by mistake")


def cancel(directory: Path, environment: dict[str, str], order_id: str, *arguments: str) -> Ran:
    return payments(directory, "order", "cancel", order_id, *arguments, **environment)


def is_prepared(environment: dict[str, str], order_id: str) -> bool:
    query = "SELECT 1 FROM orders WHERE order_id = %s AND preparation_started_at IS NOT NULL"
    with connected(environment["PAYMENTS_DATABASE_URL"]) as connection:
        return bool(connection.execute(query, [order_id]).fetchall())


@pytest.mark.integration
@pytest.mark.timeout(600)
def test_an_operator_cancels_a_paid_order_and_who_and_why_is_kept(tmp_path: Path, deployment: dict[str, str]) -> None:
    operator = f"{os_user()}/{make_url(deployment['PAYMENTS_DATABASE_URL']).username}"
    assert payments(tmp_path, "stock", "set", "tea", "10", **deployment).code == 0
    with started(tmp_path, "up", **deployment) as up:
        publish(tmp_path, deployment, confirmed("order-1"), confirmed("order-2"))
        for order_id in ("order-1", "order-2"):
            up.eventually(lambda name=order_id: status_of(deployment, name) == "paid_and_confirmed", "paid")  # type: ignore[misc]
        ran = cancel(tmp_path, deployment, "order-1", *REASON, "--by", "alice", "--request-id", "R-1", "--json")
        assert ran.code == 0, ran.err
        asked: dict[str, Any] = json.loads(ran.out)
        assert {name: asked[name] for name in ("order_id", "request_id", "by", "operator", "new", "state")} == {
            "order_id": "order-1",
            "request_id": "R-1",
            "by": "alice",
            "operator": operator,
            "new": True,
            "state": "taken",
        }
        assert [(o["kind"], o["state"]) for o in asked["operations"]] == [("refund", "open")]
        up.eventually(lambda: status_of(deployment, "order-1") == "cancelled", "cancelled")

        again = cancel(tmp_path, deployment, "order-1", *REASON, "--by", "alice", "--request-id", "R-1")
        assert (again.code, "asked for before" in again.out, "the order is cancelled" in again.out) == (0, True, True)
        other = cancel(tmp_path, deployment, "order-1", "--reason", "another", "--request-id", "R-1")
        assert (other.code, "conflict" in other.err) == (1, True)
        late = cancel(tmp_path, deployment, "order-1", *REASON)
        assert (late.code, "it is cancelled already" in late.err) == (1, True)
        nobody = cancel(tmp_path, deployment, "order-9", *REASON)
        assert (nobody.code, "there is no order order-9" in nobody.err) == (1, True)

        publish(tmp_path, deployment, {"type": "PreparationStarted", "order_id": "order-2"})
        up.eventually(lambda: is_prepared(deployment, "order-2"), "the begin of its preparation noted")
        refused = cancel(tmp_path, deployment, "order-2", *REASON, "--json")
        assert (refused.code, json.loads(refused.out)["refused"]) == (1, "PREPARATION_STARTED")
        assert "its preparation has begun" in refused.err
        assert up.stop() == 0

    stored = show(tmp_path, deployment, "order-1")
    first, second = stored["requests"]
    assert (first["request_id"], first["state"], first["requested_by"]) == ("R-1", "done", "alice")
    assert (first["operator"], first["taken_minor"], first["kind"]) == (operator, 1_250, "cancel")
    assert (second["state"], second["refused"]) == ("refused", "ALREADY_CANCELLED")
    text = payments(tmp_path, "order", "show", "order-1", **deployment).out
    for words in ("cancelled", "cancel asked for", "R-1, ordered by mistake", "cancel done", "cancel refused"):
        assert words in text
    listed = payments(tmp_path, "order", "list", "--status", "cancelled", "--json", **deployment)
    assert [(row["order_id"], row["asked"]) for row in json.loads(listed.out)["orders"]] == [("order-1", None)]
