"""The oracle's own ledger of what was published: every message, where the broker put it, and when it said so."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chaos.messages import Message, What
from tests.chaos.script import Order


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that the broker has. at: Unix seconds of the acknowledgement (of the commit, in a transaction).

    fault: the number of the fault that published it.
    """

    message: Message
    topic: str
    partition: int
    offset: int
    at: float
    fault: int | None = None

    def line(self) -> dict[str, Any]:
        """Return it for a file."""
        said = self.message
        return {
            "what": said.what,
            "title": said.title,
            "order_id": said.order_id,
            "event_id": said.event_id,
            "attempt": said.attempt,
            "topic": self.topic,
            "partition": self.partition,
            "offset": self.offset,
            "at": round(self.at, 3),
            "fault": self.fault,
        }


class Published:
    """Filled by several threads while the run lasts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._orders: dict[str, Order] = {}
        self._sent: list[Sent] = []

    def script(self, order: Order) -> None:
        """Remember an order's script before its message is sent."""
        with self._lock:
            self._orders[order.order_id] = order

    def add(self, sent: Sent) -> None:
        """Note an acknowledgement."""
        with self._lock:
            self._sent.append(sent)

    def order(self, order_id: str) -> Order | None:
        """Find the script of an order."""
        with self._lock:
            return self._orders.get(order_id)

    def sent(self, *what: What) -> Iterator[Sent]:
        """Go through what was acknowledged so far, of these sorts or of all."""
        with self._lock:
            found = list(self._sent)
        return (one for one in found if not what or one.message.what in what)

    @property
    def count(self) -> int:
        """How many messages were acknowledged."""
        with self._lock:
            return len(self._sent)

    def write(self, path: Path) -> None:
        """Write it, one JSON line a message."""
        with path.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(one.line()) + "\n" for one in self.sent())
