"""Which schema a process may work on, which processes a contraction waits for, and what only expands."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import psycopg
import psycopg.sql
import pytest

from domain.errors import Permanent, Transient, Unfit
from outbox.driver.conninfo import libpq_url
from outbox.schema.migrations import contraction, expansion, upgrade
from outbox.schema.presence import FORGOTTEN_AFTER_S, Presence
from outbox.schema.state import SchemaState, schema_state
from outbox.schema.steps import Kind, Step, needed, revisions, steps, steps_of
from tests.eventually import eventually
from tests.outbox.migrated import database_template
from tests.outbox.test_numbering import to_revision

__all__ = ["database_template"]

NAMES = ["0001_first.py", "0002_more.py", "0003_yet_more.py", "0004_more.py", "0005_contract_more.py", "0006_new.py"]
LEASE_S = 60.0
LATER = [
    *(f"{revision}_a.py" for revision in revisions()),
    "0901_expands.py",
    "0902_contract_it.py",
    "0903_expands_again.py",
]


def execute(url: str, *statements: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(libpq_url(url)) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def step_to(url: str, *done: Step) -> None:
    """Do what a later release's migrations write."""
    for step in done:
        row = f"('{step.revision}', '{step.kind}', '{step.oldest}', now())"
        execute(
            url,
            f"INSERT INTO migration (revision, kind, oldest, applied_at) VALUES {row}",
            f"UPDATE alembic_version SET version_num = '{step.revision}'",
        )


def later() -> tuple[Step, Step, Step]:
    expands, contracts, again = steps_of(LATER)[-3:]
    return expands, contracts, again


def presence(url: str, schema: str, *, lease_s: float = LEASE_S) -> Presence:
    return Presence(url, "0.9.0", [revision for revision in revisions() if revision <= schema], "relay", lease_s)


def test_a_contraction_leaves_who_is_made_for_the_expansion_before_it() -> None:
    made = steps_of(NAMES)
    assert [(step.kind, step.oldest) for step in made] == [
        (Kind.EXPAND, "0001"),
        (Kind.CONTRACT, "0002"),
        (Kind.CONTRACT, "0003"),
        (Kind.EXPAND, "0003"),
        (Kind.CONTRACT, "0004"),
        (Kind.EXPAND, "0004"),
    ]


def test_a_release_needs_no_contraction_of_its_own() -> None:
    assert needed(steps_of(NAMES)) == "0006"
    assert needed(steps_of(NAMES[:-1])) == "0004"
    assert needed() == steps()[-1].revision


@pytest.mark.parametrize(
    ("revision", "oldest", "said"),
    [
        (None, None, "too old"),
        ("0003", None, "too old"),
        ("0004", None, "usable"),
        ("0005", None, "usable"),
        ("0006", "0003", "usable"),
        ("0007", "0004", "usable"),
        ("0008", "0006", "too new"),
        ("0008", None, "too new"),
    ],
)
def test_a_process_works_on_its_schema_and_on_later_ones_that_only_added(
    revision: str | None, oldest: str | None, said: str
) -> None:
    state = SchemaState(revision, steps_of(NAMES[:-1]), oldest, partitions=1)
    assert (state.too_old, state.too_new, state.usable) == (said == "too old", said == "too new", said == "usable")


@pytest.mark.integration
def test_every_migration_is_noted_with_what_it_means(database_url: str) -> None:
    noted = "SELECT revision, kind, oldest FROM migration ORDER BY revision"
    all_steps = [(step.revision, str(step.kind), step.oldest) for step in steps()]
    assert execute(database_url, noted) == all_steps
    to_revision(database_url, "0017")
    upgrade(database_url)
    assert execute(database_url, noted) == all_steps


@pytest.mark.integration
def test_the_database_says_whether_an_older_release_may_run(database_url: str) -> None:
    expands, contracts, again = later()
    step_to(database_url, expands)
    assert schema_state(database_url).usable is (schema_state(database_url).partitions > 0)
    assert not schema_state(database_url).too_new
    step_to(database_url, contracts, again)
    assert schema_state(database_url).too_new
    with pytest.raises(Permanent, match="run the newer release"):
        upgrade(database_url, target=expansion)


@pytest.mark.integration
def test_a_migration_by_an_older_release_leaves_an_expanded_schema_alone(database_url: str) -> None:
    step_to(database_url, later()[0])
    for target in (expansion, contraction):
        upgrade(database_url, target=target)
    assert execute(database_url, "SELECT version_num FROM alembic_version") == [("0901",)]


@pytest.mark.integration
def test_a_database_of_the_last_schema_is_expanded_without_a_pause(database_url: str) -> None:
    to_revision(database_url, "0017")
    upgrade(database_url, target=expansion)
    assert schema_state(database_url).revision == revisions()[-1]


@pytest.mark.integration
def test_who_waited_for_another_migration_sees_what_it_did_whatever_the_databases_default_is(database_url: str) -> None:
    to_revision(database_url, "0017")
    by_default(database_url, "serializable")
    with ThreadPoolExecutor(2) as two:
        list(two.map(upgrade, [database_url] * 2))
    assert schema_state(database_url).revision == revisions()[-1]


@pytest.mark.integration
@pytest.mark.parametrize(("name", "shown"), [("payments relay", "payments relay"), ("", "a client without a name")])
def test_what_needs_a_pause_is_refused_until_all_sessions_of_the_older_release_have_ended(
    database_url: str, name: str, shown: str
) -> None:
    to_revision(database_url, "0012")
    with pytest.raises(Permanent, match="older releases do not work after 0013"):
        upgrade(database_url, target=expansion)
    with psycopg.connect(libpq_url(database_url), application_name=name) as session:
        with pytest.raises(Permanent, match=rf"{shown} \(pid {session.info.backend_pid}\)"):
            upgrade(database_url, target=contraction)
        assert schema_state(database_url).revision == "0012"
    upgrade(database_url, target=contraction)
    assert schema_state(database_url).revision == revisions()[-1]


def contract(url: str, **how: Any) -> Callable[[], str | None]:
    """Ask in a transaction of its own whether the next contraction may be done, as if this were the later release."""

    def ask() -> str | None:
        with psycopg.connect(libpq_url(url)) as connection:
            return contraction(connection, **how, chain=steps_of(LATER[:-1]))

    return ask


@pytest.mark.integration
async def test_a_contraction_names_each_older_process_and_believes_nobody_that_a_living_one_has_ended(
    database_url: str,
) -> None:
    expands = later()[0]
    step_to(database_url, expands)
    older = presence(database_url, revisions()[-1])
    newer = Presence(database_url, "0.10.0", [*revisions(), expands.revision], "sweep", LEASE_S)
    await older.announce()
    await newer.announce()
    with pytest.raises(Permanent, match=rf"^1 of an older release .*: {older.name} \(relay of 0\.9\.0\)\. Nothing"):
        contract(database_url)()
    with pytest.raises(Permanent, match=older.name):
        contract(database_url, ended=[older.name])()
    await older.leave()
    assert contract(database_url)() == "0902"


@pytest.mark.integration
async def test_a_silent_process_counts_until_a_person_says_that_it_ended(database_url: str) -> None:
    step_to(database_url, later()[0])
    silent = presence(database_url, revisions()[-1], lease_s=-30)
    await silent.announce()
    with pytest.raises(Permanent, match=rf"silent for 3\d s.*--ended {silent.name}"):
        contract(database_url)()
    assert contract(database_url, ended=[silent.name])() == "0902"
    assert execute(database_url, "SELECT count(*) FROM process") == [(0,)]


@pytest.mark.integration
async def test_a_process_of_which_nobody_has_heard_for_a_day_is_forgotten(database_url: str) -> None:
    step_to(database_url, later()[0])
    await presence(database_url, revisions()[-1], lease_s=-FORGOTTEN_AFTER_S - 1).announce()
    assert contract(database_url)() == "0902"
    await presence(database_url, revisions()[-1]).announce()
    assert execute(database_url, "SELECT count(*) FROM process") == [(1,)]


@pytest.mark.integration
async def test_a_process_that_is_frozen_in_the_midst_of_its_word_holds_up_no_start(database_url: str) -> None:
    frozen = presence(database_url, revisions()[-1], lease_s=-FORGOTTEN_AFTER_S - 1)
    await frozen.announce()
    with psycopg.connect(libpq_url(database_url)) as connection:
        connection.execute("UPDATE process SET until = now() WHERE name = %s", [frozen.name])
        starting = presence(database_url, revisions()[-1])
        starting.answer_s = 2
        await starting.announce()
    assert execute(database_url, "SELECT count(*) FROM process") == [(2,)]


@pytest.mark.integration
async def test_a_frozen_process_that_wakes_up_on_a_contracted_schema_ends(database_url: str) -> None:
    frozen = presence(database_url, revisions()[-1])
    await frozen.announce()
    await frozen.beat()
    execute(database_url, "DELETE FROM process")
    await frozen.beat()
    assert execute(database_url, "SELECT name FROM process") == [(frozen.name,)]
    execute(database_url, "DELETE FROM process")
    step_to(database_url, *later()[:2])
    with pytest.raises(Unfit, match=r"a newer release has taken away what this one \(0\.9\.0\) uses"):
        await frozen.beat()
    assert execute(database_url, "SELECT count(*) FROM process") == [(0,)]


@pytest.mark.integration
@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
async def test_a_process_that_starts_during_a_contraction_waits_and_then_sees_the_new_schema(
    database_url: str, isolation: str
) -> None:
    by_default(database_url, isolation)
    expands, contracts, _ = later()
    step_to(database_url, expands)
    starting = presence(database_url, revisions()[-1])
    waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid"
    waits += " FROM pg_database WHERE datname = current_database())"
    with psycopg.connect(libpq_url(database_url)) as connection:
        assert contraction(connection, chain=steps_of(LATER[:-1])) == "0902"
        announcing = asyncio.create_task(starting.announce())
        await asyncio.to_thread(eventually, partial(_is, database_url, waits, 1), "it waits for the lock")
        connection.execute(
            "INSERT INTO migration (revision, kind, oldest) VALUES (%s, 'contract', %s)",
            [contracts.revision, contracts.oldest],
        )
        connection.execute("UPDATE alembic_version SET version_num = %s", [contracts.revision])
    with pytest.raises(Unfit):
        await announcing


def by_default(url: str, isolation: str) -> None:
    """Have every new session of the database begin its transactions so."""
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        name = psycopg.sql.Identifier(connection.info.dbname)
        to = psycopg.sql.SQL("ALTER DATABASE {} SET default_transaction_isolation = {}")
        connection.execute(to.format(name, psycopg.sql.Literal(isolation)))


def _is(url: str, query: str, value: int) -> bool:
    return execute(url, query) == [(value,)]


@pytest.mark.integration
async def test_a_contraction_that_takes_long_is_told_to_who_starts(database_url: str) -> None:
    with psycopg.connect(libpq_url(database_url)) as connection:
        contraction(connection)
        starting = presence(database_url, revisions()[-1])
        starting.answer_s = 0.5
        with pytest.raises(Transient, match="payments migrate --contract"):
            await starting.announce()
    await starting.announce()


@pytest.mark.integration
def test_a_contraction_waits_for_who_is_just_starting(database_url: str) -> None:
    with psycopg.connect(libpq_url(database_url), application_name="starting") as connection:
        connection.execute("SELECT pg_advisory_xact_lock_shared(hashtext('payments.releases'))")
        with pytest.raises(Transient, match=rf"starting \(pid {connection.info.backend_pid}\)"):
            upgrade(database_url, target=contraction, give_up_s=0)
    upgrade(database_url, target=contraction)
