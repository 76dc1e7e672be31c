"""A registry for an event loop: it answers at once and asks on a thread of its own.

A registry may lag behind. A publisher registers a schema, gets its id and publishes, and another node of the registry
does not know the id for some seconds. So an unknown id is asked for again, for `unknown_s` at most. Until then
`schema_of` raises SchemaAwaited. All unknown ids are awaited at the same time.

A registry may also fail for one id only (no right to read it, a broken schema). So after each failure it is asked for
a schema of ours that it surely has. If it gives that schema, the failed id is treated as an unknown id. Else the
registry is down, for every id.
"""

import time
from contextlib import suppress
from functools import partial
from threading import Condition, Thread
from typing import Any, Protocol

from schemas.asking import Asker
from schemas.awaited import AwaitedIds, Key, Patience
from schemas.registry import NotThere, RegistryUnavailable, SchemaAwaited, not_given
from schemas.rejection import Rejected


class BlockingRegistry(Protocol):
    """The registry that is asked: schemas.confluent.ConfluentRegistry."""

    def id_of(self, subject: str, schema: dict[str, Any]) -> int:
        """As schemas.registry.Registry."""
        ...

    def look_up(self, subject: str, schema_id: int) -> dict[str, Any] | NotThere:
        """Ask for the schema, without a cache."""
        ...

    def answers_for_others(self, but_id: int | None, subject: str) -> bool:
        """Return whether the registry gives what it surely has."""
        ...


class AwaitingRegistry:
    """A schemas.registry.Registry whose `schema_of` never waits."""

    def __init__(self, registry: BlockingRegistry, patience: Patience | None = None) -> None:
        self._registry = registry
        self._patience = patience or Patience()
        # Less than answer_max_s: first we see whether the registry answers for others, then we report an outage.
        self._asker = Asker(0.8 * self._patience.answer_max_s, self._patience.remembered_s)
        self._ids = AwaitedIds(self._patience)
        self._changed = Condition()
        self._asking_since: float | None = None
        self._down: str | None = None
        self._down_until = 0.0
        self._bug: Exception | None = None
        self._thread: Thread | None = None
        self._closed = False

    def id_of(self, subject: str, schema: dict[str, Any]) -> int:
        """As Registry. It waits for the answer: call it before the event loop runs."""
        return self._registry.id_of(subject, schema)

    def learn(self, subject: str, schema_id: int, schema: dict[str, Any]) -> None:
        """Store a schema before anybody asks for it."""
        self._ids.schemas[subject, schema_id] = schema

    def schema_of(self, subject: str, schema_id: int) -> dict[str, Any]:
        """Return the schema of the id, if it is known by now.

        Raises SchemaAwaited while the registry is asked, Rejected (UNKNOWN_SCHEMA or WRONG_SCHEMA) when that is certain
        or the wait is over, RegistryUnavailable while the registry does not answer.
        """
        key = subject, schema_id
        known = self._ids.schemas.get(key)
        if known is not None:
            return known
        with self._changed:
            if self._bug is not None:
                raise self._bug
            if (refusal := self._ids.request(key, time.monotonic())) is not None:
                raise Rejected(refusal.reason, refusal.detail)
            self._wake()
            if (down := self._outage()) is not None:
                raise RegistryUnavailable(down)
        raise SchemaAwaited(f"the registry is asked for the schema id {schema_id} of {subject}")

    def close(self) -> None:
        """End the thread after its current answer; do not wait for it."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _outage(self) -> str | None:
        """Say why the registry counts as down; None when it does not."""
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
                    self._pause(key, str(error))
                except Exception as error:  # noqa: BLE001 - the next caller of schema_of gets it
                    with self._changed:
                        self._bug = error
                    return
                else:
                    with self._changed:
                        self._asking_since, self._down, self._down_until = None, None, 0.0
                        self._ids.answer(key, found, time.monotonic(), final=final)

    def _look_up(self, key: Key) -> tuple[dict[str, Any] | NotThere, bool]:
        """Ask; return the answer, and whether it can never change. Raises RegistryUnavailable for an outage."""
        subject, schema_id = key
        try:
            return self._asker.ask(key, partial(self._registry.look_up, subject, schema_id)), False
        except Rejected as refusal:
            return NotThere(refusal.reason, refusal.detail), True
        except RegistryUnavailable as error:
            with self._changed:
                self._asking_since = time.monotonic()
            if not self._asker.ask("others", partial(self._registry.answers_for_others, schema_id, subject)):
                raise
            return not_given(schema_id, error), False

    def _next(self) -> Key:
        """Wait until an id is due, and return it. Raises _Closed."""
        with self._changed:
            while not self._closed:
                first = self._ids.next_due()
                if first is None:
                    self._changed.wait()
                    continue
                key, due = first
                now = time.monotonic()
                wait_s = max(due, self._down_until) - now
                if wait_s <= 0:
                    self._asking_since = now
                    return key
                self._changed.wait(wait_s)
        raise _Closed

    def _pause(self, key: Key, why: str) -> None:
        """Ask for nothing for a while, because the registry is down."""
        with self._changed:
            self._asking_since, self._down = None, why
            self._down_until = time.monotonic() + self._patience.down_s
            self._ids.fail(key, self._down_until)


class _Closed(Exception):  # noqa: N818 - a signal, not a fault
    """The registry was closed."""
