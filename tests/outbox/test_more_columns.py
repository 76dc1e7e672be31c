"""An older release on a newer schema: no statement of a process minds a column more, in whichever table."""

import asyncio
import secrets

import psycopg
import pytest

from outbox.driver.conninfo import libpq_url
from outbox.schema.migrations import upgrade
from tests.outbox.world import play
from tests.servers.databases import fresh_database

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

MORE = """
    DO $$
    DECLARE one regclass;
    BEGIN
      FOR one IN SELECT oid FROM pg_class
                  WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
      LOOP
        EXECUTE format('ALTER TABLE %s ADD COLUMN of_the_next_release text', one);
      END LOOP;
    END $$"""
WRITTEN = "SELECT count(*) FROM orders WHERE of_the_next_release IS NULL"


def test_whatever_happens_to_an_order_happens_beside_a_column_more_in_every_table(
    database_server_url: str, kafka_bootstrap: str
) -> None:
    with fresh_database(database_server_url, None) as url:
        upgrade(url)
        with psycopg.connect(libpq_url(url)) as connection:
            connection.execute(MORE)
        asyncio.run(play(url, kafka_bootstrap, f"t{secrets.token_hex(5)}."))
        with psycopg.connect(libpq_url(url)) as connection:
            row = connection.execute(WRITTEN).fetchone()
    assert row is not None
    assert row[0] > 0
