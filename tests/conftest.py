"""Fixtures of all tests: real servers, started when the first test asks for them and always stopped.

`kafka_bootstrap` and `database_server_url` are shared by the run and never killed; a test that must take a server down
asks for `own_servers`. Which servers a run used, and why those, stands in its summary. With `-n 3` each of the three
processes has servers of its own, so that no test sees another's load, sessions or topics in what it asks a server for.
"""

import secrets
import shutil
import signal
import tempfile
from collections.abc import Generator, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from deploy.embedded import EmbeddedServers, temporary_servers
from tests.servers.databases import fresh_database
from tests.servers.memory import in_memory
from tests.servers.session import SessionServers
from tests.turns import Turns, put_first

SERVERS = pytest.StashKey[SessionServers]()
OF_WORKERS = pytest.StashKey[list[str]]()
TURNS = pytest.StashKey[Turns]()
TURNS_AT = pytest.StashKey[Path]()
USED, TURNS_DIR = "servers", "turns"
"""What a worker of `-n` says at its end, and what it is told at its beginning."""
UNKNOWN = "servers: not known, for a process was ended before it could tell"


def pytest_configure(config: pytest.Config) -> None:
    def tell(line: str) -> None:
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        capture = config.pluginmanager.get_plugin("capturemanager")
        if reporter is not None and capture is not None:
            with capture.global_and_fixture_disabled():
                reporter.ensure_newline()
                reporter.write_line(line)

    config.stash[SERVERS] = SessionServers(tell)
    config.stash[OF_WORKERS] = []
    told = getattr(config, "workerinput", {})
    if TURNS_DIR in told:
        config.stash[TURNS] = Turns(Path(told[TURNS_DIR]))
    # A run that is told to end stops its servers first, as for Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Have a worker of `-n` say which servers it used: only the process that started it can print."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[USED] = session.config.stash[SERVERS].summary()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of `-n` where the run's tests take turns. Only pytest-xdist calls what is about nodes."""
    config = node.config
    if TURNS_AT not in config.stash:
        config.stash[TURNS_AT] = Path(tempfile.mkdtemp(prefix="payments-turns-"))
        config.add_cleanup(partial(shutil.rmtree, config.stash[TURNS_AT]))
    node.workerinput[TURNS_DIR] = str(config.stash[TURNS_AT])


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Wait for the test's turn before its time-out begins to count."""
    turns = item.config.stash.get(TURNS, None)
    with turns.turn(alone=item.get_closest_marker("alone") is not None) if turns else nullcontext():
        return (yield)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the files of a run that several processes share; one process keeps pytest's order."""
    if TURNS in config.stash:
        put_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Keep what a worker of `-n` said."""
    node.config.stash[OF_WORKERS].append(getattr(node, "workeroutput", {}).get(USED, UNKNOWN))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    here = UNKNOWN if TURNS_AT in config.stash else config.stash[SERVERS].summary()
    said = config.stash[OF_WORKERS] or [here]
    for line in dict.fromkeys(said):
        terminalreporter.write_line(line)


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
    with temporary_servers(progress=print, parent=in_memory()) as servers:
        yield servers.start()
