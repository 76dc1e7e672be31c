"""Upkeep is never a bug and holds nobody up; somebody is woken only when the inbox runs out of days."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from consumers.runtime.upkeep import Upkeep
from domain.errors import DownForEverybody, Transient
from domain.ports.upkeep import InboxUpkeep
from outbox.schema.partitions import name_of
from outbox.store import PostgresStore
from tests.consumers.conftest import MakePipeline
from tests.consumers.orders import order

WELL = InboxUpkeep(made=1, dropped=1, ahead=3)
UNDONE = ("drop inbox_20260101: canceling statement due to lock timeout",)


class Answering(PostgresStore):
    """A store that answers upkeep from a list; the last answer stands for all that follow."""

    def __init__(self, answers: Sequence[InboxUpkeep | Transient], frozen: int = 0) -> None:
        self.asked = 0
        self._answers = list(answers)
        self._frozen = frozen

    async def maintain(self) -> InboxUpkeep:
        self.asked += 1
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Transient):
            raise answer
        return answer

    async def end_frozen(self, unmoved_s: float) -> int:
        return self._frozen


async def told(answers: Sequence[InboxUpkeep | Transient], turns: int, frozen: int = 0) -> tuple[list[Any], int]:
    """Take so many turns, each as late as it may be; return the log, and how often the days were looked after."""
    store = Answering(answers, frozen)
    upkeep = Upkeep(store)
    with capture_logs() as log:
        for _ in range(turns):
            await upkeep.turn()
            upkeep._next_s -= 60
    return log, store.asked


def alarms(log: Sequence[Any]) -> list[Any]:
    return [line["reason"] for line in log if line.get("alarm")]


async def test_when_all_is_well_nothing_is_told_and_it_is_done_every_hour() -> None:
    log, asked = await told([WELL], turns=59)
    assert (log, asked) == ([], 1)
    assert (await told([WELL], turns=61))[1] == 2


async def test_what_cannot_be_done_now_is_told_without_waking_anybody() -> None:
    log, asked = await told([WELL._replace(undone=UNDONE, ahead=1)], turns=2)
    assert [(line["log_level"], line["undone"]) for line in log] == [("warning", UNDONE)]
    assert asked == 1


@pytest.mark.parametrize("ahead", [0, -1])
async def test_when_days_run_out_somebody_is_woken_once_and_it_is_tried_every_minute(ahead: int) -> None:
    short = WELL._replace(ahead=ahead, undone=UNDONE)
    log, asked = await told([short, short, WELL, short], turns=63)
    assert alarms(log) == ["inbox_days", "inbox_days"]
    assert [line["ahead"] for line in log if line.get("alarm")] == [ahead, ahead]
    assert asked == 4


async def test_an_outage_is_no_error_of_upkeep_and_it_is_tried_again_within_a_minute() -> None:
    log, asked = await told([DownForEverybody("gone"), Transient("busy"), WELL], turns=4)
    assert (log, asked) == ([], 3)


async def test_partitions_of_strange_names_are_told_once() -> None:
    strange = ("inbox_20261399",)
    log, asked = await told([WELL._replace(strange=strange)], turns=181)
    assert [(line["log_level"], line["partitions"]) for line in log] == [("warning", strange)]
    assert asked == 4


class CannotEnd(Answering):
    """A store that cannot look for frozen sessions."""

    async def end_frozen(self, unmoved_s: float) -> int:
        raise Transient("canceling statement due to statement timeout")


async def test_days_are_looked_after_though_frozen_sessions_cannot_be_looked_for() -> None:
    store = CannotEnd([WELL])
    await Upkeep(store).turn()
    assert store.asked == 1


async def test_sessions_that_were_ended_are_told() -> None:
    log, _ = await told([WELL], turns=1, frozen=2)
    assert [(line["log_level"], line["sessions"]) for line in log] == [("warning", 2)]


@pytest.mark.integration
async def test_while_upkeep_waits_for_locks_orders_are_paid(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline()
    await pipeline.stock(SKU_1=10, SKU_2=10)
    ((today,),) = await pipeline.rows("SELECT (now() AT TIME ZONE 'UTC')::date")
    past, end = today - timedelta(400), today - timedelta(399)
    made = f"CREATE TABLE {name_of(past)} PARTITION OF inbox FOR VALUES FROM ('{past}') TO ('{end}')"
    async with await psycopg.AsyncConnection.connect(pipeline.settings.psycopg_url()) as backup:
        await backup.execute(made.encode())
        await backup.commit()
        await backup.execute("LOCK TABLE inbox IN ACCESS SHARE MODE")
        with capture_logs() as log:
            await pipeline.join()
            await pipeline.publish(order("order-1"))
            await pipeline.until_status("paid_and_confirmed", "order-1")
        assert any(name_of(past) in str(line.get("undone")) for line in log)
