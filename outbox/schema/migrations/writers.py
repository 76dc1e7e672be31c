"""Waits, before a migration makes an index over rows that are there, for whoever wrote before it.

PostgreSQL lets no statement use an index over rows that changed lately until all transactions have ended that wrote
before it was made, in whatever database and table. Meanwhile look-ups would read the whole table for each row.
"""

from typing import Final, LiteralString

from alembic import op

IN_USE: Final = "55006"
"""Raised after the wait, with the writers' names: they may lock no table of ours."""
_WAIT: Final[LiteralString] = """
    DO $$
    DECLARE
      own xid8 := pg_current_xact_id();
      until timestamptz := clock_timestamp() + current_setting('lock_timeout')::interval;
      older text;
    BEGIN
      IF NOT EXISTS (SELECT FROM {table}) THEN
        RETURN;
      END IF;
      WHILE pg_snapshot_xmin(pg_current_snapshot()) < own AND clock_timestamp() < until LOOP
        PERFORM pg_sleep(0.01);
      END LOOP;
      IF pg_snapshot_xmin(pg_current_snapshot()) >= own THEN
        RETURN;
      END IF;
      SELECT string_agg(who, ', ') INTO older FROM (
        SELECT format('%s (pid %s)', coalesce(nullif(application_name, ''), 'a client without a name'), pid) AS who
          FROM pg_stat_activity WHERE age(backend_xid) > age(own::xid)
        UNION ALL
        SELECT format('the prepared transaction %s', gid) FROM pg_prepared_xacts WHERE age(transaction) > age(own::xid)
        LIMIT 5) AS writers;
      RAISE object_in_use USING
        MESSAGE = coalesce(older, 'somebody') || ', in a transaction that wrote before the migration began';
    END $$"""


def wait_for_writers(table: LiteralString) -> None:
    """Wait until nobody is left who wrote before this transaction, unless the table is empty.

    It waits as long as for a lock. Call it before the migration locks what others need. Raises object_in_use after the
    wait: then `run` lets all pass and tries again.
    """
    op.execute(_WAIT.replace("{table}", table))
