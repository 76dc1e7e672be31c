"""The demo's orders on roles that run as processes of their own, each under its role of `deploy/roles.sql`."""

import json
import secrets
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from deploy.demo.script import customer_file
from deploy.demo.settings import PENDING_S, SETTINGS
from deploy.embedded import EmbeddedServers
from deploy.embedded.ports import free_port
from deploy.local_servers import PlayWebhooks, sandbox_of
from outbox.driver.conninfo import libpq_url
from tests.matrix.warned import ON, ROOT
from tests.processes import Process, started

PLAY_S: Final = 900.0
PATIENCE_S: Final = 300.0
"""A second or two where nothing else runs. A busy machine is no fault of a version."""
ROLES_FILE: Final = ROOT / "deploy" / "roles.sql"
MIGRATOR, APP, RELAY, READER = "payments_migrator", "payments_app", "payments_relay", "payments_reader"
PROCESSES: Final = {("webhooks",): APP, ("relay",): RELAY, ("sweep",): APP, ("consume", "all"): APP}
URL: Final = "PAYMENTS_DATABASE_URL"


def play_demo(servers: EmbeddedServers, folder: Path, orders: int) -> dict[str, Any]:
    """Play so many orders; every one must end as its script says. Raises AssertionError."""
    password = secrets.token_hex(8)
    urls = {role: _url(servers.database_url, role, password) for role in (MIGRATOR, APP, RELAY, READER)}
    told = _settings(servers, folder)
    _run_roles(servers.database_url, password)
    _once(folder, {**told, URL: urls[MIGRATOR]}, "migrate")
    _run_roles(servers.database_url, password)
    _once(folder, {**told, URL: urls[APP]}, "topics", "create")
    sandbox = sandbox_of(folder, PENDING_S, lambda _: None)
    sandbox.start()
    try:
        with ExitStack() as stack:
            running = {
                command[0]: stack.enter_context(started(folder, *command, **told, **{URL: urls[role]}))
                for command, role in PROCESSES.items()
            }
            for process in running.values():
                process.await_line("running", PATIENCE_S)
            found = _play(folder, {**told, URL: urls[APP]}, orders, running)
            _once(folder, {**told, URL: urls[READER]}, "order", "list", "--limit", "5")
            codes = {name: process.stop(PATIENCE_S) for name, process in running.items()}
    finally:
        sandbox.stop(immediate=True)
    assert set(codes.values()) == {0}, f"after SIGTERM roles ended with {codes}"
    return found


def _play(folder: Path, told: Mapping[str, str], orders: int, running: Mapping[str, Process]) -> dict[str, Any]:
    with started(folder, "demo", "--running", "--orders", str(orders), "--json", **told) as demo:
        code = demo.wait(PLAY_S)
        assert demo.out, f"the demo says nothing:\n{demo.log[-2000:]}"
    found = json.loads(demo.out)
    logs = "".join(process.log[-1000:] for process in running.values())
    assert (code, found["wrong"]) == (0, {}), f"orders did not end as their scripts say: {found['wrong']}\n{logs}"
    return {"orders": found["orders"], "invariants": len(found["audit"]["invariants"])}


def _settings(servers: EmbeddedServers, folder: Path) -> dict[str, str]:
    (folder / "customers.csv").write_text(customer_file(), encoding="utf-8")
    sandbox = sandbox_of(folder, PENDING_S, lambda _: None)
    return {
        **SETTINGS,
        **PlayWebhooks.of(folder).lines,
        **ON,
        "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": servers.kafka_bootstrap,
        "PAYMENTS_TOPIC_PREFIX": "demo.",
        "PAYMENTS_STRIPE_API_BASE": f"http://{sandbox.address}",
        "PAYMENTS_SMTP_URL": f"smtp://127.0.0.1:{free_port()}?starttls=never",
        "PAYMENTS_CUSTOMER_DIRECTORY": str(folder / "customers.csv"),
        "PAYMENTS_LOG_LEVEL": "INFO",
    }


def _once(folder: Path, told: Mapping[str, str], *command: str) -> None:
    with started(folder, *command, **told) as process:
        assert process.wait(PATIENCE_S) == 0, f"`payments {' '.join(command)}`:\n{process.log}"


def _url(url: str, role: str, password: str) -> str:
    return make_url(url).set(username=role, password=password).render_as_string(hide_password=False)


def _run_roles(url: str, password: str) -> None:
    with psycopg.connect(libpq_url(url)) as connection:
        connection.execute(ROLES_FILE.read_bytes())
        for role in (MIGRATOR, APP, RELAY, READER):
            made = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(password))
            connection.execute(made)
