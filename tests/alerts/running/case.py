"""A case: a cause that is made on the running pipeline, and the alerts that it must have, and may have."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from tests.alerts.running.place import Place
from tests.alerts.running.watching import Fires

Make = Callable[[Place], AbstractContextManager[None]]
"""Entered to make the cause, left to mend it."""

LATE: Final = frozenset({"PaymentsOutcomesLateFast", "PaymentsOrderOld", "PaymentsOrderOldest"})
"""Where orders wait for long, these may ring beside the alert that tells why."""


@dataclass(frozen=True, slots=True)
class Case:
    """fires: all of these must. also: other names that may; any other one is a false alarm.

    early: it takes so long to fire that its cause is made before all others.
    """

    what: str
    fires: tuple[Fires, ...]
    make: Make
    also: frozenset[str] = frozenset()
    early: bool = False
