"""Every connection is made alike, and a URL may say all that libpq reads: several hosts, sockets, time-outs."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from domain.ports.publisher import Publisher
from outbox.driver.connections import Connections
from outbox.driver.conninfo import connect, connect_now, conninfo_of
from outbox.driver.engine import engine_for
from outbox.driver.pooler import Pooling, pooling_of
from outbox.operators.queries import order_list, snapshot
from outbox.relay import Relay
from outbox.schema.migrations import upgrade
from outbox.schema.privileges import Process, lacked_privileges
from outbox.schema.state import schema_state
from outbox.store import PostgresStore
from schemas.codec import Codec
from tests.outbox.migrated import database_template

__all__ = ["database_template"]

PACKAGES = ("schemas", "domain", "outbox", "consumers", "producers", "deploy")
LIVELY = {
    "connect_timeout": "5",
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
    "client_encoding": "UTF8",
}


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql+psycopg://u:p%40%2C@h/db", {"user": "u", "password": "p@,", "host": "h", "dbname": "db"}),
        (
            "postgres://u@h1:5432,[fe80::1]:5433/db",
            {"host": "h1,fe80::1", "port": "5432,5433", "target_session_attrs": "read-write"},
        ),
        ("postgresql://h1,h2/db?target_session_attrs=any", {"host": "h1,h2", "target_session_attrs": "any"}),
        ("postgresql://%2Fvar%2Frun/db", {"host": "/var/run"}),
        ("postgresql:///db?host=/var/run", {"host": "/var/run"}),
        (
            "postgresql://h/db?connect_timeout=60&tcp_user_timeout=0&application_name=shop",
            {"connect_timeout": "60", "tcp_user_timeout": "0", "application_name": "shop", "keepalives_idle": "10"},
        ),
    ],
)
def test_a_url_says_what_it_says_and_the_rest_is_ours(url: str, says: dict[str, str]) -> None:
    made = conninfo_to_dict(conninfo_of(url))
    assert says.items() <= made.items()
    assert {**LIVELY, **{name: says[name] for name in says if name in LIVELY}}.items() <= made.items()
    assert ("target_session_attrs" in made) is ("," in str(made["host"]))


def test_every_connection_of_the_product_is_made_in_one_place() -> None:
    root = Path(__file__).parents[2]
    # The kits are for other teams, who connect to databases of their own.
    kits = root / "deploy" / "kits"
    sources = [p for name in PACKAGES for p in sorted((root / name).rglob("*.py")) if not p.is_relative_to(kits)]
    makers = [
        str(p.relative_to(root))
        for p in sources
        if re.search(r"onnection\.connect\(|psycopg\.connect\(", p.read_text())
    ]
    # An embedded server has one host and one address, and its own administrator.
    assert makers == ["outbox/driver/conninfo.py", "deploy/embedded/postgres.py"]


@pytest.fixture
def nobody() -> Iterator[str]:
    """Keep a port at which nobody answers."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


@pytest.fixture
def two_hosts(database_url: str, nobody: str) -> str:
    """Name the database by two hosts, of which the first is down."""
    login, at, place = database_url.partition("@")
    return f"{login}{at}{nobody},{place}"


@pytest.fixture
async def store(two_hosts: str) -> AsyncIterator[PostgresStore]:
    made = PostgresStore(Connections(two_hosts, 2), Codec().encode)
    yield made
    await made.close()


@pytest.mark.integration
async def test_with_the_first_host_down_everything_works_over_the_second(store: PostgresStore, two_hosts: str) -> None:
    await asyncio.to_thread(upgrade, two_hosts)
    assert (await store.maintain()).undone == ()
    assert schema_state(two_hosts).usable
    async with store.transaction() as transaction:
        assert await transaction.load([]) == {}
    assert await asyncio.to_thread(lacked_privileges, two_hosts, [Process.ENGINE]) == []
    with snapshot(two_hosts) as reading:
        assert order_list(reading, None, 10) == []
        (setting,) = reading.execute("SELECT current_setting('timezone') AS timezone").fetchall()
        assert setting == {"timezone": "UTC"}
    assert await pooling_of(two_hosts) is Pooling.NONE


def parameters(connection: psycopg.AsyncConnection[Any] | psycopg.Connection[Any]) -> dict[str, str]:
    return connection.info.get_parameters()


@pytest.mark.integration
async def test_every_connection_notices_a_host_that_is_gone(database_url: str) -> None:
    hot = Connections(database_url, 1)
    async with hot.lend() as lent:
        made = [parameters(lent)]
    await hot.close()
    async with await connect(database_url, name="payments audit") as own:
        made.append(parameters(own))
    async with await Relay(database_url, no_publisher)._connect() as relay:
        made.append(parameters(relay))
    engine = engine_for(database_url)
    with engine.connect() as connection:
        driver: Any = connection.connection.dbapi_connection
        made.append(parameters(driver))
    engine.dispose()
    for found in made:
        assert LIVELY.items() <= found.items()


@pytest.mark.integration
async def test_dates_are_read_whatever_style_the_database_has_set(database_url: str) -> None:
    name = conninfo_to_dict(conninfo_of(database_url))["dbname"]
    asked = "SELECT TIMESTAMPTZ '2026-02-01 12:00:00+00', current_setting('datestyle')"
    with connect_now(database_url, autocommit=True) as first:
        first.execute(sql.SQL("ALTER DATABASE {} SET datestyle = 'SQL, DMY'").format(sql.Identifier(str(name))))
    hot = Connections(database_url, 1)
    async with hot.lend() as lent:
        read = [await (await lent.execute(asked)).fetchone()]
    await hot.close()
    engine = engine_for(database_url)
    with engine.connect() as connection:
        read.append(tuple(connection.exec_driver_sql(asked).one()))
    engine.dispose()
    for row in read:
        assert row is not None
        assert row[0] == datetime(2026, 2, 1, 12, tzinfo=UTC)
        assert str(row[1]).startswith("ISO")


async def no_publisher() -> Publisher:
    raise AssertionError("nothing is published here")


@pytest.mark.integration
async def test_options_of_the_url_stand_beside_those_of_the_hot_path_and_win(database_url: str) -> None:
    url = make_conninfo(database_url.replace("+psycopg", ""), options="-c lock_timeout=7s -c search_path=public")
    hot = Connections(url, 1)
    asked = "SELECT current_setting('lock_timeout'), current_setting('search_path'), current_setting('enable_seqscan')"
    async with hot.lend() as lent:
        row = await (await lent.execute(asked)).fetchone()
    await hot.close()
    assert row == ("7s", "public", "off")


@pytest.mark.integration
async def test_what_is_lent_when_all_are_closed_is_closed_when_it_comes_back(database_url: str) -> None:
    hot = Connections(database_url, 2)
    was_closed = []
    async with hot.lend() as early:
        await hot.close()
        was_closed.append(early.closed)
    was_closed.append(early.closed)
    async with hot.lend() as late:
        assert (await (await late.execute("SELECT 1")).fetchone()) == (1,)
    was_closed.append(late.closed)
    assert was_closed == [False, True, True]
