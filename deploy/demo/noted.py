"""What must be noted in the database before something else is published: no event tells it."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import psycopg

from deploy.settings import Settings
from outbox.driver.conninfo import connect

_EARLY: Final = "SELECT order_id FROM early_message WHERE order_id = ANY(%s)"
_PREPARED: Final = "SELECT order_id FROM orders WHERE preparation_started_at IS NOT NULL AND order_id = ANY(%s)"


class Asking(NamedTuple):
    """A line of `payments publish` that asks for a payment, and the attempt that it will start."""

    order_id: str
    attempt: int
    line: dict[str, Any]


class Noted:
    """early: what follows when a message of this order is kept. preparing: when the begin of its preparation is."""

    def __init__(self, settings: Settings) -> None:
        self.early: dict[str, Asking] = {}
        self.preparing: dict[str, Asking] = {}
        self._url = settings.psycopg_url()

    async def take(self) -> list[Asking]:
        """Return what may be published now. While the database is down nothing may."""
        taken: list[Asking] = []
        for waiting, query in ((self.early, _EARLY), (self.preparing, _PREPARED)):
            if waiting:
                taken += [waiting.pop(order_id) for order_id in await self._ask(query, list(waiting))]
        return taken

    async def _ask(self, query: str, order_ids: Sequence[str]) -> set[str]:
        try:
            async with await connect(self._url, name="payments demo", autocommit=True) as connection:
                rows = await (await connection.execute(query.encode(), [order_ids])).fetchall()
        except psycopg.OperationalError:
            return set()
        return {order_id for (order_id,) in rows}
