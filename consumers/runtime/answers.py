"""Answers on their way from whoever got them to the settle transaction."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from domain.ids import OperationId, OrderId
from domain.operation import Operation
from domain.outcome import Outcome
from domain.values import Value


class Answer(Value, frozen=True):
    """An outcome of an operation. lease: the operation's due_at while it was called; None: it was not called.

    operation: as it was claimed, if this process called it. request_id: see domain.ports.gateway.GatewayAnswer.
    """

    order_id: OrderId
    operation_id: OperationId
    outcome: Outcome
    lease: datetime | None = None
    operation: Operation | None = None
    request_id: str | None = None


class Answers:
    """The queue of answers to settle."""

    def __init__(self) -> None:
        self._waiting: list[Answer] = []
        self._arrived = asyncio.Event()

    def __bool__(self) -> bool:
        """Whether answers wait."""
        return bool(self._waiting)

    def put(self, answers: Sequence[Answer]) -> None:
        """Add answers."""
        self._waiting += answers
        self._arrived.set()

    def take(self, most: int) -> list[Answer]:
        """Remove and return the oldest."""
        taken, self._waiting = self._waiting[:most], self._waiting[most:]
        return taken

    async def wait(self) -> None:
        """Wait until some are put."""
        self._arrived.clear()
        await self._arrived.wait()
