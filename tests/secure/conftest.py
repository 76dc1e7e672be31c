"""One secured broker for all tests here."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.secure.broker import SecureKafka
from tests.secure.certificates import Authority
from tests.secure.issuer import Issuer, issuing


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
