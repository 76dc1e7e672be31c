"""A process that cannot say that it runs tells it once; a command that changes something says that it runs, too."""

import asyncio
from pathlib import Path
from typing import Any

import click
import pytest
from psycopg import sql
from sqlalchemy import make_url
from structlog.testing import capture_logs

from deploy.presence import NOT_SAID, announce_command, present
from deploy.settings import Settings, load_settings
from tests.deploy.commands import payments
from tests.embedded.support import connected
from tests.eventually import eventually
from tests.servers.databases import database_of, make_anew

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(database_url: str, database_server_url: str, migrated_database: str, tmp_path: Path) -> Settings:
    make_anew(database_server_url, database_of(database_url), migrated_database)
    return load_settings({"PAYMENTS_DATABASE_URL": database_url}, directory=tmp_path)


def rows(database_url: str) -> list[tuple[Any, ...]]:
    with connected(database_url) as connection:
        return connection.execute("SELECT roles FROM process").fetchall()


async def test_a_word_that_cannot_be_said_is_told_once_and_its_end_too(settings: Settings, database_url: str) -> None:
    stop = asyncio.Event()
    with capture_logs() as log:
        async with present(settings, "relay", every_s=0.05) as beat:
            with connected(database_url) as connection:
                connection.execute("ALTER TABLE process RENAME TO elsewhere")
            beating = asyncio.create_task(beat(stop))
            await asyncio.to_thread(eventually, lambda: [one for one in log if one["event"] == NOT_SAID], "it is told")
            with connected(database_url) as connection:
                connection.execute("ALTER TABLE elsewhere RENAME TO process")
            ended = "this process has said again that it runs"
            await asyncio.to_thread(
                eventually, lambda: [one for one in log if one["event"] == ended], "the end is told"
            )
            stop.set()
            await beating
    assert [(one["event"], one["log_level"]) for one in log] == [(NOT_SAID, "warning"), (ended, "info")]
    assert rows(database_url) == []


def test_a_command_is_announced_until_it_ends(settings: Settings, database_url: str) -> None:
    with click.Context(click.Command("refund"), info_name="payments order refund"):
        announce_command(settings)
        assert rows(database_url) == [("payments order refund",)]
    assert rows(database_url) == []


@pytest.mark.parametrize("lacks", ["right", "writes"])
def test_a_command_that_may_only_read_works_without(
    settings: Settings, database_url: str, tmp_path: Path, lacks: str
) -> None:
    url = make_url(database_url)
    reader = sql.Identifier("reader_of_processes")
    with connected(database_url) as connection:
        if lacks == "right":
            connection.execute(sql.SQL("CREATE USER {} PASSWORD 'secret'").format(reader))
            connection.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(reader))
            url = url.set(username="reader_of_processes", password="secret")
        else:
            named = sql.Identifier(connection.info.dbname)
            connection.execute(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(named))
    try:
        reading = {"PAYMENTS_DATABASE_URL": url.render_as_string(hide_password=False)}
        with click.Context(click.Command("show"), info_name="payments dlq show"):
            announce_command(load_settings(reading, directory=tmp_path))
        assert rows(database_url) == []
    finally:
        with connected(database_url) as connection:
            if lacks == "right":
                connection.execute(sql.SQL("REVOKE ALL ON SCHEMA public FROM {}").format(reader))
                connection.execute(sql.SQL("DROP USER {}").format(reader))


def test_a_command_that_only_reads_is_not_announced_for_a_take_over_would_end(
    tmp_path: Path, deployment: dict[str, str]
) -> None:
    with connected(deployment["PAYMENTS_DATABASE_URL"]) as connection:
        connection.execute("ALTER TABLE process ADD CONSTRAINT nobody CHECK (false) NOT VALID")
    announced = payments(tmp_path, "stock", "set", "SKU-1", "5", **deployment)
    assert (announced.code, "nobody" in announced.err) == (1, True)
    for reading in ("stock show", "messages list", "reconcile --inventory", "dlq show 1"):
        done = payments(tmp_path, *reading.split(), **deployment)
        assert (done.code, "nobody" in done.err) == (int(reading.startswith("dlq")), False), reading
