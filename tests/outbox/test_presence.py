"""What a process that cannot say that it runs is told, and how many starts of one host are told together."""

import psycopg
import psycopg.sql
import pytest

from domain.errors import Permanent, Transient
from outbox.driver.conninfo import libpq_url
from outbox.schema.presence import Presence
from outbox.schema.steps import revisions
from tests.outbox.migrated import database_template
from tests.outbox.test_releases import contract, execute, later, presence, step_to

__all__ = ["database_template"]
pytestmark = pytest.mark.integration


def started(url: str, name: str, *, roles: str = "relay", lease_s: float = -30) -> Presence:
    """Make a process of that name which has been silent for half a minute, or still says that it runs."""
    one = Presence(url, "0.9.0", list(revisions()), roles, lease_s)
    one.name = name
    one._row["name"] = name
    return one


async def test_a_start_on_a_server_that_takes_no_writes_says_so(database_url: str) -> None:
    with psycopg.connect(libpq_url(database_url), autocommit=True) as connection:
        named = psycopg.sql.Identifier(connection.info.dbname)
        read_only = psycopg.sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on")
        connection.execute(read_only.format(named))
    with pytest.raises(Transient, match=r"takes no writes: it is a standby.*name the primary"):
        await presence(database_url, revisions()[-1]).announce()


async def test_a_table_that_somebody_holds_is_not_blamed_on_a_contraction(database_url: str) -> None:
    running = presence(database_url, revisions()[-1])
    await running.announce()
    running.answer_s = 0.5
    with psycopg.connect(libpq_url(database_url)) as connection:
        connection.execute("LOCK TABLE process IN ACCESS EXCLUSIVE MODE")  # as VACUUM FULL does
        for saying in (running.announce, running.beat):
            with pytest.raises(Transient, match="somebody holds the table `process`"):
                await saying()


async def test_many_starts_of_one_host_are_told_together_and_said_to_have_ended_together(database_url: str) -> None:
    step_to(database_url, later()[0])
    for number in range(7):
        await started(database_url, f"web-1-{number}-00000000").announce()
    await started(database_url, "web-2-9-00000000", roles="sweep").announce()
    together = (
        r"^8 of an older release .*: 'web-1-\*' \(relay of 0\.9\.0, 7 starts, the last silent for 3\d s\); "
        r"web-2-9-00000000 \(sweep of 0\.9\.0, silent for 3\d s\)\. .*--ended 'web-1-\*'$"
    )
    with pytest.raises(Permanent, match=together):
        contract(database_url)()
    with pytest.raises(Permanent, match=r"^1 of an older release .*web-2-9"):
        contract(database_url, ended=["web-1-*"])()
    assert contract(database_url, ended=["web-1-*", "web-2-9-00000000"])() == "0902"
    assert execute(database_url, "SELECT count(*) FROM process") == [(0,)]


async def test_a_living_process_has_not_ended_whatever_names_it(database_url: str) -> None:
    step_to(database_url, later()[0])
    await started(database_url, "web-1-1-00000000", lease_s=60).announce()
    for ended in (["web-1-*"], ["*"]):
        with pytest.raises(Permanent, match="web-1-1-00000000"):
            contract(database_url, ended=ended)()
    assert execute(database_url, "SELECT count(*) FROM process") == [(1,)]


async def test_what_is_said_of_one_host_is_not_said_of_another_whose_name_begins_so(database_url: str) -> None:
    """That one may be frozen: nobody has looked."""
    step_to(database_url, later()[0])
    for name in ("web-1-00000000", "web-2-00000000", "web-canary-3-00000000"):
        await started(database_url, name).announce()
    with pytest.raises(Permanent, match=r"^1 of an older release .*web-canary-3"):
        contract(database_url, ended=["web-*"])()
    assert contract(database_url, ended=["web-*", "web-canary-*"])() == "0902"
    assert execute(database_url, "SELECT count(*) FROM process") == [(0,)]
