"""What a process has learned of the server that its connections lead to."""

from datetime import date
from typing import Any

import psycopg

from outbox.schema import partitions
from outbox.store.memory import OrderMemory
from outbox.store.numbers import OrderNumbers


class Learned:
    """generation: of the connections; after an outage they may lead to another server. oldest: day the inbox knows."""

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.memory = OrderMemory()
        self.order_numbers = OrderNumbers()
        self.oldest: date | None = None

    async def oldest_day(self, connection: psycopg.AsyncConnection[Any]) -> date:
        """Return the first day that the inbox knows; ask for it once."""
        if self.oldest is None:
            self.oldest = await partitions.oldest_day(connection)
        return self.oldest
