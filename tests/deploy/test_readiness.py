"""What a process does not wait for: each problem of its start is named, all at once, in one line."""

import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, LiteralString

import orjson
import pytest
from psycopg import sql
from sqlalchemy import make_url

from outbox.schema.privileges import SEQUENCES, TABLES, Process
from tests.deploy.commands import Ran, payments
from tests.deploy.orders import confirmed, publish, status_of
from tests.deploy.test_cli_webhooks import post
from tests.embedded.support import connected
from tests.processes import started
from tests.schemas.registry_server import registry_server
from tests.webhooks.gateway import SECRET, event, header

pytestmark = pytest.mark.integration

NOBODY = "127.0.0.1:1"
URL = "PAYMENTS_DATABASE_URL"
DIRECT = "PAYMENTS_DATABASE_DIRECT_URL"


def refused(ran: Ran) -> str:
    assert (ran.code, ran.out, ran.err.count("\n")) == (3, "", 1), ran.err
    return ran.err


@pytest.fixture
def user(database_url: str) -> Iterator[str]:
    """Make a user of the database that may do nothing, and give the URL with it."""
    name = sql.Identifier(f"u{secrets.token_hex(4)}")
    with connected(database_url) as connection:
        connection.execute(sql.SQL("CREATE USER {} PASSWORD 'secret'").format(name))
        connection.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(name))
    plain = make_url(database_url).set(username=name.as_string(None).strip('"'), password="secret")
    yield plain.render_as_string(hide_password=False)
    with connected(database_url) as connection:
        objects: tuple[LiteralString, ...] = (
            "ALL TABLES IN SCHEMA public",
            "ALL SEQUENCES IN SCHEMA public",
            "SCHEMA public",
        )
        for what in objects:
            connection.execute(sql.SQL("REVOKE ALL ON {} FROM {}").format(sql.SQL(what), name))
        connection.execute(sql.SQL("DROP USER {}").format(name))


def grant(database_url: str, user: str, process: Process) -> None:
    """Allow what the table of privileges says, and what every command reads."""
    name = sql.Identifier(str(make_url(user).username))
    with connected(database_url) as connection:
        for table, privileges in {**TABLES[process], "alembic_version": ("SELECT",)}.items():
            allowed = sql.SQL(", ").join(map(sql.SQL, privileges))
            connection.execute(sql.SQL("GRANT {} ON {} TO {}").format(allowed, sql.Identifier(table), name))
        for sequence in SEQUENCES[process]:
            connection.execute(sql.SQL("GRANT USAGE ON {} TO {}").format(sql.Identifier(sequence), name))


def test_all_that_is_missing_is_named_at_once(tmp_path: Path, places: dict[str, str]) -> None:
    with registry_server() as registry:
        line = refused(payments(tmp_path, "up", **places, PAYMENTS_SCHEMA_REGISTRY_URL=registry.url))
    for command in ("payments migrate", "payments topics create", "payments schemas register"):
        assert f"run `{command}`" in line
    assert "3 things keep this from starting" in line


def test_servers_that_are_down_are_all_named(tmp_path: Path) -> None:
    down = {URL: f"postgresql://payments@{NOBODY}/payments", "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": NOBODY}
    line = refused(payments(tmp_path, "relay", **down))
    assert "PostgreSQL does not answer" in line
    assert f"no Kafka broker answers at {NOBODY}" in line


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"username": "nobody", "password": "wrong"}, ("refuses the password: check user and password in {}",)),
        ({"database": "nowhere"}, ('database "nowhere" does not exist', "check user, password and name in {}")),
    ],
)
def test_a_login_that_is_refused_is_told_in_the_servers_words(
    tmp_path: Path, deployment: dict[str, str], change: dict[str, Any], words: Sequence[str]
) -> None:
    url = make_url(deployment[URL]).set(**change).render_as_string(hide_password=False)
    for arguments in (["consume", "all"], ["relay"], ["migrate"], ["order", "list"]):
        began = time.monotonic()
        line = refused(payments(tmp_path, *arguments, **{**deployment, URL: url}))
        assert all(text.format(URL) in line for text in words), line
        assert time.monotonic() - began < 30, "it is not tried for ever"


def test_a_user_who_may_not_even_look_is_told_so(tmp_path: Path, deployment: dict[str, str], user: str) -> None:
    for arguments in (["up"], ["relay"], ["order", "list"]):
        line = refused(payments(tmp_path, *arguments, **{**deployment, URL: user}))
        assert "permission denied for table alembic_version" in line


def test_the_table_of_privileges_is_enough_to_pay_an_order(
    tmp_path: Path, deployment: dict[str, str], user: str
) -> None:
    url = deployment[URL]
    grant(url, user, Process.ENGINE)
    payments(tmp_path, "stock", "set", "tea", "9", **deployment)
    limited = {**deployment, URL: user}
    with started(tmp_path, "consume", "all", **limited) as consume, started(tmp_path, "relay", **deployment) as relay:
        consume.await_line("running")
        relay.await_line("running")
        publish(tmp_path, deployment, confirmed("order-1"), confirmed("order-2", quantity=100))
        publish(tmp_path, deployment, {**confirmed("order-1"), "customer_id": "another"})
        outcomes = ["paid_and_confirmed", "payment_failed"]
        consume.eventually(lambda: [status_of(deployment, f"order-{n}") for n in (1, 2)] == outcomes, "both at an end")
        with connected(url) as connection:
            consume.eventually(
                lambda: connection.execute("SELECT FROM dead_letter").rowcount == 1, "the conflict is a dead letter"
            )
        assert consume.stop() == 0


def test_a_relay_needs_no_more_than_its_part(tmp_path: Path, deployment: dict[str, str], user: str) -> None:
    publish(tmp_path, deployment, confirmed("order-1"))
    with started(tmp_path, "consume", "OrderConfirmed", **deployment) as consume:
        consume.eventually(lambda: status_of(deployment, "order-1") == "payment_authorized", "authorized")
        assert consume.stop() == 0
    grant(deployment[URL], user, Process.RELAY)
    assert payments(tmp_path, "relay", "--once", **{**deployment, URL: user}).out == "1 message sent\n"


def test_an_endpoint_for_webhooks_needs_no_more_than_its_part(
    tmp_path: Path, deployment: dict[str, str], user: str
) -> None:
    limited = {URL: user, "PAYMENTS_STRIPE_WEBHOOK_SECRET": SECRET, "PAYMENTS_WEBHOOKS_LISTEN": "127.0.0.1:0"}
    grant(deployment[URL], user, Process.RELAY)
    assert "lacks SELECT on gateway_notice, INSERT on gateway_notice" in refused(
        payments(tmp_path, "webhooks", **limited)
    )
    grant(deployment[URL], user, Process.WEBHOOKS)
    body = orjson.dumps(event(1, "order-1", "pi_1"))
    with started(tmp_path, "webhooks", **limited) as process:
        assert [post(process, body, header(body)) for _ in range(2)] == [200, 200]
        assert process.stop() == 0


def test_what_a_user_lacks_is_named(tmp_path: Path, deployment: dict[str, str], user: str) -> None:
    grant(deployment[URL], user, Process.RELAY)
    limited = {**deployment, URL: user}
    line = refused(payments(tmp_path, "consume", "all", **limited))
    assert "the database's user lacks SELECT on orders, INSERT on orders, UPDATE on orders" in line
    assert payments(tmp_path, "relay", "--once", **limited).code == 0

    grant(deployment[URL], user, Process.ENGINE)
    with connected(deployment[URL]) as connection:
        name = sql.Identifier(str(make_url(user).username))
        connection.execute(sql.SQL("REVOKE DELETE ON outbox FROM {}").format(name))
    for role in ("relay", "up"):
        assert "lacks DELETE on outbox: " in refused(payments(tmp_path, role, **limited))


def at(url: str, **change: Any) -> str:
    return make_url(url).set(**change).render_as_string(hide_password=False)


@pytest.mark.parametrize("role", [["relay"], ["relay", "--once"], ["sweep"], ["sweep", "--once"], ["up"]])
def test_who_goes_past_the_pooler_looks_at_the_database_that_it_will_use(
    tmp_path: Path, deployment: dict[str, str], role: list[str]
) -> None:
    for change, words in (
        ({"database": "postgres"}, f"at {DIRECT}, the database has no schema: set it to the database of {URL}"),
        ({"username": "nobody", "password": "wrong"}, f"check user and password in {DIRECT}"),
        ({"host": "127.0.0.1", "port": 1}, f"check that it runs, and {DIRECT}"),
    ):
        line = refused(payments(tmp_path, *role, **{**deployment, DIRECT: at(deployment[URL], **change)}))
        assert words in line
        assert line.count("PostgreSQL") <= 1, "it is said once"


def test_consumers_do_not_need_what_only_others_use(tmp_path: Path, deployment: dict[str, str]) -> None:
    elsewhere = {**deployment, DIRECT: at(deployment[URL], database="postgres")}
    with started(tmp_path, "consume", "OrderConfirmed", **elsewhere) as consume:
        consume.await_line("running")
        assert consume.stop() == 0


def test_a_relay_needs_its_part_at_the_url_that_it_uses_and_nothing_at_the_other(
    tmp_path: Path, deployment: dict[str, str], user: str
) -> None:
    assert payments(tmp_path, "relay", "--once", **{**deployment, URL: user, DIRECT: deployment[URL]}).code == 0
    grant(deployment[URL], user, Process.ENGINE)
    line = refused(payments(tmp_path, "relay", "--once", **{**deployment, DIRECT: user}))
    assert "lacks UPDATE on outbox, DELETE on outbox" in line
    assert f"set the user of this process in {DIRECT}" in line


def test_upkeep_that_lacks_a_right_is_named_and_the_process_starts(
    tmp_path: Path, deployment: dict[str, str], user: str
) -> None:
    grant(deployment[URL], user, Process.ENGINE)
    words = "the database's user lacks EXECUTE on inbox_make_day(date), EXECUTE on inbox_finish_day(date), EXECUTE on "
    for limited in ({**deployment, URL: user}, {**deployment, DIRECT: user}):
        with started(tmp_path, "sweep", **limited) as sweep:
            sweep.await_line("running")
            assert words in sweep.log
            assert sweep.stop() == 0
    with started(tmp_path, "sweep", **deployment) as sweep:
        sweep.await_line("running")
        assert "lacks" not in sweep.log
        assert sweep.stop() == 0
