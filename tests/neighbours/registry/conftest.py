"""One Apicurio for all tests here; and a deployment of a test's own, as tests of commands have it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.conftest import deployment, migrated_database, places
from tests.neighbours.missing import Missing
from tests.neighbours.registry.apicurio import fetch, running_apicurio

__all__ = ["apicurio", "apicurio_server", "deployment", "migrated_database", "places"]

FOLDER = Path(__file__).parents[3] / ".venv" / "neighbours" / "apicurio"


@pytest.fixture(scope="session")
def apicurio_server() -> Path:
    """Give the folder of Apicurio's server; downloaded the first time."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        return fetch(FOLDER, print)
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def apicurio(apicurio_server: Path) -> Iterator[str]:
    """Give the address of Apicurio's interface in Confluent's form."""
    with (
        tempfile.TemporaryDirectory(prefix="payments-apicurio-") as logs,
        running_apicurio(apicurio_server, Path(logs)) as url,
    ):
        yield url
