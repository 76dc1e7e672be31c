"""The instruments of one process: made at its start, read by scrapes and probes until it ends.

One process has one registry, however many roles it has.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import structlog

from deploy.failures import WRONG_USAGE, Failure
from deploy.metrics.health import Health
from deploy.settings import Settings, split_address
from deploy.telemetry import hear_alarms
from domain.alarms import ALARMS
from domain.ports.publisher import Publisher

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from consumers.runtime.edges import Edge
    from deploy.metrics.answering import Answering
    from deploy.metrics.counting import Counting
    from deploy.metrics.numbers import Numbers
    from deploy.metrics.publishing import Publishing
    from domain.ports.gateway import Gateway
    from domain.ports.inventory import RemoteInventory
    from domain.ports.metering import StoreMeter
    from domain.ports.tracing import Tracer

CONNECTIONS_MAX: Final = 100
LAST_SCRAPE_S: Final = 20.0
"""Longer than Prometheus usually waits between two scrapes."""
_HELD_BACK: Final = "payments_new_orders_held_back_seconds_total"


class Instruments:
    """domain.ports.metering.RunMeter. Without PAYMENTS_METRICS_LISTEN numbers is None, and nothing is counted.

    roles: what the process does, for a label. tracer: hears of messages; None: none are told.

    A relay has instruments, and neither edges nor orders: it loads none of their ports.
    """

    tracer: "Tracer | None" = None

    def __init__(self, settings: Settings, roles: str, stalled_after_s: float) -> None:
        self.health = Health(stalled_after_s)
        self.numbers = _numbers(settings)
        self._settings = settings
        self._counting: Counting | None = None
        self._publishing: Publishing | None = None
        self._scraped = asyncio.Event()
        if self.numbers is not None:
            self._describe(self.numbers, roles)

    def taken(self, reaction: str, messages: int) -> None:
        """Hear of a batch."""
        if self._counting is not None:
            self._counting.taken(reaction, messages)

    def held_back(self, seconds: float) -> None:
        """Hear how long new orders waited."""
        if self.numbers is not None:
            self.numbers.counter(_HELD_BACK).add((), seconds)

    def expect(self, reactions: Collection[str]) -> None:
        """Name the consumers of this process."""
        self.health.expect(reactions)
        if self.numbers is not None:
            self.numbers.counter(_HELD_BACK)
            joined = self.health.has_joined
            self.numbers.gauge("payments_consumer_joined", lambda: {(name,): float(joined(name)) for name in reactions})

    def store_meter(self) -> "StoreMeter | None":
        """Return what hears of transactions; None if nothing is counted."""
        if self.numbers is not None and self._counting is None:
            from deploy.metrics.counting import Counting  # noqa: PLC0415 - loaded if it is asked for

            self._counting = Counting(self.numbers, self._settings.topic_prefix)
        return self._counting

    def gateway(self, gateway: "Gateway") -> "Gateway":
        """Return the gateway, its calls counted."""
        if self.numbers is None:
            return gateway
        from deploy.metrics.calls import MeteredGateway  # noqa: PLC0415 - loaded if it is asked for

        return MeteredGateway(gateway, self.numbers)

    def inventory(self, inventory: "RemoteInventory | None") -> "RemoteInventory | None":
        """Return the inventory elsewhere, its calls counted."""
        if self.numbers is None or inventory is None:
            return inventory
        from deploy.metrics.calls import MeteredInventory  # noqa: PLC0415 - loaded if it is asked for

        return MeteredInventory(inventory, self.numbers)

    def relay(self) -> Callable[[Publisher], Publisher]:
        """Return what has a relay's publishers counted."""
        if self.numbers is None:
            return lambda publisher: publisher
        from deploy.metrics.publishing import MeteredPublisher, Publishing  # noqa: PLC0415 - loaded if it is asked for

        publishing = self._publishing = self._publishing or Publishing(self.numbers)
        return lambda publisher: MeteredPublisher(publisher, publishing)

    def webhooks(self, outcomes: Iterable[str]) -> Callable[[str], None]:
        """Return what is told what became of each webhook. outcomes: all that there are."""
        if self.numbers is None:
            return lambda _: None
        counter = self.numbers.counter("payments_webhooks_total")
        for outcome in outcomes:
            counter.add((outcome,), 0)
        return lambda outcome: counter.add((outcome,))

    async def await_scrape(self, stop: asyncio.Event) -> None:
        """Wait until somebody scrapes once more, a stop is set, or LAST_SCRAPE_S have passed.

        An alarm that a process rings as it ends would else be in no scrape, and nobody would be called.
        """
        if self.numbers is None:
            return
        self._scraped.clear()
        waiting = [asyncio.ensure_future(event.wait()) for event in (self._scraped, stop)]
        await asyncio.wait(waiting, timeout=LAST_SCRAPE_S, return_when=asyncio.FIRST_COMPLETED)
        for each in waiting:
            each.cancel()

    def watch_edges(self, edges: "Iterable[Edge]") -> None:
        """Tell the state of these edges."""
        if self.numbers is None:
            return
        by_name = {(edge.breaker.name,): edge for edge in edges}
        most = float(self._settings.operations_open_max)
        numbers = self.numbers
        numbers.gauge("payments_operations_open", lambda: {n: len(e.performer.open) for n, e in by_name.items()})
        numbers.gauge("payments_operations_open_max", lambda: dict.fromkeys(by_name, most))
        numbers.gauge("payments_breaker_open", lambda: {n: float(e.breaker.is_seen_down) for n, e in by_name.items()})
        numbers.gauge("payments_ramp_calls_per_second", lambda: {n: _ramp_limit(e) for n, e in by_name.items()})

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Mapping[str, str]]:
        """Answer scrapes and probes while inside; yields where, by setting.

        Raises Failure if it cannot listen there.
        """
        addresses = self._answering()
        async with AsyncExitStack() as until_end:
            bound = {}
            for setting, listen, answering in addresses:
                bound[setting] = await self._listen(until_end, setting, listen, answering)
            yield bound

    def _answering(self) -> "list[tuple[str, str, Answering]]":
        """Return what is answered at which address: one server for both if they are the same, and no free port."""
        metrics, health = self._settings.metrics_listen, self._settings.health_listen
        if metrics is None and health is None:
            return []
        from deploy.metrics.answering import Answering  # noqa: PLC0415 - loaded if it is asked for

        registry = self._registry() if self.numbers is not None else None
        if metrics is not None and metrics == health and split_address(metrics)[1]:
            return [("PAYMENTS_METRICS_LISTEN", metrics, Answering(registry, self.health, self._scraped.set))]
        found = []
        if metrics is not None:
            found.append(("PAYMENTS_METRICS_LISTEN", metrics, Answering(registry, None, self._scraped.set)))
        if health is not None:
            found.append(("PAYMENTS_HEALTH_LISTEN", health, Answering(None, self.health)))
        return found

    def _registry(self) -> "CollectorRegistry":
        from prometheus_client import (  # noqa: PLC0415 - loaded if it is asked for
            CollectorRegistry,
            PlatformCollector,
            ProcessCollector,
        )

        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        assert self.numbers is not None
        registry.register(self.numbers)
        return registry

    async def _listen(self, until_end: AsyncExitStack, setting: str, listen: str, answering: "Answering") -> str:
        from deploy.listening import serving  # noqa: PLC0415 - loaded if it is asked for

        host, port = split_address(listen)
        try:
            address = await until_end.enter_async_context(
                serving(host, port, answering.answer, connections_max=CONNECTIONS_MAX)
            )
        except OSError as error:
            raise Failure(
                f"cannot listen at {listen} ({error.strerror}): set {setting} to a free address of this machine",
                WRONG_USAGE,
            ) from error
        structlog.get_logger("deploy.metrics").info("listening", setting=setting, address=address)
        return address

    def _describe(self, numbers: "Numbers", roles: str) -> None:
        from deploy.metrics.metric import known  # noqa: PLC0415 - loaded if it is asked for

        labels = (version("payments"), roles)
        numbers.gauge("payments_process_info", lambda: {labels: 1})
        numbers.gauge("payments_ready", lambda: {(): float(self.health.is_ready)})
        numbers.gauge("payments_loop_turn_age_seconds", lambda: {(): self.health.oldest_turn_s()})
        alarms = numbers.counter("payments_alarms_total")
        hear_alarms(lambda reason: alarms.add((known(reason, ALARMS),)))


def _ramp_limit(edge: "Edge") -> float:
    return 0 if edge.breaker.ramp is None else edge.breaker.ramp.limit


def _numbers(settings: Settings) -> "Numbers | None":
    if settings.metrics_listen is None:
        return None
    from deploy.metrics.numbers import Numbers  # noqa: PLC0415 - loaded if it is asked for

    return Numbers()
