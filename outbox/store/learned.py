"""What a process has learned of the server that its connections lead to."""

from datetime import date

from outbox.store.memory import OrderMemory
from outbox.store.numbers import OrderNumbers


class Learned:
    """generation: of the connections; after an outage they may lead to another server. oldest: day the inbox knows."""

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.memory = OrderMemory()
        self.order_numbers = OrderNumbers()
        self.oldest: date | None = None
