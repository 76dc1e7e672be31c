"""What the gateway told unasked: its operations are made due, and its list of events is read for what was not told."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from consumers.runtime.performing import IDS_MAX
from consumers.runtime.sweep.job import Job, Tools
from domain.alarms import Lasting, ring
from domain.errors import Transient
from domain.notices import Notice
from domain.ports.notices import NoticeList, NoticePage, Notices, Sorted

LIST_EVERY_S: Final = 60
PAGES_MAX: Final = 10
"""Pages of the list in one turn. What is left comes in the next turn, which follows at once."""
ONCE_PAGES_MAX: Final = 10_000
"""Pages if this is done once: there is no next turn, and the next process would begin with the newest again."""
OVERLAP: Final = timedelta(minutes=5)
"""Read again at each turn: an event may appear in the list a little after its time. What we have is not kept twice."""
RING_AFTER_S: Final = 600
FORGET_EVERY_S: Final = 600
FORGET_MAX: Final = 5_000


class WakeUps(Job):
    """Sorts notices: makes due what they are about, so that the next claim asks the gateway."""

    name = "sweep notices"

    def __init__(self, tools: Tools, notices: Notices) -> None:
        super().__init__(tools)
        self._notices = notices
        self._forget_s = 0.0

    async def do(self, stop: asyncio.Event | None) -> int:
        """Sort all that is due; return 0, for calls are begun by others."""
        while True:
            most = self._most
            done = await self._look(self._sort, stop)
            if done.fates:
                self._log.debug("notices of the gateway", **{str(fate): count for fate, count in done.fates.items()})
            if done.orphans:
                self._ring(done)
            if done.looked_at < most or (stop is not None and stop.is_set()):
                break
        now = asyncio.get_running_loop().time()
        if now >= self._forget_s:
            self._forget_s = now + FORGET_EVERY_S
            await self._look(lambda _: self._notices.forget_old(FORGET_MAX), stop)
        return 0

    async def _sort(self, most: int) -> Sorted:
        return await self._notices.sort(most, self._tools.rules.lease_s)

    def _ring(self, done: Sorted) -> None:
        text = "the gateway tells of orders that are not in this database"
        ids = {"order_ids": [n.order_id for n in done.orphans[:IDS_MAX]], "orders": len(done.orphans)}
        ring(self._log, "notice_orphaned", text, **ids)


class _Place(NamedTuple):
    """Where the reading of the list is. after: the last event read. newest: the time of the newest one."""

    since: datetime
    after: str | None = None
    newest: datetime | None = None


class ListedNotices(Job):
    """Reads the gateway's list of events once a minute, and keeps what no webhook brought."""

    name = "sweep listing"

    def __init__(
        self, tools: Tools, notices: Notices, notice_list: NoticeList, *, every_s: float = LIST_EVERY_S
    ) -> None:
        super().__init__(tools)
        self._notices = notices
        self._list = notice_list
        self._every_s = every_s
        self._next_s = 0.0
        self._place: _Place | None = None
        self._down = Lasting(self._log, "notices_unread")
        self._down_since: float | None = None

    async def do(self, stop: asyncio.Event | None) -> int:
        """Read on in the list, if it is time; return 0.

        A list that cannot be read is no reason to wait or to fail: due operations are looked up all the same.
        """
        now = asyncio.get_running_loop().time()
        if now < self._next_s:
            return 0
        place = self._place or _Place(await self._look(lambda _: self._notices.listed_until(), stop) - OVERLAP)
        for _ in range(ONCE_PAGES_MAX if stop is None else PAGES_MAX):
            page = await self._page(place, now)
            if page is None:
                self._place, self._next_s = None, now + self._every_s
                return 0
            await self._keep(page.notices, stop)
            place = _Place(place.since, page.after, place.newest or page.newest)
            if page.after is None:
                self._place, self._next_s = None, now + self._every_s
                await self._move_mark(place.newest, stop)
                return 0
        self._place = place
        return 0

    async def _page(self, place: _Place, now: float) -> NoticePage | None:
        """Return the next page; None if the gateway does not give it. Then the next turn begins anew."""
        try:
            page = await self._list.list_notices(place.since, place.after)
        except Transient as error:
            self._note_down(now, str(error))
            return None
        self._down.end(now, "the gateway's list of events is read again")
        self._down_since = None
        return page

    def _note_down(self, now: float, error: str) -> None:
        """Log that the list is not read; ring once that lasts. In an outage of the gateway others ring at once."""
        text = "the gateway's list of events is not read"
        self._down_since = now if self._down_since is None else self._down_since
        if now < self._down_since + RING_AFTER_S:
            self._log.warning(text, error=error)
        else:
            self._down.again(now, text, error=error)

    async def _keep(self, notices: Sequence[Notice], stop: asyncio.Event | None) -> None:
        new = await self._look(lambda _: self._notices.keep(notices), stop)
        if new:
            self._log.info("the gateway's list had events that no webhook brought", events=new)

    async def _move_mark(self, newest: datetime | None, stop: asyncio.Event | None) -> None:
        if newest is not None:
            await self._look(lambda _: self._notices.set_listed_until(newest), stop)
