"""The notifier that logs. What it was told to say is recorded beside it, in the table `notification`."""

from collections.abc import Sequence

import structlog

from domain.decision import Notification


class LogNotifier:
    """domain.ports.notifier.Notifier: one log line for each message; the customer's id, never the text, is logged."""

    def __init__(self) -> None:
        self._log = structlog.get_logger("consumers.notifier")

    async def tell(self, notifications: Sequence[Notification]) -> None:
        """Log each message that is not stale."""
        for n in notifications:
            if not n.stale:
                self._log.info(
                    "customer told", order_id=n.order_id, customer_id=n.customer_id, kind=n.kind, key=str(n.key)
                )
