"""Real processes whose data raise errors: they go on, or stop with a clear word, and nothing is lost."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.commands import payments
from tests.deploy.orders import confirmed, publish, status_of
from tests.embedded.support import connected
from tests.processes import started

pytestmark = pytest.mark.integration


def ask(environment: dict[str, str], query: str) -> Any:
    with connected(environment["PAYMENTS_DATABASE_URL"]) as connection:
        found = connection.execute(query.encode())
        row = found.fetchone() if found.description else None
    return None if row is None else row[0]


def free(order_id: str) -> dict[str, Any]:
    """Order something for nothing: the simulated gateway forgets all money with its process."""
    return confirmed(order_id) | {"discount_minor": 1_250, "total_minor": 0, "payment_method": None}


def test_orders_that_cannot_be_read_wait_up_to_a_number_beyond_which_the_process_stops_at_every_start(
    tmp_path: Path, deployment: dict[str, str]
) -> None:
    assert payments(tmp_path, "stock", "set", "tea", "100", **deployment).code == 0
    with started(tmp_path, "consume", "OrderConfirmed", **deployment) as consume:
        publish(tmp_path, deployment, *map(free, ("bad-1", "bad-2", "good")))
        consume.eventually(
            lambda: ask(deployment, "SELECT count(*) FROM orders WHERE status = 'payment_authorized'") == 3,
            "authorized",
        )
        assert consume.stop() == 0
    kept = ask(deployment, "SELECT lines::text FROM orders WHERE order_id = 'bad-1'")
    ask(deployment, "UPDATE orders SET lines = '[[1]]' WHERE order_id LIKE 'bad%'")

    strict = deployment | {"PAYMENTS_QUARANTINE_MAX": "1"}
    for _ in range(2):
        with started(tmp_path, "up", **strict) as up:
            assert up.wait() == 1
            assert "PAYMENTS_QUARANTINE_MAX is 1" in up.log
        assert ask(deployment, "SELECT count(*) FROM dead_letter WHERE reason = 'quarantined'") == 1

    with started(tmp_path, "up", **deployment) as up:
        up.eventually(lambda: status_of(deployment, "good") == "paid_and_confirmed", "the good one is paid")
        up.eventually(lambda: ask(deployment, "SELECT count(*) FROM dead_letter") == 2, "the bad ones wait")
        listed = json.loads(payments(tmp_path, "dlq", "list", "--reason", "quarantined", "--json", **deployment).out)
        assert sorted(letter["order_id"] for letter in listed["letters"]) == ["bad-1", "bad-2"]
        audit = payments(tmp_path, "audit", "--wait", "30", "--topics", **deployment)
        assert audit.code == 0, audit.out
        assert "2 orders wait in quarantine (bad-1, bad-2)" in audit.out

        ask(deployment, f"UPDATE orders SET lines = '{kept}' WHERE order_id LIKE 'bad%'")
        redriven = payments(tmp_path, "dlq", "redrive", "--all", **deployment)
        assert redriven.code == 0, redriven.out
        paid = "SELECT count(*) FROM orders WHERE status = 'paid_and_confirmed'"
        up.eventually(lambda: ask(deployment, paid) == 3, "all are paid")
        assert up.stop() == 0
    assert ask(deployment, "SELECT sold FROM stock") == 6
