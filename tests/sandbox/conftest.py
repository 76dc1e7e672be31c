"""One sandbox process for the tests that do not kill it."""

from collections.abc import Iterator

import pytest

from tests.sandbox.client import Client, client_of
from tests.sandbox.process import SandboxProcess, running


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with running(tmp_path_factory.mktemp("sandbox") / "journal.jsonl") as process:
        yield process


@pytest.fixture
def client(sandbox: SandboxProcess) -> Iterator[Client]:
    with client_of(sandbox.address) as opened:
        yield opened
