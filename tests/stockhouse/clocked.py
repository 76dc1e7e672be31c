"""An inventory sandbox in this process, whose clock a test sets."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import httpx
from starlette.testclient import TestClient

from deploy.stockhouse.app import create_app
from deploy.stockhouse.journal import Memory
from deploy.stockhouse.warehouse import Warehouse
from tests.stockhouse.client import Client

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Clock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> datetime:
        return self.at

    def minutes(self, count: float) -> None:
        """Set it to so many minutes after noon."""
        self.at = NOON + timedelta(minutes=count)


class Clocked(Client):
    """A client and its clock."""

    clock: Clock


@contextmanager
def clocked(
    data: Path, clock: Clock | None = None, *, token: str | None = None, batch_max: int = 100
) -> Iterator[Clocked]:
    """Run one for the length of a block."""
    clock = clock or Clock()
    warehouse = Warehouse(clock)
    with Memory(data, warehouse) as memory:
        app = create_app(warehouse, memory, token=token, batch_max=batch_max)
        with TestClient(app) as http:
            client = Clocked(cast("httpx.Client", http))  # it has the same methods
            client.clock = clock
            yield client
