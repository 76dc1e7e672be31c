"""`payments inventory-sandbox`, and the inventory sandbox that other commands bring along."""

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import httpx
import pytest

from deploy.embedded import DirectoryInUse
from deploy.local_servers import own_sandboxes
from deploy.running import Stopping
from deploy.settings import Settings, load_settings
from tests.deploy.commands import COMMAND, payments
from tests.embedded.support import lives
from tests.eventually import eventually


def test_the_inventory_sandbox_says_where_it_is_and_ends_when_asked(tmp_path: Path) -> None:
    with subprocess.Popen(
        [COMMAND, "inventory-sandbox", "--json"], cwd=tmp_path, env={}, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        told = json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")
        assert told["pid"] == process.pid
        assert httpx.get(f"{told['address']}/v1", trust_env=False).json()["batch_max"] == 100
        second = payments(tmp_path, "inventory-sandbox")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0

    assert (second.code, second.out) == (2, "")
    assert "give another file" in second.err
    assert Path(told["data"]) == tmp_path / ".payments" / "inventory.jsonl"


def test_its_callers_send_the_token_that_is_set(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("letmein\n")
    with subprocess.Popen(
        [COMMAND, "inventory-sandbox", "--data", "j"],
        cwd=tmp_path,
        env={"PAYMENTS_INVENTORY_TOKEN_FILE": "token"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().rpartition(" ")[2].strip()
        assert httpx.get(f"{address}/v1", trust_env=False).status_code == 401
        good = {"Authorization": "Bearer letmein"}
        assert httpx.get(f"{address}/v1", headers=good, trust_env=False).status_code == 200
        process.terminate()
        assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--listen", "0.0.0.0:0"), "loopback only"),
        (("--listen", "127.0.0.1"), "HOST:PORT"),
        (("--data", "/proc/nowhere/j"), "--data"),
        (("--batch-max", "-1"), "--batch-max"),
        (("everything",), "unexpected extra argument"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_to_do(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    refused = payments(tmp_path, "inventory-sandbox", *arguments)

    assert (refused.code, refused.out) == (2, "")
    assert says in refused.err
    assert refused.err.count("\n") == 1


def test_a_port_that_is_taken_ends_with_2(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        refused = payments(tmp_path, "inventory-sandbox", "--listen", listen)

    assert refused.code == 2
    assert listen in refused.err


def test_sandboxes_that_are_wanted_run_and_come_back(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, gateway="sandbox", inventory="http")
    said: list[str] = []
    with Stopping() as stopping, own_sandboxes(settings, stopping, said.append) as complete:
        address = complete.external_inventory()
        first = int(json.loads((tmp_path / "inventory.pid").read_text())["pid"])
        httpx.put(f"{address}/inventory/stock/tea", json={"available": 3}, trust_env=False).raise_for_status()
        assert complete.stripe_api_base is not None
        with pytest.raises(DirectoryInUse, match=f"PAYMENTS_INVENTORY_URL={address}"):
            own_sandboxes(settings, stopping, said.append).__enter__()

        os.kill(first, signal.SIGKILL)

        eventually(lambda: any("inventory had died and runs again" in text for text in said), "it runs again")
        (tea,) = httpx.get(f"{address}/v1/stock", trust_env=False).json()["stock"]
        second = int(json.loads((tmp_path / "inventory.pid").read_text())["pid"])
    assert (tea["sku"], tea["available"]) == ("tea", 3)
    assert not lives(second)


def test_only_what_is_wanted_runs(tmp_path: Path) -> None:
    elsewhere = Settings(data=tmp_path, gateway="simulated", inventory="http", inventory_url="http://127.0.0.1:1")
    for settings in (elsewhere, elsewhere.model_copy(update={"inventory": "internal", "inventory_url": None})):
        with Stopping() as stopping, own_sandboxes(settings, stopping, lambda _: None) as complete:
            assert complete == settings
    assert not list(tmp_path.glob("*.pid"))


def test_the_address_of_an_embedded_run_is_not_for_another_inventory(tmp_path: Path) -> None:
    (tmp_path / ".payments").mkdir()
    (tmp_path / ".payments" / "env").write_text("PAYMENTS_INVENTORY=http\nPAYMENTS_INVENTORY_URL=http://127.0.0.1:1\n")

    def settings(**given: str) -> Settings:
        return load_settings(given, directory=tmp_path, say=lambda _: None)

    assert settings().external_inventory() == "http://127.0.0.1:1"
    assert settings(PAYMENTS_INVENTORY="internal").inventory_url is None


@pytest.mark.parametrize(
    "arguments", [("set", "tea", "5"), ("adjust", "tea", "5", "--reason", "found"), ("import", "stock.csv")]
)
def test_a_stock_that_is_elsewhere_is_not_changed_here(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "stock.csv").write_text("sku,quantity\ntea,5\n")
    elsewhere = {"PAYMENTS_INVENTORY": "http", "PAYMENTS_INVENTORY_URL": "http://127.0.0.1:1"}

    refused = payments(tmp_path, "stock", *arguments, **elsewhere)

    assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
    assert "change it there" in refused.err
