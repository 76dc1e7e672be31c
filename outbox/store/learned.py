"""What a process has learned from the server that it is connected to."""

from datetime import date, datetime
from typing import Any

import psycopg

from outbox.schema import partitions
from outbox.store.memory import OrderMemory
from outbox.store.numbers import OrderNumbers
from outbox.store.reach import Reach


class Learned:
    """generation: of the connections: after an outage it may be another server. oldest: the inbox's first day.

    seen: its clock, as a transaction read it last. at_gateway, at_inventory: where claims at these begin.
    """

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.memory = OrderMemory()
        self.order_numbers = OrderNumbers()
        self.oldest: date | None = None
        self.seen: datetime | None = None
        self.at_gateway, self.at_inventory = Reach(), Reach()

    async def oldest_day(self, connection: psycopg.AsyncConnection[Any]) -> date:
        """Return the inbox's first day; read it once."""
        if self.oldest is None:
            self.oldest = await partitions.oldest_day(connection)
        return self.oldest
