"""Servers that a command runs for itself: the gateway sandbox, alone or with PostgreSQL and Kafka."""

import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import SecretStr

from deploy.embedded import DirectoryInUse, EmbeddedRun, EmbeddedServers, ManagedProcess, Supervisor, kept_port
from deploy.embedded.files import try_lock, write_whole
from deploy.running import Stopping
from deploy.settings import Settings, setting_name

Progress = Callable[[str], None]
WEBHOOKS_PATH: Final = "/webhooks/stripe"
"""Where every deployment takes the gateway's webhooks."""
SECRET_FILE: Final = "webhook.secret"  # noqa: S105 - a name of a file


def wants_sandbox(settings: Settings) -> bool:
    """Whether to run a sandbox: no gateway is chosen, or the sandbox without an address."""
    return settings.gateway is None or (settings.gateway == "sandbox" and settings.stripe_api_base is None)


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
    if settings.topic_prefix:
        lines["PAYMENTS_TOPIC_PREFIX"] = settings.topic_prefix
    run = EmbeddedRun(
        EmbeddedServers(data, progress=progress), extra=extra, settings=lines, prepare=prepare, progress=progress
    )
    stopping.at_once = lambda: run.stop(immediate=True)
    progress(f"starting PostgreSQL and Kafka{' and the gateway sandbox' if sandbox else ''} in {data}")
    with run:
        yield run


@contextmanager
def own_sandbox(settings: Settings, stopping: Stopping, progress: Progress) -> Iterator[Settings]:
    """Run a sandbox in PAYMENTS_DATA while inside, and restart it if it dies. Yields the settings with its addresses.

    Raises DirectoryInUse if another process runs servers there.
    """
    data = settings.data.resolve()
    sandbox = sandbox_of(data, settings.sandbox_pending_s, progress)
    lock = try_lock(data / "lock")
    if lock is None:
        raise DirectoryInUse(
            f"another process runs a sandbox in {data}: set PAYMENTS_STRIPE_API_BASE=http://{sandbox.address} to use "
            "that one, or PAYMENTS_DATA to another folder"
        )
    stopping.at_once = lambda: sandbox.stop(immediate=True)
    try:
        sandbox.start()
        with Supervisor([sandbox], progress).watching():
            hook = PlayWebhooks.of(data).settings
            secret = SecretStr(hook.pop("stripe_webhook_secret"))
            yield settings.model_copy(
                update={"stripe_api_base": f"http://{sandbox.address}", "stripe_webhook_secret": secret, **hook}
            )
    finally:
        sandbox.stop()
