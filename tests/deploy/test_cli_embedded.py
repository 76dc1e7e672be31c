"""`payments embedded` and `payments up --embedded`: servers that a command brings along."""

import json
import os
from pathlib import Path

import pytest

from deploy.settings import load_settings
from tests.deploy.commands import payments
from tests.deploy.orders import confirmed, publish, show, status_of
from tests.embedded.support import lives, state_of
from tests.processes import Process, started

pytestmark = pytest.mark.integration

START_S = 90.0


def pids(data: Path) -> dict[str, int]:
    return {name: server["pid"] for name, server in state_of(data).items()}


def end(process: Process, data: Path) -> None:
    """Stop it: everything that it brought is gone, and neither file says otherwise."""
    servers = pids(data)
    assert process.stop() == 0
    assert [name for name, pid in servers.items() if lives(pid)] == []
    assert not (data / "env").exists()
    assert not (data / "state.json").exists()


def test_embedded_servers_are_found_by_commands_in_their_folder_and_kept_over_restarts(tmp_path: Path) -> None:
    data = tmp_path / ".payments"
    with started(tmp_path, "embedded") as servers:
        servers.await_line("ready; in another terminal: payments migrate", START_S)
        assert pids(data).keys() == {"kafka", "postgresql", "sandbox"}
        settings = load_settings({}, directory=tmp_path, say=lambda _: None)
        assert settings.gateway == "sandbox"
        assert settings.stripe_api_base == f"http://{state_of(data)['sandbox']['address']}"
        assert settings.topic_replication_factor == 1
        without_schema = payments(tmp_path, "up")
        assert without_schema.code == 3
        assert "run `payments migrate`" in without_schema.err
        second = payments(tmp_path, "embedded")
        assert second.code == 3
        assert "is in use by the embedded run" in second.err
        addresses = {name: server["address"] for name, server in state_of(data).items()}
        end(servers, data)

    with started(tmp_path, "up", "--embedded") as up:
        up.await_line("ready; in another terminal: payments stock set", START_S)
        assert {name: server["address"] for name, server in state_of(data).items()} == addresses
        assert payments(tmp_path, "stock", "set", "tea", "9").code == 0
        publish(tmp_path, {}, confirmed("order-1"))
        places = {"PAYMENTS_DATABASE_URL": settings.sqlalchemy_url()}
        up.eventually(lambda: status_of(places, "order-1") == "paid_and_confirmed", "paid")
        (attempt,) = show(tmp_path, {}, "order-1")["attempts"]
        assert attempt["transaction_id"].startswith("pi_")
        end(up, data)
    noise = [line for line in up.log.splitlines() if "[warning" in line or "[error" in line]
    assert noise == []


def test_up_brings_a_sandbox_when_that_is_the_gateway_and_nobody_runs_one(
    tmp_path: Path, deployment: dict[str, str]
) -> None:
    sandboxed = {**deployment, "PAYMENTS_GATEWAY": "sandbox"}
    pid_file = tmp_path / ".payments" / "sandbox.pid"
    payments(tmp_path, "stock", "set", "tea", "9", **deployment)
    with started(tmp_path, "up", **sandboxed) as up:
        up.await_line("running")
        first = int(json.loads(pid_file.read_text())["pid"])
        publish(tmp_path, deployment, confirmed("order-1"))
        up.eventually(lambda: status_of(deployment, "order-1") == "paid_and_confirmed", "paid")
        os.kill(first, 9)
        up.await_line("sandbox had died and runs again")
        second = int(json.loads(pid_file.read_text())["pid"])
        assert up.stop() == 0
    assert first != second
    assert not lives(second)
