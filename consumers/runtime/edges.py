"""Where operations are performed: the gateway, and the inventory if it is elsewhere. Each fails by itself.

Each edge has a performer with its own bound of open operations, and a breaker: while one is down, what needs only the
other goes on.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from consumers.runtime.breaker import Breaker
from consumers.runtime.performing import OperationPerformer
from domain.operation import OperationKind
from domain.ports.store import Claimed


@dataclass(frozen=True, slots=True)
class Edge:
    """One dependency, and the kinds of operation that are performed there."""

    kinds: frozenset[OperationKind]
    performer: OperationPerformer
    breaker: Breaker


class Edges:
    """All edges of a process."""

    def __init__(self, edges: Sequence[Edge]) -> None:
        self._edges = tuple(edges)

    def of(self, kinds: Iterable[OperationKind]) -> tuple[Edge, ...]:
        """Return the edges at which operations of some of these kinds are performed."""
        asked = frozenset(kinds)
        return tuple(edge for edge in self._edges if edge.kinds & asked)

    def all(self) -> tuple[Edge, ...]:
        """Return all edges."""
        return self._edges

    def submit(self, claimed: Sequence[Claimed]) -> None:
        """Begin to perform these operations, each at its edge."""
        if len(self._edges) == 1:
            self._edges[0].performer.submit(claimed)
            return
        for edge in self._edges:
            edge.performer.submit([c for c in claimed if c.operation.kind in edge.kinds])

    @property
    def busy(self) -> bool:
        """Whether calls run."""
        return any(edge.performer.busy for edge in self._edges)

    @property
    def open(self) -> int:
        """Return how many operations are begun and not answered yet."""
        return sum(len(edge.performer.open) for edge in self._edges)

    async def watch(self) -> None:
        """Raise what a call raised: a bug, which stops the process."""
        async with asyncio.TaskGroup() as group:
            for edge in self._edges:
                group.create_task(edge.performer.watch())

    async def drain(self) -> None:
        """Wait until no call runs."""
        for edge in self._edges:
            await edge.performer.drain()

    async def give_up(self) -> None:
        """Stop waiting for answers. Operations without an answer are free for other processes at once."""
        for edge in self._edges:
            await edge.performer.give_up()
