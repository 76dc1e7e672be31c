"""Servers that a command runs for itself: the gateway sandbox, alone or with PostgreSQL and Kafka."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from deploy.embedded import DirectoryInUse, EmbeddedRun, EmbeddedServers, ManagedProcess, Supervisor, kept_port
from deploy.embedded.files import try_lock
from deploy.running import Stopping
from deploy.settings import Settings

Progress = Callable[[str], None]


def wants_sandbox(settings: Settings) -> bool:
    """Whether to run a sandbox: no gateway is chosen, or the sandbox without an address."""
    return settings.gateway is None or (settings.gateway == "sandbox" and settings.stripe_api_base is None)


def sandbox_of(data: Path, pending_s: float, progress: Progress) -> ManagedProcess:
    """Return the sandbox of this folder, not started. It keeps its port, and its ledger in sandbox.jsonl."""
    port = kept_port(data, "sandbox")
    listen, ledger = f"127.0.0.1:{port}", str(data / "sandbox.jsonl")
    module = [sys.executable, "-P", "-m", "deploy.sandbox"]
    return ManagedProcess(
        "sandbox",
        data,
        [*module, "--listen", listen, "--data", ledger, "--pending-s", f"{pending_s:g}"],
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
        lines = {"PAYMENTS_GATEWAY": "sandbox", "PAYMENTS_STRIPE_API_BASE": f"http://{extra[0].address}"}
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
def own_sandbox(settings: Settings, stopping: Stopping, progress: Progress) -> Iterator[str]:
    """Run a sandbox in PAYMENTS_DATA while inside, and restart it if it dies. Yields its API base.

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
            yield f"http://{sandbox.address}"
    finally:
        sandbox.stop()
