"""An inventory sandbox with a clock of ours, and one that is a process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stockhouse.client import Client, client_of
from tests.stockhouse.clocked import Clocked, clocked
from tests.stockhouse.process import StockhouseProcess, running


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Clocked]:
    with clocked(tmp_path / "inventory.jsonl") as client:
        yield client


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StockhouseProcess]:
    with running(tmp_path_factory.mktemp("inventory") / "inventory.jsonl") as started:
        yield started


@pytest.fixture
def client(process: StockhouseProcess) -> Iterator[Client]:
    with client_of(process.address) as opened:
        yield opened
