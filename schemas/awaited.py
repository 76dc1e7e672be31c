"""What is known of a registry's schema ids: schemas that were found, ids that are awaited, ids that were refused.

No clock and no lock here: `now` is in seconds, and the caller holds a lock. Only `schemas` may be read without one.
"""

from dataclasses import dataclass
from typing import Any, Final

from schemas.registry import NotThere
from schemas.rejection import Reason

AWAITED_MAX: Final = 200
"""Ids that are awaited at once. Further ids wait for their turn, so that made-up ids do not flood the registry."""
REFUSALS_MAX: Final = 1_000

Key = tuple[str, int]
"""Subject and schema id."""


@dataclass(frozen=True, slots=True)
class Patience:
    """All in seconds. unknown_s: how long an id that the registry does not know is awaited, once; then it is refused.

    again_s: the longest pause between two questions about such an id. remembered_s: how long a refused id is not asked
    for again. down_s: how long nothing is asked after a failure. answer_max_s: a longer answer counts as a failure.
    """

    unknown_s: float = 30
    again_s: float = 1
    remembered_s: float = 30
    down_s: float = 2
    answer_max_s: float = 10


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an id is refused, and until when without asking again."""

    until: float
    reason: Reason
    detail: str


@dataclass(slots=True)
class _Awaited:
    """due: when it is asked for again. since: time of the first "not there" in a row. patient: it may be awaited."""

    due: float
    patient: bool
    since: float | None = None
    pause_s: float = 0.1


class AwaitedIds:
    """Says which id is asked for next, and what follows from each answer."""

    def __init__(self, patience: Patience) -> None:
        self.schemas: dict[Key, dict[str, Any]] = {}
        self._patience = patience
        self._refusals: dict[Key, Refusal] = {}
        self._awaited: dict[Key, _Awaited] = {}

    def request(self, key: Key, now: float) -> Refusal | None:
        """Return the refusal of this id if it still holds. Else await the id, if there is room and it is not found."""
        refusal = self._refusals.get(key)
        if refusal is not None and now < refusal.until:
            return refusal
        # The caller looked without the lock: the schema may have come since then.
        if key not in self.schemas and key not in self._awaited and len(self._awaited) < AWAITED_MAX:
            self._awaited[key] = _Awaited(now, patient=refusal is None)
        return None

    def next_due(self) -> tuple[Key, float] | None:
        """Return the awaited id that is due first, and when; None if no id is awaited."""
        key = min(self._awaited, key=lambda each: self._awaited[each].due, default=None)
        return None if key is None else (key, self._awaited[key].due)

    def answer(self, key: Key, found: dict[str, Any] | NotThere, now: float, *, final: bool) -> None:
        """Keep the schema; or ask for the id again later; or refuse it, at once if the answer is final."""
        awaited, patience = self._awaited[key], self._patience
        if not isinstance(found, NotThere):
            self.schemas[key] = found
            self._refusals.pop(key, None)
            del self._awaited[key]
            return
        awaited.since = now if awaited.since is None else awaited.since
        if final or not awaited.patient or now - awaited.since >= patience.unknown_s:
            del self._awaited[key]
            self._refuse(key, Refusal(now + patience.remembered_s, found.reason, found.detail))
        else:
            awaited.due = min(now + awaited.pause_s, max(awaited.since + patience.unknown_s, now))
            awaited.pause_s = min(2 * awaited.pause_s, patience.again_s)

    def fail(self, key: Key, until: float) -> None:
        """Begin the wait of every id anew: only "not there" in a row counts. until: nothing is asked before."""
        for awaited in self._awaited.values():
            awaited.since = None
        # Other ids come first: they show sooner that the registry is back.
        self._awaited[key].due = until + self._patience.down_s

    def _refuse(self, key: Key, refusal: Refusal) -> None:
        self._refusals.pop(key, None)
        self._refusals[key] = refusal
        if len(self._refusals) > REFUSALS_MAX:
            del self._refusals[next(iter(self._refusals))]
