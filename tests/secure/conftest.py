"""One secured broker for all tests here. `make test-secure` runs them all, `make test` all but one file."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.secure.broker import SecureKafka
from tests.secure.certificates import Authority
from tests.secure.database_roles import roles_of
from tests.secure.issuer import Issuer, issuing

MARK = "secure"
ONLY_THERE = ("test_registry_of_apicurio.py",)
"""It needs a registry of 158 MB."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave it out unless `make test-secure` asks for it."""
    return True if collection_path.name in ONLY_THERE and config.option.markexpr != MARK else None


class Secured(NamedTuple):
    """The broker, who issues its certificates and its tokens, and a folder with the authority's certificate."""

    kafka: SecureKafka
    authority: Authority
    issuer: Issuer
    ca: Path
    folder: Path


@pytest.fixture(scope="session")
def secured() -> Iterator[Secured]:
    with tempfile.TemporaryDirectory(prefix="payments-secure-") as name, issuing() as issuer:
        folder, authority = Path(name), Authority("our authority")
        own = authority.issue("broker", hosts=("127.0.0.1",))
        server = SecureKafka(folder / "servers", authority, issuer, own)
        try:
            server.start()
            server.set_password()
            yield Secured(server, authority, issuer, authority.write(folder, "ca"), folder)
        finally:
            server.kill()


@pytest.fixture
def roles(database_url: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Give the URL of each role of deploy/roles.sql, in a database of this test's own."""
    with roles_of(database_url, tmp_path) as urls:
        yield urls
