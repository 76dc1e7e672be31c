"""The audit of changed orders finds what the whole one finds of an order, overlooks no commit, runs once at a time."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, LiteralString

import psycopg
import pytest

from outbox.audit import Audited, audit_changed
from outbox.store.quarantine import _OPERATION
from outbox.store.redriving import _DUE
from tests.outbox.test_audit import CAPTURES, MONEY, ORDERS
from tests.outbox.world import Case

pytestmark = pytest.mark.integration

FROM_THE_BEGINNING = """
    INSERT INTO audit_run (began_at, lease_until, ended_at, newest_event, newest_xid, after_event, through_event,
                           reaches_to, orders, found, examples, again)
    VALUES (now() - interval '1 day', now(), now() - interval '1 day', 0, 0, 0, 0,
            now() - interval '1 day', 0, '{}', '{}', '{}')"""
"""As if a run had ended before the first order came."""
LATER_EVENT = """
    INSERT INTO event (event_id, order_id, order_version, ordinal, topic, occurred_at, order_number)
    SELECT gen_random_uuid(), order_id, order_version, 9, topic, now(), order_number FROM event
     WHERE order_id = %s AND order_version > 0 ORDER BY id LIMIT 1"""


@asynccontextmanager
async def connected(case: Case) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    async with await psycopg.AsyncConnection.connect(case.url, autocommit=True) as connection:
        yield connection


async def run(case: Case, interval_s: float = 0) -> Audited | None:
    async with connected(case) as connection:
        return await audit_changed(connection, case.world.scope, interval_s)


async def run_all(case: Case) -> Audited:
    """Run it over everything: the first run sees how far the journal reaches, the second looks that far."""
    await case.run(FROM_THE_BEGINNING)
    assert await run(case) == Audited(0, {}, [], [])
    audited = await run(case)
    assert audited is not None
    return audited


async def test_of_a_sound_run_it_looks_at_every_order_once_and_finds_nothing(case: Case) -> None:
    assert await run_all(case) == Audited(ORDERS, {}, [], [])
    assert await run(case) == Audited(0, {}, [], [])


async def test_the_first_run_ever_begins_with_what_comes_after_it(case: Case) -> None:
    assert [await run(case), await run(case)] == [Audited(0, {}, [], [])] * 2


@pytest.mark.parametrize(("statement", "invariant", "told"), MONEY)
async def test_what_the_whole_audit_finds_of_money_it_finds(
    case: Case, statement: str, invariant: int, told: str
) -> None:
    await case.run(statement)
    audited = await run_all(case)
    assert invariant in audited.found
    assert any(told in text for text in audited.new)


@pytest.mark.parametrize(("statement", "told"), CAPTURES)
async def test_what_the_whole_audit_finds_of_captures_it_finds(case: Case, statement: str, told: str) -> None:
    await case.run(statement)
    audited = await run_all(case)
    assert 3 in audited.found
    assert any(told in text for text in audited.new)


async def test_a_lost_version_is_found(case: Case) -> None:
    await case.run("UPDATE orders SET version = version + 1 WHERE order_id = 'paid'")
    assert {5, 6} & set((await run_all(case)).found)


async def test_a_finding_is_told_once_and_looked_at_until_it_is_gone(case: Case) -> None:
    await case.run("UPDATE orders SET total_minor = 1 WHERE order_id = 'paid'")
    first = await run_all(case)
    assert first.new != []
    again = await run(case)
    assert again is not None
    assert (again.orders, again.found, again.new) == (1, first.found, [])
    await case.run("UPDATE orders SET total_minor = 3080 WHERE order_id = 'paid'")
    assert await run(case) == Audited(1, {}, [], [])
    assert await run(case) == Audited(0, {}, [], [])


async def test_only_orders_that_have_changed_are_looked_at(case: Case) -> None:
    await run_all(case)
    async with connected(case) as connection:
        await connection.execute(LATER_EVENT, ["declined"])
    await run(case)
    audited = await run(case)
    assert audited is not None
    assert audited.orders == 1


async def test_a_transaction_that_commits_late_is_not_overlooked(case: Case) -> None:
    await run_all(case)
    async with connected(case) as late, connected(case) as quick:
        async with late.transaction():
            await late.execute(LATER_EVENT, ["paid"])
            await quick.execute(LATER_EVENT, ["declined"])
            # Its id is drawn, and a later one is committed: nobody may look past it yet.
            looked = [await run(case) for _ in range(3)]
            assert looked == [Audited(0, {}, [], [])] * 3
        await run(case)
        audited = await run(case)
    assert audited is not None
    assert audited.orders == 2


async def test_an_order_whose_events_are_on_their_way_is_judged_when_they_have_arrived(case: Case) -> None:
    seen = (
        "event_id IN (SELECT event_id FROM event WHERE order_id = 'capture-refused' AND topic = 'world.PaymentFailed')"
    )
    await case.run("UPDATE reservation SET state = 'held' WHERE order_id = 'capture-refused'")
    await case.run("CREATE TABLE seen AS SELECT * FROM inbox WHERE " + seen, "DELETE FROM inbox WHERE " + seen)
    try:
        assert 9 not in (await run_all(case)).found
        await case.run("INSERT INTO inbox SELECT * FROM seen")
        audited = await run(case)
    finally:
        await case.run("DROP TABLE seen")
    assert audited is not None
    assert audited.found[9] == 1


async def test_one_runs_at_a_time_and_no_earlier_than_it_is_due(case: Case) -> None:
    assert await run(case) is not None
    assert await run(case, interval_s=3_600) is None
    async with connected(case) as other, other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock(hashtext('payments.audit'))")
        assert await run(case) is None
    await case.run("UPDATE audit_run SET ended_at = NULL, lease_until = now() + interval '1 minute'")
    assert await run(case) is None


async def test_what_a_killed_run_did_not_look_at_the_next_one_does(case: Case) -> None:
    await run_all(case)
    last = "id = (SELECT max(id) FROM audit_run)"
    await case.run(f"UPDATE audit_run SET ended_at = NULL, lease_until = now() WHERE {last}")
    audited = await run(case)
    assert audited is not None
    assert audited.orders == ORDERS


async def test_after_a_restore_into_another_server_it_goes_on(case: Case) -> None:
    await case.run(FROM_THE_BEGINNING)
    await run(case)
    # Ids of transactions begin anew there.
    await case.run("UPDATE audit_run SET newest_xid = newest_xid + 1000000000")
    audited = await run(case)
    assert audited is not None
    assert audited.orders == ORDERS


async def test_a_review_that_an_older_release_began_is_noted(case: Case) -> None:
    await case.run("DELETE FROM review")
    await run_all(case)
    async with connected(case) as connection:
        noted = await (await connection.execute("SELECT order_id FROM review")).fetchall()
    assert noted == [("unknown",)]


SCANS = "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'orders'"


async def test_it_reads_of_orders_what_changed_and_never_the_whole_table(case: Case) -> None:
    await case.run(FROM_THE_BEGINNING)
    async with connected(case) as connection:
        # Small tables are scanned as a rule. So off: what is scanned all the same has no index to go by.
        await connection.execute("SET enable_seqscan = off")
        await connection.execute("SELECT pg_stat_force_next_flush()")
        before = await (await connection.execute(SCANS)).fetchall()
        for looked_at in (0, ORDERS):
            audited = await audit_changed(connection, case.world.scope, 0)
            assert audited is not None
            assert audited.orders == looked_at
        await connection.execute("SELECT pg_stat_force_next_flush()")
        assert await (await connection.execute(SCANS)).fetchall() == before


@pytest.mark.parametrize("statement", [_OPERATION, _DUE])
async def test_whoever_touches_an_order_finds_it_by_its_id(case: Case, statement: LiteralString) -> None:
    """`orders` has no index on the number, and may have millions of rows."""
    named = re.sub(r"%\(\w+\)s|%s", "NULL", statement)
    async with connected(case) as connection:
        await connection.execute("SET enable_seqscan = off")
        rows = await (await connection.execute("EXPLAIN " + named)).fetchall()
    plan = "\n".join(row[0] for row in rows)
    assert "on orders" in plan
    assert "Seq Scan on orders" not in plan
