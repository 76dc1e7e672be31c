"""A rebuild asks nobody outside: the gateway and the inventory of its settings are there, and hear nothing."""

import json
from pathlib import Path

import httpx
import pytest

from tests.counting import door
from tests.deploy.commands import payments
from tests.deploy.orders import confirmed, publish
from tests.processes import started
from tests.sandbox.process import running as running_gateway
from tests.stockhouse.process import running as running_inventory


@pytest.mark.integration
def test_a_rebuild_makes_no_call_to_the_gateway_or_the_inventory_that_the_settings_name(
    tmp_path: Path, deployment: dict[str, str]
) -> None:
    with (
        running_gateway(tmp_path / "sandbox.jsonl") as sandbox,
        running_inventory(tmp_path / "inventory.jsonl") as stockhouse,
        door(sandbox.address) as gateway,
        door(stockhouse.address) as inventory,
    ):
        units = {"available": {"tea": 5}}
        httpx.put(f"{stockhouse.address}/inventory/stock", json=units, trust_env=False).raise_for_status()
        there = deployment | {
            "PAYMENTS_GATEWAY": "sandbox",
            "PAYMENTS_STRIPE_API_BASE": gateway.address,
            "PAYMENTS_INVENTORY": "http",
            "PAYMENTS_INVENTORY_URL": inventory.address,
        }
        orders = [confirmed("paid"), confirmed("declined", "pm_card_chargeDeclined"), confirmed("short", quantity=9)]
        with started(tmp_path, "up", **there) as up:
            up.await_line("running")
            publish(tmp_path, there, *orders)
            audited = payments(tmp_path, "audit", "--wait", "60", **there)
            assert up.stop() == 0
        assert audited.code == 0, audited.out + audited.err
        asked = gateway.calls, inventory.calls
        assert min(asked) > 0, "the pipeline itself asks both, through the same doors"

        rebuilt = payments(tmp_path, "audit", "--rebuild", "--wait", "60", "--json", **there)

        assert rebuilt.code == 0, rebuilt.out + rebuilt.err
        assert json.loads(rebuilt.out)["rebuild"]["equal"] == len(orders)
        assert (gateway.calls, inventory.calls) == asked
