"""What is said while notifications are recorded: with the notifier `log` that is all that happens."""

import logging
from collections import Counter
from collections.abc import Sequence

import structlog

from domain.decision import Notification


class LogNotifier:
    """domain.ports.notifier.Notifier: one log line a batch; at DEBUG one a notification, never its text.

    Nobody is told. The table `notification` keeps what there was to tell.
    """

    def __init__(self) -> None:
        self._log = structlog.get_logger("consumers.notifier")

    async def tell(self, notifications: Sequence[Notification]) -> None:
        """Log how many notifications of each kind there are. Stale ones are left out."""
        due = [n for n in notifications if not n.stale]
        if due:
            self._log.info("customers to tell, logged only", **Counter(n.kind for n in due))
        if self._log.is_enabled_for(logging.DEBUG):
            for n in due:
                ids = {"order_id": n.order_id, "customer_id": n.customer_id, "key": str(n.key)}
                self._log.debug("customer to tell", kind=n.kind, **ids)


class QuietNotifier:
    """domain.ports.notifier.Notifier that says nothing: the messages wait in their table, and a job sends them."""

    async def tell(self, notifications: Sequence[Notification]) -> None:
        """Do nothing."""
