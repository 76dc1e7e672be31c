"""What hears of notifications while they are recorded. Who sends them is in `messages.py`."""

from collections.abc import Sequence
from typing import Protocol

from domain.decision import Notification


class Notifier(Protocol):
    """Hears of notifications. The same notification may come again; its key tells repetitions.

    Called in the transaction that records the notifications, before it commits: it must not wait for a network.
    """

    async def tell(self, notifications: Sequence[Notification]) -> None:
        """Hear of these."""
        ...
