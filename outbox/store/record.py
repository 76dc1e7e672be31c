"""What a transaction has written so far, for whoever hears of it when it has committed."""

from collections.abc import Sequence
from datetime import datetime

from domain.dead_letter import DeadLetter
from domain.ports.metering import Written
from domain.ports.store import Changes


class Record:
    """Collects; costs nothing that grows with the rows."""

    def __init__(self) -> None:
        self._saved: list[Changes] = []
        self._letters: list[DeadLetter] = []
        self._aside: list[str] = []

    def add_saved(self, changes: Changes, letters: Sequence[DeadLetter]) -> None:
        """Add what was saved. letters: those that are new."""
        self._saved.append(changes)
        self._letters += letters

    def add_aside(self, kind: str) -> None:
        """Add work that was put in quarantine."""
        self._aside.append(kind)

    def written(self, now: datetime, seconds: float) -> Written:
        """Return all of it. now: the database's clock. seconds: how long the transaction took."""
        return Written(now, seconds, self._saved, self._letters, self._aside)
