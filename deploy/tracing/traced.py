"""The instruments of a process that also tells traces."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from time import time_ns
from typing import Protocol

from deploy.metrics.instruments import Instruments
from deploy.settings import Settings
from deploy.tracing.batches import TracedPublisher, TransactionTracer
from deploy.tracing.calls import CallTracer, TracedGateway, TracedInventory
from deploy.tracing.messages import MessageTracer
from deploy.tracing.telling import Ids, Recorder
from domain.ports.gateway import Gateway
from domain.ports.inventory import RemoteInventory
from domain.ports.metering import StoreMeter
from domain.ports.publisher import Publisher


class EndingRecorder(Recorder, Protocol):
    """A recorder that is ended with its process."""

    def end(self) -> None:
        """Send what waits, in bounded time."""
        ...


class TracedInstruments(Instruments):
    """Instruments whose gateway, inventory, store and relay tell traces, besides what they count."""

    def __init__(
        self,
        settings: Settings,
        roles: str,
        stalled_after_s: float,
        recorder: EndingRecorder,
        clock_ns: Callable[[], int] = time_ns,
    ) -> None:
        super().__init__(settings, roles, stalled_after_s)
        self._recorder = recorder
        self._ids = Ids()
        self._clock_ns = clock_ns
        self._peer = settings.gateway or "gateway"
        self.tracer = MessageTracer(recorder, self._ids, clock_ns, settings.otel_sample)

    def gateway(self, gateway: Gateway) -> Gateway:
        """Return the gateway, its calls counted and told."""
        return TracedGateway(super().gateway(gateway), self._calls("gateway", self._peer))

    def inventory(self, inventory: RemoteInventory | None) -> RemoteInventory | None:
        """Return the inventory elsewhere, its calls counted and told."""
        counted = super().inventory(inventory)
        return None if counted is None else TracedInventory(counted, self._calls("inventory", "inventory"))

    def store_meter(self) -> StoreMeter | None:
        """Return what hears of transactions."""
        return TransactionTracer(self._recorder, self._ids, self._clock_ns, super().store_meter())

    def relay(self) -> Callable[[Publisher], Publisher]:
        """Return what has a relay's publishers counted and told."""
        count = super().relay()
        return lambda publisher: TracedPublisher(count(publisher), self._recorder, self._ids, self._clock_ns)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Mapping[str, str]]:
        """Answer scrapes and probes while inside; at the end send the last spans, in bounded time."""
        async with super().serving() as bound:
            try:
                yield bound
            finally:
                await asyncio.to_thread(self._recorder.end)

    def _calls(self, edge: str, peer: str) -> CallTracer:
        return CallTracer(self._recorder, self._ids, self._clock_ns, edge, peer)
