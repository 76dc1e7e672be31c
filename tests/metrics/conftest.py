"""A deployment of a test's own, as in tests/deploy; and one on servers that a test may kill, as in tests/e2e."""

import socket

import pytest

from tests.deploy.conftest import deployment, migrated_database, places
from tests.e2e.conftest import servers, shop, template

__all__ = ["deployment", "migrated_database", "places", "servers", "shop", "template"]


@pytest.fixture
def free_address() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{found.getsockname()[1]}"
