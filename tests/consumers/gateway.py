"""The simulated gateway, with moods that a test can change while the pipeline runs."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from consumers.adapters.gateway.simulated import SimulatedGateway
from domain.operation import GatewayCall
from domain.outcome import Unknown
from domain.ports.gateway import GatewayAnswer


class MoodyGateway(SimulatedGateway):
    """fails_for: orders whose calls are reset before anything happens. hangs_for: orders whose calls never answer.

    performed: how often each order was asked for.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.fails_for: set[str] = set()
        self.hangs_for: set[str] = set()
        self.performed: dict[str, int] = {}

    async def perform(self, calls: Sequence[GatewayCall]) -> AsyncIterator[Sequence[GatewayAnswer]]:
        """Do what the calls ask, as far as the mood allows."""
        for call in calls:
            self.performed[call.order_id] = self.performed.get(call.order_id, 0) + 1
        if failing := [call for call in calls if call.order_id in self.fails_for]:
            yield [GatewayAnswer(call.operation_id, Unknown("connection reset")) for call in failing]
        if good := [call for call in calls if call.order_id not in self.fails_for | self.hangs_for]:
            async for group in super().perform(good):
                yield group
        if any(call.order_id in self.hangs_for for call in calls):
            await asyncio.Event().wait()
