"""What was dealt, and when: the record that the oracle judges delays by."""

from dataclasses import dataclass, field
from typing import Any

from tests.chaos.clock import told
from tests.chaos.plan import Fault
from tests.chaos.reading import Place


@dataclass(slots=True)
class Dealt:
    """A fault as it happened. Times: Unix seconds. places: whose orders it may delay (None: any). error: of ours."""

    fault: Fault
    begun_at: float
    ended_at: float
    places: frozenset[Place] | None = None
    notes: list[str] = field(default_factory=list)
    error: str = ""

    def delays(self, place: Place) -> bool:
        """Whether an order that was asked for there may wait for this."""
        return self.places is None or place in self.places

    @property
    def title(self) -> str:
        """Name it for people."""
        return f"{self.fault.kind} {self.fault.target}".strip()

    def line(self) -> dict[str, Any]:
        """Return it for a file."""
        return {
            "number": self.fault.number,
            "kind": self.fault.kind,
            "target": self.fault.target,
            "begun": told(self.begun_at),
            "ended": told(self.ended_at),
            "seconds": round(self.ended_at - self.begun_at, 1),
            "places": None if self.places is None else sorted(self.places),
            "notes": self.notes,
            "error": self.error,
        }
