"""The gateway's list of events is read to its end, once a minute, and what it cannot give stops nothing."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from structlog.testing import capture_logs

from consumers.runtime.bounds import Bounds
from consumers.runtime.guard import Guard
from consumers.runtime.sweep import notices as sweeping
from consumers.runtime.sweep.job import Tools
from consumers.runtime.sweep.notices import OVERLAP, PAGES_MAX, ListedNotices
from domain.errors import Transient
from domain.ids import OrderId
from domain.notices import Notice
from domain.ports.notices import Answered, Kept, NoticePage, Notices, Sorted

BEGUN = datetime(2026, 11, 1, tzinfo=UTC)
GOES_ON = asyncio.Event()
"""Never set: the process sweeps on."""


def notice(number: int) -> Notice:
    at = BEGUN + timedelta(seconds=number)
    return Notice(f"evt_{number}", "payment_intent.succeeded", at, "pi_1", "pi_1", OrderId("order-1"), None)


class Table(Notices):
    """The table in memory."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.mark = BEGUN

    async def keep(self, notices: Sequence[Notice]) -> int:
        new = [n.notice_id for n in notices if n.notice_id not in self.kept]
        self.kept += new
        return len(new)

    async def listed_until(self) -> datetime:
        return self.mark

    async def set_listed_until(self, until: datetime) -> None:
        self.mark = max(self.mark, until)

    async def sort(self, limit: int, lease_s: float) -> Sorted:
        raise AssertionError("reading the list sorts nothing and forgets nothing")

    async def claim_kept(self, limit: int, lease_s: float) -> Sequence[Kept]:
        raise AssertionError("reading the list asks about nothing")

    async def note_answers(self, answers: Sequence[Answered]) -> None:
        raise AssertionError("reading the list asks about nothing")

    async def forget_old(self, limit: int) -> int:
        raise AssertionError("reading the list sorts nothing and forgets nothing")


class List:
    """A gateway with so many events, one a page. down: it does not answer. asked: since when, and behind what."""

    def __init__(self, events: int) -> None:
        self.notices = [notice(number) for number in range(events)]
        self.down = False
        self.asked: list[tuple[datetime, str | None]] = []

    async def list_notices(self, since: datetime, after: str | None) -> NoticePage:
        self.asked.append((since, after))
        if self.down:
            raise Transient("HTTP 403")
        left = [n for n in self.notices if n.occurred_at >= since]
        if after is not None:
            left = left[: [n.notice_id for n in left].index(after)]
        if not left:
            return NoticePage([], None, None)
        return NoticePage(left[-1:], left[-1].occurred_at, left[-1].notice_id if len(left) > 1 else None)


def job(table: Table, listing: List, every_s: float = 0) -> ListedNotices:
    given: dict[str, Any] = dict.fromkeys(("ports", "reactions", "rules", "quarantine", "watch"))
    return ListedNotices(Tools(guard=Guard(Bounds()), **given), table, listing, every_s=every_s)


async def test_a_list_longer_than_a_turn_is_read_to_its_end_and_then_the_mark_moves() -> None:
    table, listing = Table(), List(PAGES_MAX * 2 + 3)
    reading = job(table, listing, every_s=3_600)
    await reading.do(GOES_ON)
    assert (len(table.kept), table.mark) == (PAGES_MAX, BEGUN)
    await reading.do(GOES_ON)
    await reading.do(GOES_ON)
    assert len(table.kept) == len(listing.notices)
    assert table.mark == listing.notices[-1].occurred_at
    asked = len(listing.asked)
    await reading.do(GOES_ON)
    assert len(listing.asked) == asked


async def test_a_sweep_that_is_done_once_reads_the_whole_list() -> None:
    """There is no next turn: the next process would read the newest events again, and never come to the older ones."""
    table, listing = Table(), List(PAGES_MAX * 2 + 3)
    await job(table, listing).do(None)
    assert len(table.kept) == len(listing.notices)
    assert table.mark == listing.notices[-1].occurred_at


async def test_events_that_come_while_the_list_is_read_are_found_by_the_next_reading() -> None:
    table, listing = Table(), List(PAGES_MAX + 5)
    reading = job(table, listing)
    await reading.do(GOES_ON)
    listing.notices.append(notice(10_000))
    await reading.do(GOES_ON)
    assert "evt_10000" not in table.kept
    await reading.do(GOES_ON)
    assert set(table.kept) == {n.notice_id for n in listing.notices}


async def test_a_reading_begins_a_little_before_the_mark_and_keeps_nothing_twice() -> None:
    table, listing = Table(), List(3)
    reading = job(table, listing)
    await reading.do(GOES_ON)
    await reading.do(GOES_ON)
    assert {since for since, _ in listing.asked} == {BEGUN - OVERLAP, listing.notices[-1].occurred_at - OVERLAP}
    assert sorted(table.kept) == [n.notice_id for n in listing.notices]


async def test_an_empty_list_leaves_the_mark() -> None:
    table = Table()
    await job(table, List(0)).do(GOES_ON)
    assert table.mark == BEGUN


async def test_a_list_that_cannot_be_read_fails_nothing_and_is_read_anew_afterwards() -> None:
    table, listing = Table(), List(PAGES_MAX + 1)
    reading = job(table, listing)
    await reading.do(GOES_ON)
    listing.down = True
    with capture_logs() as log:
        assert await reading.do(GOES_ON) == 0
    assert [(line["log_level"], line["error"], "alarm" in line) for line in log] == [("warning", "HTTP 403", False)]
    listing.down = False
    await reading.do(GOES_ON)
    await reading.do(GOES_ON)
    assert len(table.kept) == len(listing.notices)
    assert (listing.asked[PAGES_MAX + 1][1], table.mark) == (None, listing.notices[-1].occurred_at)


async def test_an_alarm_rings_only_if_it_lasts() -> None:
    listing = List(1)
    reading = job(Table(), listing)
    listing.down = True
    with capture_logs() as log:
        await reading.do(GOES_ON)
        # As if the first failure had been so long ago.
        reading._down_since = cast("float", reading._down_since) - sweeping.RING_AFTER_S
        await reading.do(GOES_ON)
        await reading.do(GOES_ON)
    assert [line["reason"] for line in log if line.get("alarm")] == ["notices_unread"]
