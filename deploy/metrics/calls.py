"""Counts and times the calls of operations: at the gateway, and at an inventory elsewhere."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from time import perf_counter
from typing import Any, Final, Protocol, TypeVar

from deploy.metrics.labels import outcome_label
from deploy.metrics.numbers import Numbers
from deploy.wrapping import PassingGateway, PassingInventory
from domain.operation import GatewayCall
from domain.ports.gateway import Begin, Gateway, GatewayAnswer, at_once
from domain.ports.inventory import BeginStock, InventoryAnswer, RemoteInventory, begin_always
from domain.stock_calls import StockCall

Answer = TypeVar("Answer", GatewayAnswer, InventoryAnswer)
CALL: Final = "call"
LOOK_UP: Final = "look_up"


class _Call(Protocol):
    """What both kinds of calls have."""

    @property
    def operation_id(self) -> Any:
        """Return the operation's id."""
        ...

    @property
    def kind(self) -> Any:
        """Return what is asked for."""
        ...


class _Calls:
    """The counts of one edge. edge: gateway or inventory."""

    def __init__(self, numbers: Numbers, edge: str) -> None:
        self._counts = numbers.counter(f"payments_{edge}_calls_total")
        self._times = numbers.histogram(f"payments_{edge}_call_seconds")
        self._labels: dict[type[Any], str] = {}

    async def through(
        self, groups: AsyncIterator[Sequence[Answer]], began: dict[int, tuple[float, str]], asked: str
    ) -> AsyncIterator[Sequence[Answer]]:
        """Pass on groups of answers, and count them. began: when each call began, and its kind, by operation."""
        async with AsyncExitStack() as until_end:
            close = getattr(groups, "aclose", None)
            if close is not None:
                until_end.push_async_callback(close)
            async for group in groups:
                now = perf_counter()
                for answer in group:
                    at, kind = began.pop(answer.operation_id.int, (now, ""))
                    if kind:
                        self._counts.add((kind, asked, self._label_of(type(answer.outcome))))
                        self._times[kind, asked].observe(now - at)
                yield group

    def _label_of(self, outcome: type[Any]) -> str:
        label = self._labels.get(outcome)
        if label is None:
            label = self._labels[outcome] = outcome_label(outcome)
        return label


def _noting(began: dict[int, tuple[float, str]], begin: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Return a begin that notes when a call begins."""

    def begins(call: Any) -> bool:
        if not begin(call):
            return False
        began[call.operation_id.int] = (perf_counter(), call.kind.value)
        return True

    return begins


def _all_now(calls: Sequence[_Call]) -> dict[int, tuple[float, str]]:
    now = perf_counter()
    return {call.operation_id.int: (now, call.kind.value) for call in calls}


class MeteredGateway(PassingGateway):
    """A gateway whose calls are counted."""

    def __init__(self, gateway: Gateway, numbers: Numbers) -> None:
        super().__init__(gateway)
        self._calls = _Calls(numbers, "gateway")

    def perform(self, calls: Sequence[GatewayCall], begin: Begin = at_once) -> AsyncIterator[Sequence[GatewayAnswer]]:
        """Make the calls."""
        began: dict[int, tuple[float, str]] = {}
        return self._calls.through(self._gateway.perform(calls, _noting(began, begin)), began, CALL)

    def look_up(self, calls: Sequence[GatewayCall]) -> AsyncIterator[Sequence[GatewayAnswer]]:
        """Ask what became of the calls."""
        return self._calls.through(self._gateway.look_up(calls), _all_now(calls), LOOK_UP)


class MeteredInventory(PassingInventory):
    """An inventory elsewhere whose calls are counted."""

    def __init__(self, inventory: RemoteInventory, numbers: Numbers) -> None:
        super().__init__(inventory)
        self._calls = _Calls(numbers, "inventory")

    def perform(
        self, calls: Sequence[StockCall], begin: BeginStock = begin_always
    ) -> AsyncIterator[Sequence[InventoryAnswer]]:
        """Make the calls."""
        began: dict[int, tuple[float, str]] = {}
        return self._calls.through(self._inventory.perform(calls, _noting(began, begin)), began, CALL)

    def look_up(self, calls: Sequence[StockCall]) -> AsyncIterator[Sequence[InventoryAnswer]]:
        """Ask what became of the calls."""
        return self._calls.through(self._inventory.look_up(calls), _all_now(calls), LOOK_UP)
