"""Probes: what a process answers before it works, while it works, and while a server is away."""

import socket
from pathlib import Path

import httpx
import pytest

from tests.deploy.commands import payments
from tests.e2e.deployment import Deployment
from tests.eventually import eventually
from tests.metrics.scraping import ON, Scraped, address_of, probe
from tests.processes import Process, started

pytestmark = pytest.mark.integration

ROLES = (("consume", "all"), ("relay",), ("sweep",), ("webhooks",), ("up",))
SECRET = {"PAYMENTS_STRIPE_WEBHOOK_SECRET": "whsec_test", "PAYMENTS_WEBHOOKS_LISTEN": "127.0.0.1:0"}


@pytest.mark.parametrize("role", ROLES, ids=" ".join)
def test_every_role_is_live_started_and_ready(
    tmp_path: Path, deployment: dict[str, str], role: tuple[str, ...]
) -> None:
    with started(tmp_path, *role, **deployment, **ON, **SECRET) as process:
        process.await_line('"running"')
        assert probe(process, "/started") == (
            200,
            {"started": True, "why": "the checks at start have passed"},
        )
        process.eventually(lambda: probe(process, "/ready")[0] == 200, "ready")
        code, document = probe(process, "/live")
        assert (code, document["live"]) == (200, True)
        scraped = Scraped(process)
        assert scraped.value("payments_ready") == 1
        assert scraped.value("payments_process_info") == 1
        assert process.stop() == 0


def test_a_spare_consumer_without_partitions_and_a_relay_that_stands_by_are_ready(
    tmp_path: Path, deployment: dict[str, str]
) -> None:
    with (
        started(tmp_path, "consume", "OrderConfirmed", **deployment, **ON) as one,
        started(tmp_path, "consume", "OrderConfirmed", **deployment, **ON) as two,
        started(tmp_path, "consume", "OrderConfirmed", **deployment, **ON) as three,
        started(tmp_path, "consume", "OrderConfirmed", **deployment, **ON) as spare,
        started(tmp_path, "relay", **deployment, **ON) as active,
        started(tmp_path, "relay", **deployment, **ON) as standby,
    ):
        for process in (one, two, three, spare, active, standby):
            process.eventually(lambda: probe(process, "/ready")[0] == 200, "ready")  # noqa: B023 - awaited here
        relays = sorted(Scraped(relay).value("payments_relay_active") or 0 for relay in (active, standby))
        assert relays == [0, 1]


def test_before_the_checks_have_passed_it_is_live_and_neither_started_nor_ready(
    tmp_path: Path, deployment: dict[str, str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        # It takes connections and never answers, so that the checks go on.
        away = {"PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{silent.getsockname()[1]}"}
        with started(tmp_path, "consume", "OrderConfirmed", **{**deployment, **away}, **ON) as process:
            assert probe(process, "/live")[0] == 200
            code, document = probe(process, "/started")
            assert (code, document["started"]) == (503, False)
            code, document = probe(process, "/ready")
            assert (code, document["ready"], document["not_joined"]) == (503, False, ["authorize_payment"])


def test_other_paths_and_methods_are_refused(tmp_path: Path, deployment: dict[str, str]) -> None:
    with started(tmp_path, "relay", **deployment, **ON) as process:
        health, metrics = address_of(process, "PAYMENTS_HEALTH_LISTEN"), address_of(process, "PAYMENTS_METRICS_LISTEN")
        answers = [
            httpx.get(f"{health}/metrics", trust_env=False).status_code,
            httpx.get(f"{metrics}/live", trust_env=False).status_code,
            httpx.post(f"{metrics}/metrics", trust_env=False).status_code,
        ]
        assert answers == [404, 404, 405]


def test_one_address_serves_both(tmp_path: Path, deployment: dict[str, str], free_address: str) -> None:
    both = {**ON, "PAYMENTS_METRICS_LISTEN": free_address, "PAYMENTS_HEALTH_LISTEN": free_address}
    with started(tmp_path, "relay", **deployment, **both) as process:
        process.await_line("listening")
        codes = [
            httpx.get(f"http://{free_address}{path}", trust_env=False).status_code for path in ("/live", "/metrics")
        ]
        assert codes == [200, 200]


def test_an_address_that_is_taken_ends_the_process_and_names_the_setting(
    tmp_path: Path, deployment: dict[str, str]
) -> None:
    with started(tmp_path, "relay", **deployment, **ON) as process:
        taken = address_of(process, "PAYMENTS_METRICS_LISTEN").removeprefix("http://")
        ran = payments(tmp_path, "relay", **{**deployment, "PAYMENTS_METRICS_LISTEN": taken})
    assert ran.code == 2
    assert "set PAYMENTS_METRICS_LISTEN to a free address" in ran.err


def _live(process: Process) -> bool:
    code, document = probe(process, "/live")
    return code == 200 and bool(document["live"])


@pytest.mark.kill
def test_an_outage_of_kafka_or_postgresql_is_no_reason_to_be_killed(shop: Deployment) -> None:
    shop.start("consumers", "relay", "sweep", **ON)
    processes = [shop.processes[role] for role in ("consumers", "relay", "sweep")]
    for process in processes:
        process.eventually(lambda: probe(process, "/ready")[0] == 200, "ready")  # noqa: B023 - awaited here
    swept = Scraped(shop.processes["sweep"])
    swept.becomes(0, "payments_consumer_lag_messages")
    shop.servers.kafka.stop()
    failed = {"source": "kafka"}
    swept.becomes(lambda count: count >= 2, "payments_readings_failed_total", **failed)
    # An old number would look like a present one.
    assert swept.value("payments_consumer_lag_messages") is None
    assert swept.value("payments_outbox_messages") == 0
    shop.servers.postgres.stop()
    swept.becomes(lambda count: count >= 2, "payments_readings_failed_total", source="database")
    assert swept.value("payments_outbox_messages") is None
    assert [(_live(process), probe(process, "/ready")[0]) for process in processes] == [(True, 200)] * 3
    shop.servers.postgres.start()
    shop.servers.kafka.start()
    swept.becomes(0, "payments_outbox_messages")
    swept.becomes(0, "payments_consumer_lag_messages")
    eventually(lambda: all(map(_live, processes)), "all live")
    shop.stop()
