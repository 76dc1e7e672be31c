"""The inventory sandbox as a server: where it may listen, and what it brings along."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from deploy.running import now
from deploy.standins.serving import WrongAddress, loopback, serve_app
from deploy.stockhouse.app import BATCH_MAX, create_app
from deploy.stockhouse.journal import Memory
from deploy.stockhouse.warehouse import Warehouse

__all__ = ["WrongAddress", "serve"]


def serve(
    listen: str, data: Path, ready: Callable[[str], None], *, token: str | None = None, batch_max: int = BATCH_MAX
) -> None:
    """Run until SIGTERM or SIGINT. `ready` is called with the address as soon as it answers.

    token: what callers must send; None: nothing. batch_max: so many calls are in one batch; 0: there are no batches.
    Raises WrongAddress unless `listen` is on this machine, InUse if another one writes to `data`.
    """
    address = loopback(listen)
    warehouse = Warehouse(now)
    with Memory(data, warehouse) as memory:
        app = create_app(warehouse, memory, token=token, batch_max=batch_max)
        serve_app(app, address, ready, nullcontext)
