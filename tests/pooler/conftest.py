"""A deployment behind PgBouncer. Collected by `make test-pooler` only, which says what must be installed for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.embedded import EmbeddedServers
from tests.e2e.conftest import servers, shop, template
from tests.pooler.pgbouncer import PgBouncer, pgbouncer

__all__ = ["servers", "shop", "template"]
MARK = "pooler"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave these tests out unless they are asked for: PgBouncer is in no package that we can depend on."""
    return None if config.option.markexpr == MARK else True


@pytest.fixture(scope="module")
def transactions(servers: EmbeddedServers) -> Iterator[PgBouncer]:
    with pgbouncer(servers, "transaction") as made:
        yield made


@pytest.fixture(scope="module")
def sessions(servers: EmbeddedServers) -> Iterator[PgBouncer]:
    with pgbouncer(servers, "session") as made:
        yield made


@pytest.fixture(scope="module")
def ignoring(servers: EmbeddedServers) -> Iterator[PgBouncer]:
    with pgbouncer(servers, "transaction", "options") as made:
        yield made
