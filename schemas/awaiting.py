"""A registry for an event loop: it answers at once, and asks on a thread of its own.

A registry may lag behind: a publisher registers a schema, gets its id, publishes, and another node of the registry
does not know the id for some seconds. So an unknown id is asked for again, for PATIENCE_S at most. Meanwhile
`schema_of` raises SchemaAwaited. All unknown ids are awaited together.

A registry may also fail over one id (no right to read it, a broken schema). So after each failure it is asked for
something of ours that it surely has. If it gives that, the id is awaited alone, as an unknown one. Else it is down, for
everybody.
"""

import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from threading import Condition, Thread
from typing import Any, Final, Protocol

from schemas.asking import Asking
from schemas.registry import NotThere, RegistryUnavailable, SchemaAwaited, fails_over
from schemas.rejection import Reason, Rejected

AWAITED_MAX: Final = 200
"""Ids that are awaited at once. More made-up ids than these wait for their turn: the registry must not be flooded."""
REFUSALS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Patience:
    """All in seconds. unknown_s: an id that the registry does not know is refused after so long, once.

    again_s: between two questions about such an id, at most. remembered_s: a refused id is not asked for again before.
    down_s: after a failure nothing is asked for so long. answer_max_s: a question without an answer is a failure.
    """

    unknown_s: float = 30
    again_s: float = 1
    remembered_s: float = 30
    down_s: float = 2
    answer_max_s: float = 10


class Asked(Protocol):
    """What is asked: schemas.confluent.ConfluentRegistry."""

    def id_of(self, subject: str, schema: dict[str, Any]) -> int:
        """As schemas.registry.Registry."""
        ...

    def look_up(self, subject: str, schema_id: int) -> dict[str, Any] | NotThere:
        """Ask for the schema, whatever is remembered."""
        ...

    def answers_for_others(self, but_id: int | None, subject: str) -> bool:
        """Say whether the registry gives what it surely has."""
        ...


Key = tuple[str, int]


@dataclass(slots=True)
class _Awaited:
    """due: when it is asked for again. since: of the first "not there" in a row. patient: it may be waited for."""

    due: float
    patient: bool
    since: float | None = None
    pause_s: float = 0.1


@dataclass(frozen=True, slots=True)
class _Refusal:
    until: float
    reason: Reason
    detail: str


class AwaitingRegistry:
    """schemas.registry.Registry that never waits in `schema_of`."""

    def __init__(self, registry: Asked, patience: Patience | None = None) -> None:
        self._registry = registry
        self._patience = patience or Patience()
        # Somewhat less, so that nobody is told of an outage before it is known whether the registry answers for others.
        self._asking = Asking(0.8 * self._patience.answer_max_s, self._patience.remembered_s)
        self._schemas: dict[Key, dict[str, Any]] = {}
        self._refusals: dict[Key, _Refusal] = {}
        self._awaited: dict[Key, _Awaited] = {}
        self._changed = Condition()
        self._asking_since: float | None = None
        self._down: str | None = None
        self._down_until = 0.0
        self._bug: Exception | None = None
        self._thread: Thread | None = None
        self._closed = False

    def id_of(self, subject: str, schema: dict[str, Any]) -> int:
        """As the registry; it waits for the answer, so that an event loop must have asked before it runs."""
        return self._registry.id_of(subject, schema)

    def learn(self, subject: str, schema_id: int, schema: dict[str, Any]) -> None:
        """Know a schema before anybody asks for it."""
        self._schemas[subject, schema_id] = schema

    def schema_of(self, subject: str, schema_id: int) -> dict[str, Any]:
        """Return the schema that the id names, if that is known by now.

        Raises SchemaAwaited while it is asked for, Rejected (UNKNOWN_SCHEMA or WRONG_SCHEMA) once that is sure or has
        taken too long, RegistryUnavailable while the registry does not answer.
        """
        key = subject, schema_id
        known = self._schemas.get(key)
        if known is not None:
            return known
        with self._changed:
            if self._bug is not None:
                raise self._bug
            refusal = self._refusals.get(key)
            if refusal is not None and time.monotonic() < refusal.until:
                raise Rejected(refusal.reason, refusal.detail)
            # Between the look without the lock and here it may have come; then the next look finds it.
            if key not in self._schemas and key not in self._awaited and len(self._awaited) < AWAITED_MAX:
                self._awaited[key] = _Awaited(time.monotonic(), patient=refusal is None)
                self._wake()
            if (down := self._silence()) is not None:
                raise RegistryUnavailable(down)
        raise SchemaAwaited(f"the registry is asked for the schema id {schema_id} of {subject}")

    def close(self) -> None:
        """End the thread once it has its answer; nobody waits for it."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _silence(self) -> str | None:
        """Say what is the matter with a registry that does not answer; None when it does."""
        asking_since = self._asking_since
        if asking_since is not None and time.monotonic() - asking_since > self._patience.answer_max_s:
            return f"the schema registry has not answered for {self._patience.answer_max_s:g} s: check its state"
        return self._down

    def _wake(self) -> None:
        if self._thread is None:
            # A daemon: an answer that never ends must not keep the process from ending.
            self._thread = Thread(target=self._work, name="schema registry", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _work(self) -> None:
        with suppress(_Closed):
            while True:
                key = self._next()
                try:
                    found, final = self._look_up(key)
                except RegistryUnavailable as error:
                    self._failed(key, str(error))
                except Exception as error:  # noqa: BLE001 - whoever asks next gets to see it
                    with self._changed:
                        self._bug = error
                    return
                else:
                    self._answered(key, found, final=final)

    def _look_up(self, key: Key) -> tuple[dict[str, Any] | NotThere, bool]:
        """Ask; return the answer, and whether it can never change. Raises RegistryUnavailable for an outage."""
        subject, schema_id = key
        try:
            return self._asking.ask(key, partial(self._registry.look_up, subject, schema_id)), False
        except Rejected as refusal:
            return NotThere(refusal.reason, refusal.detail), True
        except RegistryUnavailable as error:
            with self._changed:
                self._asking_since = time.monotonic()
            if not self._asking.ask("others", partial(self._registry.answers_for_others, schema_id, subject)):
                raise
            return fails_over(schema_id, error), False

    def _next(self) -> Key:
        """Wait until an id is due, and return it. Raises _Closed."""
        with self._changed:
            while True:
                if self._closed:
                    raise _Closed
                now = time.monotonic()
                first = min(self._awaited, key=lambda key: self._awaited[key].due, default=None)
                if first is None:
                    self._changed.wait()
                    continue
                wait_s = max(self._awaited[first].due, self._down_until) - now
                if wait_s <= 0:
                    self._asking_since = now
                    return first
                self._changed.wait(wait_s)

    def _answered(self, key: Key, found: dict[str, Any] | NotThere, *, final: bool) -> None:
        """Keep what was found; let what was not be asked for again, or refuse it."""
        patience = self._patience
        with self._changed:
            now = time.monotonic()
            self._asking_since, self._down, self._down_until = None, None, 0.0
            awaited = self._awaited[key]
            if not isinstance(found, NotThere):
                self._schemas[key] = found
                self._refusals.pop(key, None)
                del self._awaited[key]
                return
            awaited.since = now if awaited.since is None else awaited.since
            if final or not awaited.patient or now - awaited.since >= patience.unknown_s:
                del self._awaited[key]
                self._refuse(key, _Refusal(now + patience.remembered_s, found.reason, found.detail))
            else:
                awaited.due = min(now + awaited.pause_s, max(awaited.since + patience.unknown_s, now))
                awaited.pause_s = min(2 * awaited.pause_s, patience.again_s)

    def _refuse(self, key: Key, refusal: _Refusal) -> None:
        self._refusals.pop(key, None)
        self._refusals[key] = refusal
        if len(self._refusals) > REFUSALS_MAX:
            del self._refusals[next(iter(self._refusals))]

    def _failed(self, key: Key, why: str) -> None:
        """Ask for nothing for a while. Only "not there" in a row counts: what came before an outage proves nothing."""
        with self._changed:
            self._asking_since = None
            self._down = why
            self._down_until = time.monotonic() + self._patience.down_s
            for awaited in self._awaited.values():
                awaited.since = None
            # The others come first: it costs less to see from them that the registry is back.
            self._awaited[key].due = self._down_until + self._patience.down_s


class _Closed(Exception):  # noqa: N818 - it answers an order, it is no fault
    """Nobody asks any more."""
