"""The notifier that logs. What it was told to say is recorded beside it, in the table `notification`."""

import logging
from collections import Counter
from collections.abc import Sequence

import structlog

from domain.decision import Notification


class LogNotifier:
    """domain.ports.notifier.Notifier: a log line for each batch; for DEBUG one for each message, never its text."""

    def __init__(self) -> None:
        self._log = structlog.get_logger("consumers.notifier")

    async def tell(self, notifications: Sequence[Notification]) -> None:
        """Log how many messages of which kinds there are; those that are stale are not told."""
        told = [n for n in notifications if not n.stale]
        if told:
            self._log.info("customers told", **Counter(n.kind for n in told))
        if self._log.is_enabled_for(logging.DEBUG):
            for n in told:
                ids = {"order_id": n.order_id, "customer_id": n.customer_id, "key": str(n.key)}
                self._log.debug("customer told", kind=n.kind, **ids)
