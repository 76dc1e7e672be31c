"""Where notices of the gateway come from, and where they are kept."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from domain.ids import OrderId
from domain.notices import Fate, Notice


class NoticePage(NamedTuple):
    """A page of the gateway's list: those of its events that are about our orders, the newest first.

    newest: the time of the newest event of the page, ours or not; None if there is none. after: what to ask the next
    page with; None if this is the last one.
    """

    notices: Sequence[Notice]
    newest: datetime | None
    after: str | None


class NoticeList(Protocol):
    """The gateway's own list of its events. It keeps them for 30 days."""

    async def list_notices(self, since: datetime, after: str | None) -> NoticePage:
        """Return a page of the events since then, newest first. Raises Transient if the gateway does not answer."""
        ...


class Sorted(NamedTuple):
    """What one look at waiting notices did. fates: how many got which. orphans: those whose order never came."""

    fates: dict[Fate, int]
    orphans: Sequence[Notice]

    @property
    def looked_at(self) -> int:
        """Return how many notices were looked at."""
        return sum(self.fates.values())


class Kept(NamedTuple):
    """A notice about which the gateway is asked. age: since we have it. now: the database's clock at the claim."""

    notice: Notice
    age: timedelta
    now: datetime


class Answered(NamedTuple):
    """What became of a kept notice. order_id: None if it led to none. ask_at: when to ask again, if it stays kept."""

    notice_id: str
    fate: Fate
    order_id: OrderId | None
    ask_at: datetime | None


class KeepsNotices(Protocol):
    """What an endpoint for webhooks needs of the table."""

    async def keep(self, notices: Sequence[Notice]) -> int:
        """Keep these; return how many are new. When it returns they are committed.

        Raises Transient if the database does not answer.
        """
        ...


class Notices(KeepsNotices, Protocol):
    """The table of notices. All methods raise Transient if the database does not answer."""

    async def sort(self, limit: int, lease_s: float) -> Sorted:
        """Look at waiting notices that are due: make their operations due, once each, or decide otherwise.

        Waits for no lock, and ends no lease. lease_s: how long a claim of the sweep lasts.
        """
        ...

    async def claim_kept(self, limit: int, lease_s: float) -> Sequence[Kept]:
        """Take notices about which the gateway is to be asked now; others do not get them for lease_s."""
        ...

    async def note_answers(self, answers: Sequence[Answered]) -> None:
        """Write what became of kept notices."""
        ...

    async def listed_until(self) -> datetime:
        """Return up to when the gateway's list has been read."""
        ...

    async def set_listed_until(self, until: datetime) -> None:
        """Remember up to when the list has been read. It never moves back."""
        ...

    async def forget_old(self, limit: int) -> int:
        """Delete notices that were applied long ago; return how many."""
        ...
