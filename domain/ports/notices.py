"""Where notices of the gateway come from, and where they are kept."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

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
    """What one look at waiting notices did. fates: how many got which. orphans: those whose order never came.

    refund_failed: the gateway tells that a refund failed, and none of ours is unfinished: it had succeeded before.
    """

    fates: dict[Fate, int]
    orphans: Sequence[Notice]
    refund_failed: bool = False

    @property
    def looked_at(self) -> int:
        """Return how many notices were looked at."""
        return sum(self.fates.values())


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

    async def listed_until(self) -> datetime:
        """Return up to when the gateway's list has been read."""
        ...

    async def set_listed_until(self, until: datetime) -> None:
        """Remember up to when the list has been read. It never moves back."""
        ...

    async def forget_old(self, limit: int) -> int:
        """Delete notices that were applied long ago; return how many."""
        ...
