"""Who hears how much was done, for metrics. The runtime and the store call it; they know no library of metrics."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from domain.dead_letter import DeadLetter
from domain.ports.store import Changes


class Written(NamedTuple):
    """What one transaction has committed. now: the database's clock. seconds: how long it took.

    letters: dead letters that are new. aside: the kinds of work that it put in quarantine (see SetAside).
    """

    now: datetime
    seconds: float
    changes: Sequence[Changes]
    letters: Sequence[DeadLetter]
    aside: Sequence[str]


class StoreMeter(Protocol):
    """Hears of transactions."""

    def committed(self, written: Written) -> None:
        """Hear of a transaction that has committed. Neither waits nor raises."""
        ...


class RunMeter(Protocol):
    """Hears of consumers. Called once a batch, never once a message."""

    def taken(self, reaction: str, messages: int) -> None:
        """Hear how many messages a consumer took at a time; at least one."""
        ...

    def held_back(self, seconds: float) -> None:
        """Hear how long a consumer left new orders with Kafka before a batch, since orders under way were late."""
        ...


class Unmetered:
    """Hears nothing."""

    def taken(self, reaction: str, messages: int) -> None:
        """Forget it."""

    def held_back(self, seconds: float) -> None:
        """Forget it."""
