import json
import signal
from pathlib import Path

import pytest

from deploy.demo.stories import ORDERS_MIN
from tests.deploy.commands import payments
from tests.processes import started

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


def folders(place: Path) -> list[Path]:
    return list(place.glob("payments-*"))


def test_demo_prints_one_document_with_every_outcome_as_its_script_says(tmp_path: Path) -> None:
    ran = payments(tmp_path, "demo", "--orders", "40", "--seed", "7", "--json", TMPDIR=str(tmp_path))
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert (found["orders"], found["seed"]) == (40, 7)
    assert found["outcomes"] == found["expected"]
    assert sum(found["outcomes"].values()) == 40
    assert (found["audit"]["holds"], found["audit"]["quiescent"]) == (True, True)
    assert [i["id"] for i in found["audit"]["invariants"] if i["holds"]] == list(range(1, 12))
    assert found["latency_ms"]["p50"] > 0
    assert folders(tmp_path) == []


def test_fewer_orders_than_there_are_kinds_is_wrong_usage(tmp_path: Path) -> None:
    ran = payments(tmp_path, "demo", "--orders", str(ORDERS_MIN - 1))
    assert ran.code == 2
    assert str(ORDERS_MIN) in ran.err


def test_interrupted_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    with started(tmp_path, "demo", "--orders", "5000", TMPDIR=str(tmp_path)) as demo:
        demo.eventually(lambda: "confirmed" in demo.log, "orders are under way", 90)
        assert folders(tmp_path) != []
        demo.signal(signal.SIGTERM)
        assert demo.wait(60) != 0
    assert folders(tmp_path) == []
