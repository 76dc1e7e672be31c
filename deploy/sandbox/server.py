"""The sandbox as a server: where it may listen, and what it brings along."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from deploy.playbank.bank import Bank
from deploy.running import now
from deploy.sandbox.app import create_app
from deploy.sandbox.journal import Memory
from deploy.sandbox.webhooks import Hook, telling
from deploy.standins.serving import WrongAddress, loopback, serve_app

__all__ = ["WrongAddress", "serve"]


def serve(listen: str, data: Path, pending_s: float, ready: Callable[[str], None], hook: Hook | None = None) -> None:
    """Run until SIGTERM or SIGINT. `ready` is called with the address as soon as the sandbox answers.

    hook: where its webhooks go; None: it sends none.
    """
    address = loopback(listen)
    bank = Bank(lambda: now().timestamp(), pending_s)
    with Memory(data, bank) as memory:
        around = partial(telling, memory.events, hook, lambda: now().timestamp())
        serve_app(create_app(bank, memory), address, ready, around)
