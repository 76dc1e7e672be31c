"""While pg_dump holds every table, days of the inbox are made and orders flow as always."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from deploy.embedded.cluster import binaries
from outbox.schema.partitions import AHEAD_DAYS, name_of
from tests.e2e.claims import check_as_scripted
from tests.e2e.deployment import TOGETHER, Deployment
from tests.e2e.script import alike
from tests.eventually import eventually
from tests.outbox.test_memory import execute

pytestmark = [pytest.mark.kill, pytest.mark.timeout(300)]

ORDERS = 20
SOON_S = 20.0
"""Twenty orders took 100 s when inserts queued behind the upkeep."""
HELD = """
    SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
     WHERE a.application_name = 'pg_dump' AND l.relation = 'inbox'::regclass AND l.granted"""


@contextmanager
def dumping(shop: Deployment) -> Iterator[None]:
    """Run pg_dump up to the moment when it has all tables: nobody reads what it writes until the end."""
    fifo = shop.directory / "dump.sql"
    os.mkfifo(fifo)
    url = shop.database_url.replace("+psycopg", "")
    dump = subprocess.Popen([str(binaries() / "pg_dump"), "-d", url, "-f", str(fifo)], stderr=subprocess.PIPE)
    try:
        eventually(lambda: shop.number(HELD) > 0, "pg_dump has the tables")
        yield
        assert dump.poll() is None, "it was there all the time"
        written = read(fifo)
        _, said = dump.communicate(timeout=60)
        assert (dump.returncode, said) == (0, b"")
        assert "PostgreSQL database dump complete" in written
    finally:
        dump.kill()
        dump.communicate()


def read(fifo: Path) -> str:
    return fifo.read_text("utf-8")


def test_during_a_dump_orders_are_paid_as_soon_as_ever(shop: Deployment) -> None:
    ((today,),) = shop.rows("SELECT (now() AT TIME ZONE 'UTC')::date")
    last, past = today + timedelta(AHEAD_DAYS), today - timedelta(100)
    old = f"CREATE TABLE {name_of(past)} PARTITION OF inbox FOR VALUES FROM ('{past}') TO ('{past + timedelta(1)}')"
    execute(shop.database_url, f"DROP TABLE {name_of(last)}", old)
    shop.start("consumers", "relay")
    with dumping(shop):
        shop.start("sweep")
        begun = time.monotonic()
        shop.publish(alike(ORDERS, "meanwhile"))
        shop.await_settled(ORDERS)
        assert time.monotonic() - begun < SOON_S
        sweep = shop.processes["sweep"]
        sweep.await_line(f"drop {name_of(past)}: ")
        assert shop.rows(f"SELECT to_regclass('{name_of(last)}')::text") == [(name_of(last),)], "the day was made"
        again = shop.begin("migrate", ("migrate",))
        assert again.wait() == 0
        assert f"not done now, the sweep tries again: drop {name_of(past)}" in again.log
    del shop.processes["migrate"]
    check_as_scripted(shop)
    shop.stop()
    assert set(TOGETHER) <= shop.processes.keys()
