"""Functions that make, finish and drop days of the inbox, so that the user of the processes need not own tables.

They run with the rights of who migrates, touch tables of the inbox's days only, and nobody else may call them until it
is granted (deploy/roles.sql). It adds only; the release before may run on.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_SCHEMA: Final = "SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = to_regclass('inbox')"
_FUNCTION: Final = """
    CREATE FUNCTION {name}(day date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = {schema}, pg_temp SET datestyle = 'ISO' AS $$
    DECLARE
      partition text := 'inbox_' || to_char(day, 'YYYYMMDD');
      today date := (now() AT TIME ZONE 'UTC')::date;
    BEGIN
      IF day IS NULL OR NOT ({allowed}) THEN
        RAISE EXCEPTION 'the inbox may not {what} the day %', day USING ERRCODE = 'insufficient_privilege';
      END IF;
      {body}
    END $$"""
FUNCTIONS: Final = {
    "inbox_make_day": (
        "make",
        "day BETWEEN today - 366 AND today + 4",
        """EXECUTE format('CREATE TABLE IF NOT EXISTS %I (LIKE inbox INCLUDING ALL) WITH '
             '(autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000)', partition);
      EXECUTE format('ALTER TABLE inbox ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', partition, day, day + 1);""",
    ),
    "inbox_finish_day": (
        "finish",
        "true",
        "EXECUTE format('ALTER TABLE inbox DETACH PARTITION %I FINALIZE', partition);",
    ),
    # Two days are the shortest retention that may be set. What is younger is never dropped, whoever asks.
    "inbox_drop_day": ("drop", "day < today - 2", "EXECUTE format('DROP TABLE IF EXISTS %I', partition);"),
}


def upgrade() -> None:
    """Make the functions in the schema of the inbox."""
    schema = op.get_bind().execute(sa.text(_SCHEMA)).scalar_one()
    for name, (what, allowed, body) in FUNCTIONS.items():
        op.execute(sa.text(_FUNCTION.format(name=name, schema=schema, what=what, allowed=allowed, body=body)))
        op.execute(f"REVOKE ALL ON FUNCTION {name}(date) FROM PUBLIC")


def downgrade() -> None:
    """Drop the functions."""
    for name in FUNCTIONS:
        op.execute(f"DROP FUNCTION {name}(date)")
