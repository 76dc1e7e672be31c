"""How customers are told."""

from collections.abc import Sequence
from typing import Protocol

from domain.decision import Notification


class Notifier(Protocol):
    """Tells customers, at least once each; the notification's key lets it tell them only once.

    Called inside the transaction that records the notifications, before it commits: it must not wait for a network.
    """

    async def tell(self, notifications: Sequence[Notification]) -> None:
        """Tell these customers."""
        ...
