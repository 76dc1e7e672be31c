"""The roles of deploy/roles.sql: each may do its work and nothing else, and the pipeline runs with them."""

from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import InsufficientPrivilege

from outbox.driver.conninfo import libpq_url
from outbox.schema.privileges import Process, lacked_for_upkeep, lacked_privileges
from outbox.schema.state import schema_state
from tests.deploy.commands import payments
from tests.deploy.orders import confirmed, publish, show, status_of
from tests.eventually import eventually
from tests.outbox.test_releases import later, step_to
from tests.processes import started
from tests.secure.database_roles import APP, MIGRATOR, READER, RELAY, RESTORER, ROLES, URL

pytestmark = [pytest.mark.secure, pytest.mark.integration, pytest.mark.timeout(300)]

TABLES = """
    SELECT c.oid::regclass::text FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace
       AND c.relkind IN ('r', 'p') ORDER BY 1"""


def refused(url: str, *statements: LiteralString) -> None:
    """Try each of them: all are forbidden."""
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        for statement in statements:
            with pytest.raises(InsufficientPrivilege):
                connection.execute(statement)


def rights_of(url: str, role: str) -> dict[str, set[str]]:
    """Return what a role may do with each table, days of the inbox included."""
    found: dict[str, set[str]] = {}
    with psycopg.connect(libpq_url(url)) as connection:
        for (table,) in connection.execute(TABLES.encode()).fetchall():
            for right in ("INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"):
                row = connection.execute("SELECT has_table_privilege(%s, %s, %s)", [role, table, right]).fetchone()
                if row == (True,):
                    found.setdefault(table, set()).add(right)
    return found


def test_each_role_may_do_its_work_and_nothing_else(roles: dict[str, str], database_url: str) -> None:
    assert lacked_privileges(roles[APP], {Process.ENGINE, Process.WEBHOOKS, Process.UPKEEP}) == []
    assert lacked_for_upkeep(roles[APP]) == []
    assert lacked_privileges(roles[RELAY], {Process.RELAY}) == []

    refused(
        roles[APP],
        "ALTER TABLE orders ADD COLUMN more text",
        "DROP TABLE orders",
        "CREATE TABLE mine (id int)",
        "CREATE INDEX mine ON orders (status)",
        "DELETE FROM orders",
        "TRUNCATE inbox",
        "UPDATE event SET body = ''",
        "DELETE FROM outbox",
        "ALTER FUNCTION inbox_drop_day(date) SECURITY INVOKER",
        "SELECT inbox_drop_day((now() AT TIME ZONE 'UTC')::date - 2)",
        "SELECT inbox_make_day((now() AT TIME ZONE 'UTC')::date + 5)",
        "SELECT inbox_drop_day(NULL)",
    )
    assert rights_of(database_url, RELAY) == {
        "outbox": {"UPDATE", "DELETE"},
        "relay_lease": {"INSERT", "UPDATE"},
        "quarantine": {"INSERT"},
        "process": {"INSERT", "UPDATE", "DELETE"},
    }
    refused(roles[RELAY], "SELECT FROM orders", "SELECT inbox_make_day(now()::date)", "CREATE TABLE mine (id int)")
    assert rights_of(database_url, RESTORER) == {"outbox": {"INSERT", "UPDATE", "DELETE"}}
    refused(roles[RESTORER], "SELECT FROM orders", "UPDATE event SET body = ''", "CREATE TABLE mine (id int)")
    assert rights_of(database_url, READER) == {}
    refused(
        roles[READER],
        "INSERT INTO low_water (name, at) VALUES ('x', now())",
        "CREATE TABLE mine (id int)",
        "SELECT token FROM attempt",
        "SELECT original FROM dead_letter",
        "SELECT body FROM early_message",
        "SELECT nextval('order_number_seq')",
        "SELECT inbox_make_day(now()::date)",
    )
    never = {"TRUNCATE", "REFERENCES", "TRIGGER"}
    assert not [table for table, rights in rights_of(database_url, APP).items() if rights & never]


def test_each_role_may_ask_whether_it_may_run_on_the_schema_of_a_newer_release(
    roles: dict[str, str], database_url: str
) -> None:
    step_to(database_url, later()[0])
    assert {role: schema_state(url).too_new for role, url in roles.items()} == dict.fromkeys(ROLES, False)


def test_functions_of_the_inbox_find_its_tables_whatever_the_callers_search_path(
    roles: dict[str, str], database_url: str
) -> None:
    with psycopg.connect(libpq_url(roles[APP]), autocommit=True) as connection:
        connection.execute("CREATE TEMP TABLE inbox (trap int)")
        connection.execute("SET search_path = pg_temp, public")
        connection.execute("SELECT inbox_make_day((now() AT TIME ZONE 'UTC')::date - 100)")
        found = connection.execute(
            "SELECT count(*) FROM pg_inherits WHERE inhparent = 'public.inbox'::regclass AND inhrelid = "
            "to_regclass('public.inbox_' || to_char((now() AT TIME ZONE 'UTC')::date - 100, 'YYYYMMDD'))"
        ).fetchone()
    assert found == (1,)


def test_an_order_is_paid_with_every_process_in_its_role(
    roles: dict[str, str], tmp_path: Path, kafka_bootstrap: str, topic_prefix: str, database_url: str
) -> None:
    common = {
        "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap,
        "PAYMENTS_TOPIC_PREFIX": topic_prefix,
        "PAYMENTS_TOPIC_REPLICATION_FACTOR": "1",
        "PAYMENTS_TOPIC_PARTITIONS": "1",
        "PAYMENTS_GATEWAY": "simulated",
        "PAYMENTS_SIMULATED_LATENCY_MS": "0",
    }
    app, relay, reader = ({**common, URL: roles[role]} for role in (APP, RELAY, READER))
    with psycopg.connect(libpq_url(roles[MIGRATOR]), autocommit=True) as connection:
        day = connection.execute("SELECT to_char((now() AT TIME ZONE 'UTC')::date + 2, 'YYYYMMDD')").fetchone()
        assert day is not None
        connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(f"inbox_{day[0]}")))
    for arguments in (("topics", "create"), ("stock", "set", "tea", "5")):
        ran = payments(tmp_path, *arguments, **app)
        assert ran.code == 0, ran.err
    with started(tmp_path, "consume", "all", **app) as consume, started(tmp_path, "relay", **relay) as sends:
        with started(tmp_path, "sweep", **app) as sweep:
            for process in (consume, sends, sweep):
                process.await_line("running")
            publish(tmp_path, app, confirmed("A-1"))
            eventually(lambda: status_of(app, "A-1") == "paid_and_confirmed", "the order is paid", timeout_s=120)
            eventually(lambda: lacks_no_day(database_url), "the inbox has its days again", timeout_s=60)
            assert sweep.stop() == 0
        assert consume.stop() == 0
        assert sends.stop() == 0
        assert "lacks" not in sweep.log + consume.log + sends.log
    assert show(tmp_path, reader, "A-1")["status"] == "paid_and_confirmed"
    ran = payments(tmp_path, "audit", **{**reader, "PAYMENTS_GATEWAY": "simulated"})
    assert ran.code == 0, ran.err


def lacks_no_day(url: str) -> bool:
    with psycopg.connect(libpq_url(url)) as connection:
        row = connection.execute(
            "SELECT to_regclass('inbox_' || to_char((now() AT TIME ZONE 'UTC')::date + 2, 'YYYYMMDD')) IS NOT NULL"
        ).fetchone()
    return row == (True,)
