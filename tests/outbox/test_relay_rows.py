"""One bad row holds its order on its topic, with an alarm; everything else is sent, once; a server in need waits."""

from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import pytest
from psycopg import sql
from structlog.testing import capture_logs

from deploy.embedded import EmbeddedServers
from deploy.embedded.cluster import ADMIN
from domain.errors import TooManyQuarantined
from domain.ports.publisher import Interrupted, OutgoingMessage, Published, Refusal, Scope, always
from outbox.driver.session import Session
from outbox.driver.sqlstates import may_pass
from outbox.relay import Relay
from outbox.relay.outages import cause_of, is_too_much
from outbox.relay.sending import Sending
from outbox.schema.migrations import upgrade
from tests.outbox.migrated import database_template
from tests.outbox.relaying import (
    Notebook,
    append,
    append_together,
    connection,
    conninfo,
    left,
    making,
    running,
    until,
)

__all__ = ["connection", "database_template"]
pytestmark = pytest.mark.integration

Alarm = tuple[Any, ...]


class Picky(Notebook):
    """Refuses these messages, and what is behind them of their key; breaks once before it has taken so many."""

    def __init__(self, bad: Sequence[int] = (), breaks_after: int | None = None) -> None:
        super().__init__()
        self.bad = set(bad)
        self.breaks_after = breaks_after

    async def publish(self, messages: Sequence[OutgoingMessage], *, allowed: Callable[[], bool] = always) -> Published:
        self.batches.append([m.id for m in messages])
        taken: list[int] = []
        refused: dict[int, Refusal] = {}
        blocked: set[tuple[str, bytes | None]] = set()
        for message in messages:
            if len(taken) == self.breaks_after:
                self.breaks_after = None
                raise Interrupted("Kafka went away", Published(taken, refused))
            place = (message.topic, message.key)
            if message.id in self.bad:
                refused[message.id] = Refusal("too large", Scope.MESSAGE)
                blocked.add(place)
            elif place in blocked:
                refused[message.id] = Refusal("behind", Scope.BEHIND)
            else:
                taken.append(message.id)
        self.sent += taken
        return Published(taken, refused)


def alarms(log: Sequence[Any], *fields: str) -> list[Alarm]:
    return [tuple(line.get(field) for field in fields) for line in log if line.get("alarm")]


async def break_rows(connection: Session, *ids: int) -> None:
    """Make rows of which no message can be made: more names of headers than headers."""
    await connection.execute(
        "UPDATE event SET header_names = '{a,b}', header_values = '{a}' WHERE id = ANY(%s)", [list(ids)]
    )


async def mend_rows(connection: Session) -> None:
    await connection.execute("UPDATE event SET header_names = NULL, header_values = NULL")


async def quarantined(connection: Session) -> list[Any]:
    query = "SELECT kind, order_id, message_id, released_at IS NOT NULL FROM quarantine ORDER BY id"
    return await (await connection.execute(query)).fetchall()


async def test_a_refused_message_holds_its_order_on_its_topic_and_the_alarm_names_it(
    database_url: str, connection: Session
) -> None:
    await append_together(connection, (1, "a", "k"), (2, "a", "l"), (3, "b", "k"), (4, "a", "k"))
    await append(connection, (5, "a", "l"), (6, "a", "k"), (7, "b", "k"))
    publisher = Picky(bad=[1])
    with capture_logs() as log:
        assert await Relay(conninfo(database_url), making(publisher), batch=4).once() == 4
    assert publisher.sent == [2, 3, 5, 7]
    assert await left(connection) == [1, 4, 6]
    [(event_id,)] = await (await connection.execute("SELECT event_id::text FROM event WHERE id = 1")).fetchall()
    named = alarms(log, "reason", "topic", "order_id", "message_id", "event_id", "why")
    assert named == [("produce_refused", "a", "k", 1, event_id, "too large")]
    publisher.bad.clear()
    assert await Relay(conninfo(database_url), making(publisher)).once() == 3
    assert publisher.sent == [2, 3, 5, 7, 1, 4, 6]
    assert await left(connection) == []


async def test_what_went_before_kafka_went_away_is_not_sent_again(database_url: str, connection: Session) -> None:
    await append_together(connection, *((n, "a", f"k{n}") for n in range(1, 6)))
    publisher = Picky(breaks_after=2)
    with pytest.raises(Interrupted):
        await Relay(conninfo(database_url), making(publisher)).once()
    assert await left(connection) == [3, 4, 5]
    assert await Relay(conninfo(database_url), making(publisher)).once() == 3
    assert publisher.batches == [[1, 2, 3, 4, 5], [3, 4, 5]]


async def test_a_row_that_raises_is_quarantined_and_only_its_order_on_its_topic_waits(
    database_url: str, connection: Session
) -> None:
    await append_together(connection, (1, "a", "k"), (2, "a", "l"), (3, "a", "k"), (4, "b", "k"))
    await append(connection, (5, "a", "k"), (6, "a", "l"))
    await break_rows(connection, 1)
    await connection.execute("UPDATE event SET key = NULL WHERE id <> 1")
    notebook = Notebook()
    with capture_logs() as log:
        assert await Relay(conninfo(database_url), making(notebook)).once() == 3
    assert notebook.sent == [2, 4, 6]
    assert await left(connection) == [1, 3, 5]
    assert await quarantined(connection) == [("message", "k", 1, False)]
    ids = ("reason", "letter_id", "order_id", "message_id", "topic")
    assert alarms(log, *ids) == [("quarantined", "Q1", "k", 1, "a")]
    with capture_logs() as log:
        assert await Relay(conninfo(database_url), making(notebook)).once() == 0
    assert alarms(log) == [], "the next relay knows of it"
    await mend_rows(connection)
    assert await Relay(conninfo(database_url), making(notebook)).once() == 0, "nobody released it"
    await connection.execute("UPDATE quarantine SET released_at = now()")
    assert await Relay(conninfo(database_url), making(notebook)).once() == 3
    assert notebook.sent == [2, 4, 6, 1, 3, 5]
    assert await left(connection) == []


async def test_a_row_that_raises_again_after_its_release_is_quarantined_again(
    database_url: str, connection: Session
) -> None:
    await append(connection, (1, "a", "k"))
    await break_rows(connection, 1)
    for released in range(3):
        assert await Relay(conninfo(database_url), making(Notebook())).once() == 0
        assert await quarantined(connection) == [("message", "k", 1, True)] * released + [("message", "k", 1, False)]
        await connection.execute("UPDATE quarantine SET released_at = now()")


async def test_more_rows_that_raise_than_the_bound_are_a_bug_of_the_release(
    database_url: str, connection: Session
) -> None:
    await append(connection, *((n, "a", f"k{n}") for n in range(1, 6)))
    await break_rows(connection, 1, 2, 3, 4)
    notebook = Notebook()
    for _ in range(2):
        with pytest.raises(TooManyQuarantined, match="PAYMENTS_QUARANTINE_MAX is 3"):
            await Relay(conninfo(database_url), making(notebook), quarantine_max=3).once()
    assert len(await quarantined(connection)) == 3
    assert await left(connection) == [1, 2, 3, 4, 5]
    assert await Relay(conninfo(database_url), making(notebook), quarantine_max=4).once() == 1
    assert notebook.sent == [5]


async def test_a_time_that_no_clock_shows_is_a_row_that_raises(database_url: str, connection: Session) -> None:
    await append(connection, (1, "a", "k"), (2, "a", "l"))
    await connection.execute("UPDATE event SET occurred_at = 'infinity' WHERE id = 1")
    notebook = Notebook()
    assert await Relay(conninfo(database_url), making(notebook)).once() == 1
    assert await quarantined(connection) == [("message", "k", 1, False)]


async def test_nothing_is_sent_from_a_server_that_is_read_only_and_all_of_it_once_it_is_not(
    own_servers: EmbeddedServers,
) -> None:
    url = own_servers.database_url
    upgrade(url)
    async with await Session.connect(conninfo(url), autocommit=True) as connection:
        notebook = Notebook()

        def set_read_only(value: str) -> None:
            statement = sql.SQL("ALTER SYSTEM SET default_transaction_read_only = {}").format(sql.Literal(value))
            with own_servers.postgres._connect(ADMIN) as admin:
                admin.execute(statement)
                admin.execute("SELECT pg_reload_conf()")

        async def read_only_for_all() -> bool:
            async with await Session.connect(conninfo(url)) as other:
                return (await (await other.execute("SHOW transaction_read_only")).fetchone()) == ("on",)

        async def waits() -> bool:
            return any(reason == "dependency_down" for (reason,) in alarms(log, "reason"))

        async def all_gone() -> bool:
            return await left(connection) == []

        await connection.execute("SET default_transaction_read_only = off")
        with capture_logs() as log:
            async with running(Relay(conninfo(url), making(notebook), poll_s=0.05, lease_s=2)):
                await append(connection, (1, "a", "k"))
                await until(all_gone)
                set_read_only("on")
                await until(read_only_for_all)
                await until(waits)
                await append(connection, (2, "a", "k"), (3, "a", "l"))
                tries = len(log)
                await until(lambda: longer(log, tries + 2))
                assert notebook.sent == [1]
                set_read_only("off")
                await until(all_gone)
        assert notebook.sent == [1, 2, 3]


async def longer(log: Sequence[Any], than: int) -> bool:
    return len(log) > than


async def test_what_the_database_gives_up_on_is_tried_in_halves_and_then_whole_again(
    database_url: str, connection: Session
) -> None:
    await append(connection, *((n, "a", f"k{n}") for n in range(1, 16)))
    notebook = Notebook()
    sending = Sending("", 8, 1)
    await sending.begin(connection)
    sending.read_less()
    sending.read_less()
    while await sending.send_batch(connection, notebook, always):
        pass
    assert [len(batch) for batch in notebook.batches] == [2, 4, 8, 1]


@pytest.mark.parametrize(
    ("state", "outage", "too_much"),
    [
        ("08006", True, False),
        ("25006", True, False),
        ("25P03", True, False),
        ("25P04", True, True),
        ("40001", True, False),
        ("40P01", True, False),
        ("53100", True, False),
        ("53200", True, True),
        ("53300", True, False),
        ("55P03", True, False),
        ("57014", True, True),
        ("57P01", True, False),
        ("57P03", True, False),
        ("58030", True, False),
        ("22P02", False, False),
        ("23505", True, False),
        ("42P01", False, False),
        ("42501", True, False),
        ("XX001", False, False),
    ],
)
def test_what_is_an_outage_is_told_by_sqlstate(state: str, outage: bool, too_much: bool) -> None:  # noqa: FBT001
    error = psycopg.errors.lookup(state)() if state != "XX001" else psycopg.errors.DataCorrupted()
    assert (may_pass(error), is_too_much(error)) == (outage, too_much)


def test_a_connection_that_broke_is_an_outage_and_a_bug_beside_it_is_told() -> None:
    broken, bug = psycopg.OperationalError("gone"), ValueError("bug")
    assert may_pass(broken)
    assert cause_of(ExceptionGroup("", [broken, ExceptionGroup("", [broken, bug])])) is bug
    assert cause_of(ExceptionGroup("", [broken, broken])) is broken
