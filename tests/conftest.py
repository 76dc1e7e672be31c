"""Fixtures of all tests: real servers, started when the first test asks for them and always stopped.

`kafka_bootstrap` and `database_server_url` are shared by the run and never killed; a test that must take a server down
asks for `own_servers`. Which servers a run used, and why those, stands in its summary.
"""

import secrets
import signal
from collections.abc import Iterator

import pytest

from deploy.embedded import EmbeddedServers, temporary_servers
from tests.servers.databases import fresh_database
from tests.servers.session import SessionServers

SERVERS = pytest.StashKey[SessionServers]()


def pytest_configure(config: pytest.Config) -> None:
    def tell(line: str) -> None:
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        capture = config.pluginmanager.get_plugin("capturemanager")
        if reporter is not None and capture is not None:
            with capture.global_and_fixture_disabled():
                reporter.ensure_newline()
                reporter.write_line(line)

    config.stash[SERVERS] = SessionServers(tell)
    # A run that is told to end stops its servers first, as for Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.write_line(config.stash[SERVERS].summary())


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[SERVERS].close()


@pytest.fixture(scope="session")
def kafka_bootstrap(pytestconfig: pytest.Config) -> str:
    """Give the run's Kafka, as host:port[,host:port]. Shared: use `topic_prefix`, and never stop it."""
    return pytestconfig.stash[SERVERS].kafka()


@pytest.fixture(scope="session")
def database_server_url(pytestconfig: pytest.Config) -> str:
    """Give the run's PostgreSQL, as a SQLAlchemy URL whose role may make databases. Shared: see `database_url`."""
    return pytestconfig.stash[SERVERS].database()


@pytest.fixture(scope="session")
def database_template() -> str | None:
    """Name the database of which every `database_url` is a copy; a package overrides this to have its schema there."""
    return None


@pytest.fixture
def database_url(database_server_url: str, database_template: str | None) -> Iterator[str]:
    """Make a database of this test's own, as a SQLAlchemy URL; dropped afterwards, open connections or not."""
    with fresh_database(database_server_url, database_template) as url:
        yield url


@pytest.fixture
def topic_prefix() -> str:
    """Draw a prefix for topics and groups that no other test has."""
    return f"t{secrets.token_hex(5)}."


@pytest.fixture
def own_servers() -> Iterator[EmbeddedServers]:
    """Run a Kafka and a PostgreSQL of this test's own, to kill and to stop; always embedded ones."""
    with temporary_servers(progress=print) as servers:
        yield servers.start()
