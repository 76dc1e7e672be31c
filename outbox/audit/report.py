"""The report of an audit, and the findings that it is made of."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from schemas.texts import counted

VIOLATIONS_KEPT_MAX: Final = 1_000
"""Violations kept of each invariant; further ones are counted in one line."""


@dataclass(frozen=True, slots=True)
class Invariant:
    """One invariant of ARCHITECTURE.md section 9. holds: None if it cannot be judged now; notes say why.

    checked: how many things were checked. violations: one line each, with the order (or SKU, message, row). found: how
    many violations there are, kept or not.
    """

    id: int
    name: str
    holds: bool | None
    checked: int
    violations: tuple[str, ...]
    notes: tuple[str, ...] = ()
    found: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """holds: no invariant is broken. waiting: why the pipeline is not quiescent; empty if it is."""

    holds: bool
    quiescent: bool
    invariants: tuple[Invariant, ...]
    waiting: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the JSON document of `payments audit --json`."""
        return {
            "holds": self.holds,
            "quiescent": self.quiescent,
            "invariants": [
                {
                    "id": invariant.id,
                    "name": invariant.name,
                    "holds": invariant.holds,
                    "checked": invariant.checked,
                    "violations": list(invariant.violations),
                }
                for invariant in self.invariants
            ],
        }


NAMES: Final = {
    1: "refunded <= captured <= authorized in each attempt, one currency, and no more than the total is kept",
    2: "one authorize, one capture and one void at most in each attempt, one kept capture in each order",
    3: "no capture without a live hold, none after a void",
    4: "stock adds up, and is never negative",
    5: "statuses move along declared edges, versions without gaps",
    6: "every version has its journal rows, every decision its events",
    7: "every order has exactly one outcome",
    8: "the money kept is that of paid orders, of reviews and of pending refunds, as the gateway has it",
    9: "failed orders hold no items, no authorization and no money but a pending refund",
    10: "every consumed message is in the inbox or dead-lettered, every journal row in its topic or the outbox",
    11: "no card number in any table, topic, header or dead letter",
    12: "the topics alone give the same orders",
}


class Findings:
    """What was found about one invariant so far."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.checked = 0
        self.notes: list[str] = []
        self._violations: list[str] = []
        self._total = 0
        self._suspects: list[tuple[str, str]] = []
        self._unsure = 0
        self._in_part = False

    def add_violations(self, texts: str | Iterable[str], times: int = 0) -> None:
        """Add violations. times: how many there are in all, if texts has only some of them."""
        lines = [texts] if isinstance(texts, str) else list(texts)
        self._violations += lines[: max(0, VIOLATIONS_KEPT_MAX - len(self._violations))]
        self._total += max(times, len(lines))

    def add_unsure(self) -> None:
        """Count a difference that cannot be judged now, because somebody still works on the order."""
        self._unsure += 1

    def note_part(self, text: str) -> None:
        """Note that only a part could be checked: so violations may be found, but it cannot be said that none is."""
        self._in_part = True
        self.notes.append(text)

    def add_suspect(self, order_id: str, text: str) -> None:
        """Add a difference that is a violation, unless the order has changed since the snapshot."""
        self._suspects.append((order_id, text))

    @property
    def suspects(self) -> frozenset[str]:
        """The orders with differences that are not judged yet."""
        return frozenset(order_id for order_id, _ in self._suspects)

    def judge_suspects(self, changed: frozenset[str]) -> None:
        """Turn differences into violations, except for orders that have changed."""
        for order_id, text in self._suspects:
            if order_id in changed:
                self.add_unsure()
            else:
                self.add_violations(text)
        self._suspects.clear()

    def conclude(self, *, judgeable: bool = True) -> Invariant:
        """Make the invariant's result. judgeable: whether it can be judged in the state that was found."""
        assert not self._suspects, "differences are judged before the conclusion"
        notes = list(self.notes)
        if not judgeable:
            return Invariant(self.number, NAMES[self.number], None, self.checked, (), (*notes, "not quiescent"))
        left = self._total - len(self._violations)
        violations = (*self._violations, f"and {left} more") if left > 0 else tuple(self._violations)
        if self._unsure:
            unsure = counted(self._unsure, "difference")
            notes.append(f"{unsure} on orders that are being worked on: ask again when it is quiet")
        holds = False if violations else None if self._unsure or self._in_part else True
        return Invariant(self.number, NAMES[self.number], holds, self.checked, violations, tuple(notes), self._total)
