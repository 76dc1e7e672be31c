import json
from pathlib import Path

import psutil
import pytest

from deploy.embedded.guard import has_ended
from tests.deploy.commands import payments
from tests.processes import Process, started

pytestmark = [pytest.mark.kill, pytest.mark.timeout(240)]

ORDER = {
    "type": "OrderConfirmed",
    "customer_id": "c-7",
    "currency": "EUR",
    "lines": [{"sku": "tea", "quantity": 2, "unit_price_minor": 450}],
    "discount_minor": 0,
    "delivery_fee_minor": 390,
    "service_fee_minor": 50,
    "total_minor": 1340,
    "payment_method": {"kind": "CARD", "token": "pm_card_visa"},
}
READY_S = 90.0


def servers(folder: Path) -> dict[str, int]:
    """Name the pids of the servers that the folder speaks of."""
    state = json.loads((folder / ".payments" / "state.json").read_text())
    return {name: server["pid"] for name, server in state.items()}


def runs(pid: int) -> bool:
    """Whether it runs. A zombie without threads has ended: only whoever inherited it has not looked yet."""
    try:
        return not has_ended(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False


def cmdline(process: psutil.Process) -> list[str]:
    """Return the command line, empty if it is gone."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def pay(folder: Path, up: Process, order_id: str) -> None:
    """Type an order as a person would, and see it paid."""
    publish(folder, order_id)
    await_paid(folder, up, order_id)


def publish(folder: Path, order_id: str) -> None:
    """Type an order as a person would."""
    published = payments(folder, "publish", "-", stdin=json.dumps({**ORDER, "order_id": order_id}))
    assert published.code == 0, published.err


def await_paid(folder: Path, up: Process, order_id: str) -> None:
    """Look at the order until it is paid."""

    def paid() -> bool:
        shown = payments(folder, "order", "show", order_id, "--json")
        return shown.code == 0 and json.loads(shown.out)["status"] == "paid_and_confirmed"

    up.eventually(paid, f"{order_id} is paid")


def test_up_embedded_serves_a_person_survives_sigkill_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with started(tmp_path, "up", "--embedded") as up:
        up.eventually(lambda: "ready" in up.out + up.log, "it says that it is ready", READY_S)
        assert payments(tmp_path, "stock", "set", "tea", "10").code == 0
        pay(tmp_path, up, "A-1")
        before = servers(tmp_path)
        publish(tmp_path, "A-2")
        up.kill()

    with started(tmp_path, "up", "--embedded") as up:
        up.eventually(lambda: "ready" in up.out + up.log, "it is ready again", READY_S)
        after = servers(tmp_path)
        await_paid(tmp_path, up, "A-2")
        pay(tmp_path, up, "A-3")
        assert payments(tmp_path, "audit", "--wait", "30", "--topics").code == 0
        assert up.stop() == 0

    pids = {*before.values(), *after.values()}
    assert [pid for pid in pids if runs(pid)] == []
    assert [cmdline(p) for p in psutil.process_iter() if runs(p.pid) and str(tmp_path) in " ".join(cmdline(p))] == []
