"""Parts of the product with one mistake each. Whatever is not the mistake is the real part's."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from consumers.runtime.redriving import Redriver
from domain.dead_letter import DeadLetter
from domain.errors import Transient
from domain.ports.source import Message, Source
from domain.ports.store import Changes, Claimed
from outbox.store import PostgresStore
from outbox.store.redriving import KeptLetter
from outbox.store.transaction import PgTransaction
from schemas.rejection import Reason


class _Around:
    """Everything that is not defined here is the inner part's."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class PositionNotPutBack(_Around):
    """A source that raises once after it has taken a batch, and goes on behind it. has_raised: told once it has."""

    def __init__(self, inner: Source, has_raised: asyncio.Event) -> None:
        super().__init__(inner)
        self._has_raised = has_raised

    async def take(self, limit: int, wait_s: float) -> Sequence[Message]:
        """Lose the first batch of more than one message."""
        taken: Sequence[Message] = await self._inner.take(limit, wait_s)
        if len(taken) > 1 and not self._has_raised.is_set():
            self._has_raised.set()
            raise Transient("one partition of several could not be read")
        return taken


class OffsetBeforeTransaction(_Around):
    """A source that commits offsets as soon as it hands messages out. has_committed: told once it has."""

    def __init__(self, inner: Source, has_committed: asyncio.Event) -> None:
        super().__init__(inner)
        self._has_committed = has_committed

    async def take(self, limit: int, wait_s: float) -> Sequence[Message]:
        """Commit first. What comes then is a crash: the batch is never planned."""
        taken: Sequence[Message] = await self._inner.take(limit, wait_s)
        if taken:
            self._inner.commit_soon(taken)
            self._has_committed.set()
            await asyncio.Event().wait()
        return taken


class LettersDropped(_Around):
    """A store that does not write dead letters of this reason."""

    def __init__(self, inner: PostgresStore, reason: Reason) -> None:
        super().__init__(inner)
        self._reason = reason

    @asynccontextmanager
    async def transaction(self, **how: Any) -> AsyncIterator[Any]:
        """Open a transaction that swallows."""
        async with self._inner.transaction(**how) as transaction:
            yield _Swallowing.over(transaction, self._reason)


class _Swallowing(PgTransaction):
    """The transaction itself under another class: adapters that share it ask for the real one."""

    dropped: Reason

    @classmethod
    def over(cls, transaction: PgTransaction, reason: Reason) -> "_Swallowing":
        """Make it of one that is open; both are one and the same."""
        made = object.__new__(cls)
        made.__dict__ = transaction.__dict__
        made.dropped = reason
        return made

    async def save(self, changes: Changes) -> Sequence[DeadLetter]:
        """Write everything else."""
        changes.dead_letters = [letter for letter in changes.dead_letters if letter.reason is not self.dropped]
        return await super().save(changes)


class LeaseIgnored(_Around):
    """A store whose sweep takes what others hold a lease on. forget: ends every lease there is."""

    def __init__(self, inner: PostgresStore, forget: Callable[[], Any]) -> None:
        super().__init__(inner)
        self._forget = forget

    async def claim_due(self, limit: int, lease_s: float) -> Sequence[Claimed]:
        """Take whatever is open."""
        await self._forget()
        claimed: Sequence[Claimed] = await self._inner.claim_due(limit, lease_s)
        return claimed


class RedrivesTwice(Redriver):
    """A redriver that does not ask whether a letter was redriven before."""

    def _why_not(self, letter: KeptLetter) -> str | None:
        return super()._why_not(letter._replace(redriven=False))
