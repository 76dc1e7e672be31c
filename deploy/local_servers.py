"""Servers that a command runs for itself: sandboxes of gateway and inventory, alone or with PostgreSQL and Kafka."""

import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import SecretStr

from deploy.embedded import DirectoryInUse, EmbeddedRun, EmbeddedServers, ManagedProcess, Supervisor, kept_port
from deploy.embedded.files import try_lock, write_whole
from deploy.gateways import wants_sandbox
from deploy.inventories import wants_stockhouse
from deploy.running import Stopping
from deploy.settings import Settings, setting_name

Progress = Callable[[str], None]
WEBHOOKS_PATH: Final = "/webhooks/stripe"
"""Where every deployment takes the gateway's webhooks."""
SECRET_FILE: Final = "webhook.secret"  # noqa: S105 - a name of a file


class PlayWebhooks(NamedTuple):
    """How the sandbox of a folder tells the pipeline of that folder. Address and secret are kept in the folder."""

    listen: str
    secret_file: Path

    @classmethod
    def of(cls, data: Path) -> "PlayWebhooks":
        """Return those of this folder; draws port and secret at the first time."""
        listen, secret_file = f"127.0.0.1:{kept_port(data, 'webhooks')}", data / SECRET_FILE
        if not secret_file.exists():
            write_whole(secret_file, f"whsec_{secrets.token_hex(24)}\n")
        return cls(listen, secret_file)

    @property
    def settings(self) -> dict[str, str]:
        """Return the settings of the pipeline's endpoint, by field."""
        return {
            "webhooks_listen": self.listen,
            "stripe_webhook_secret": self.secret_file.read_text(encoding="ascii").strip(),
        }

    @property
    def lines(self) -> dict[str, str]:
        """Return the same, by environment variable."""
        return {setting_name(field): value for field, value in self.settings.items()}


def sandbox_of(data: Path, pending_s: float, progress: Progress) -> ManagedProcess:
    """Return the sandbox of this folder, not started. It keeps its port, and its ledger in sandbox.jsonl.

    It sends webhooks to the endpoint of PlayWebhooks; whether anybody listens there does not matter to it.
    """
    port, hook = kept_port(data, "sandbox"), PlayWebhooks.of(data)
    listen, ledger = f"127.0.0.1:{port}", str(data / "sandbox.jsonl")
    module = [sys.executable, "-P", "-m", "deploy.sandbox"]
    telling = ["--webhook-url", f"http://{hook.listen}{WEBHOOKS_PATH}", "--webhook-secret", str(hook.secret_file)]
    return ManagedProcess(
        "sandbox",
        data,
        [*module, "--listen", listen, "--data", ledger, "--pending-s", f"{pending_s:g}", *telling],
        health_url=f"http://{listen}/sandbox/health",
        port=port,
        version=version("payments"),
        progress=progress,
    )


def stockhouse_of(data: Path, progress: Progress) -> ManagedProcess:
    """Return the inventory sandbox of this folder, not started. It keeps its port, and its stock in inventory.jsonl."""
    port = kept_port(data, "inventory")
    listen, journal = f"127.0.0.1:{port}", str(data / "inventory.jsonl")
    return ManagedProcess(
        "inventory",
        data,
        [sys.executable, "-P", "-m", "deploy.stockhouse", "--listen", listen, "--data", journal],
        health_url=f"http://{listen}/inventory/health",
        port=port,
        title="inventory sandbox",
        version=version("payments"),
        progress=progress,
    )


@contextmanager
def embedded_servers(
    settings: Settings,
    stopping: Stopping,
    progress: Progress,
    *,
    sandbox: bool,
    prepare: Callable[[Mapping[str, str]], None] = lambda _: None,
) -> Iterator[EmbeddedRun]:
    """Run PostgreSQL, Kafka and, if asked for, the sandbox in PAYMENTS_DATA while inside, restarting what dies.

    An inventory sandbox, too, if the settings have the external inventory without an address.

    prepare: called with the settings of these servers, before `env` and `state.json` are written. Raises DirectoryInUse
    if another run has the folder, EmbeddedError if one cannot be started; none is left running then.
    """
    data = settings.data.resolve()
    lines: dict[str, str] = {}
    extra = []
    if sandbox:
        extra.append(sandbox_of(data, settings.sandbox_pending_s, progress))
        lines = {
            "PAYMENTS_GATEWAY": "sandbox",
            "PAYMENTS_STRIPE_API_BASE": f"http://{extra[0].address}",
            **PlayWebhooks.of(data).lines,
        }
    if wants_stockhouse(settings):
        extra.append(stockhouse_of(data, progress))
        lines |= {"PAYMENTS_INVENTORY": "http", "PAYMENTS_INVENTORY_URL": f"http://{extra[-1].address}"}
    if settings.topic_prefix:
        lines["PAYMENTS_TOPIC_PREFIX"] = settings.topic_prefix
    run = EmbeddedRun(
        EmbeddedServers(data, progress=progress), extra=extra, settings=lines, prepare=prepare, progress=progress
    )
    stopping.at_once = lambda: run.stop(immediate=True)
    also = [f" and the {'gateway' if server.name == 'sandbox' else server.name} sandbox" for server in extra]
    progress(f"starting PostgreSQL and Kafka{''.join(also)} in {data}")
    with run:
        yield run


@contextmanager
def own_sandboxes(settings: Settings, stopping: Stopping, progress: Progress) -> Iterator[Settings]:
    """Run the sandboxes that the settings want in PAYMENTS_DATA while inside, and restart one that dies.

    Yields the settings with their addresses. Raises DirectoryInUse if another process runs servers there.
    """
    data = settings.data.resolve()
    servers: list[ManagedProcess] = []
    found: dict[str, Any] = {}
    if wants_sandbox(settings):
        sandbox = sandbox_of(data, settings.sandbox_pending_s, progress)
        servers.append(sandbox)
        hook = PlayWebhooks.of(data).settings
        secret = SecretStr(hook.pop("stripe_webhook_secret"))
        found |= {"stripe_api_base": f"http://{sandbox.address}", "stripe_webhook_secret": secret, **hook}
    if wants_stockhouse(settings):
        stockhouse = stockhouse_of(data, progress)
        servers.append(stockhouse)
        found |= {"inventory_url": f"http://{stockhouse.address}"}
    lock = try_lock(data / "lock")
    if lock is None:
        places = [
            f"{setting_name(name)}={found[name]}" for name in ("stripe_api_base", "inventory_url") if name in found
        ]
        raise DirectoryInUse(
            f"another process runs a sandbox in {data}: set {' and '.join(places)} to use that one, or PAYMENTS_DATA "
            "to another folder"
        )
    stopping.at_once = lambda: _stop(servers, immediate=True)
    try:
        for server in servers:
            server.start()
        with Supervisor(servers, progress).watching():
            yield settings.model_copy(update=found)
    finally:
        _stop(servers)
        os.close(lock)


def _stop(servers: Sequence[ManagedProcess], *, immediate: bool = False) -> None:
    for server in servers:
        server.stop(immediate=immediate)
