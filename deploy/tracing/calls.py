"""The span of each call of an operation: at the gateway, and at an inventory elsewhere."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final, TypeVar

from deploy.metrics.labels import outcome_label
from deploy.tracing import conventions as c
from deploy.tracing.telling import Ids, Kind, Recorder, Told
from deploy.wrapping import PassingGateway, PassingInventory
from domain.operation import GatewayCall
from domain.outcome import NotExecuted, Outcome, Unknown
from domain.ports.gateway import Begin, Gateway, GatewayAnswer, at_once
from domain.ports.inventory import BeginStock, InventoryAnswer, RemoteInventory, begin_always
from domain.stock_calls import StockCall
from domain.tracing import is_sampled, read_trace

Answer = TypeVar("Answer", GatewayAnswer, InventoryAnswer)
Call = TypeVar("Call", GatewayCall, StockCall)
Begun = dict[int, tuple[int, Any]]
"""When a call began, and the call, by the number of the operation's id. Only calls that are recorded are in it."""
NO_ANSWER: Final = "no_answer"


class CallTracer:
    """Tells the calls of one edge. edge: gateway or inventory. peer: who answers."""

    def __init__(self, recorder: Recorder, ids: Ids, clock_ns: Callable[[], int], edge: str, peer: str) -> None:
        self._recorder = recorder
        self._ids = ids
        self._clock_ns = clock_ns
        self._edge = edge
        self._peer = peer

    def noting(self, begun: Begun, begin: Callable[[Call], bool]) -> Callable[[Call], bool]:
        """Return a begin that notes when a recorded call begins."""

        def begins(call: Call) -> bool:
            if not begin(call):
                return False
            if is_sampled(call.trace):
                begun[call.operation_id.int] = (self._clock_ns(), call)
            return True

        return begins

    def all_now(self, calls: Sequence[Call]) -> Begun:
        """Note that these calls begin."""
        now = self._clock_ns()
        return {call.operation_id.int: (now, call) for call in calls if is_sampled(call.trace)}

    async def through(
        self, groups: AsyncIterator[Sequence[Answer]], begun: Begun, verb: str = ""
    ) -> AsyncIterator[Sequence[Answer]]:
        """Pass on groups of answers, and tell the calls. verb: what is done about an operation, if not the call."""
        try:
            async with AsyncExitStack() as until_end:
                close = getattr(groups, "aclose", None)
                if close is not None:
                    until_end.push_async_callback(close)
                async for group in groups:
                    for answer in group if begun else ():
                        found = begun.pop(answer.operation_id.int, None)
                        if found is not None:
                            self._tell(*found, verb, answer.outcome)
                    yield group
        finally:
            for at, call in begun.values():
                self._tell(at, call, verb, None)

    def _tell(self, began_ns: int, call: Any, verb: str, outcome: Outcome | None) -> None:
        parent = read_trace(call.trace)
        if parent is None:
            return
        said = NO_ANSWER if outcome is None else outcome_label(type(outcome))
        attributes: dict[str, str | int] = {
            c.SERVICE_PEER_NAME: self._peer,
            c.ORDER_ID: call.order_id,
            c.OPERATION_ID: str(call.operation_id),
            c.OPERATION_KIND: call.kind.value,
            c.OUTCOME: said,
        }
        failed = outcome is None or isinstance(outcome, Unknown | NotExecuted)
        self._recorder.record(
            Told(
                f"{self._edge} {verb}{call.kind.value}",
                Kind.CLIENT,
                self._ids.child_of(parent),
                parent,
                began_ns,
                self._clock_ns(),
                attributes,
                error=said if failed else None,
            )
        )


LOOK_UP: Final = "look_up "


class TracedGateway(PassingGateway):
    """A gateway whose calls are told."""

    def __init__(self, gateway: Gateway, calls: CallTracer) -> None:
        super().__init__(gateway)
        self._calls = calls

    def perform(self, calls: Sequence[GatewayCall], begin: Begin = at_once) -> AsyncIterator[Sequence[GatewayAnswer]]:
        """Make the calls."""
        if not any(is_sampled(call.trace) for call in calls):
            return self._gateway.perform(calls, begin)
        begun: Begun = {}
        return self._calls.through(self._gateway.perform(calls, self._calls.noting(begun, begin)), begun)

    def look_up(self, calls: Sequence[GatewayCall]) -> AsyncIterator[Sequence[GatewayAnswer]]:
        """Ask what became of the calls."""
        begun = self._calls.all_now(calls)
        groups = self._gateway.look_up(calls)
        return self._calls.through(groups, begun, LOOK_UP) if begun else groups


class TracedInventory(PassingInventory):
    """An inventory elsewhere whose calls are told."""

    def __init__(self, inventory: RemoteInventory, calls: CallTracer) -> None:
        super().__init__(inventory)
        self._calls = calls

    def perform(
        self, calls: Sequence[StockCall], begin: BeginStock = begin_always
    ) -> AsyncIterator[Sequence[InventoryAnswer]]:
        """Make the calls."""
        if not any(is_sampled(call.trace) for call in calls):
            return self._inventory.perform(calls, begin)
        begun: Begun = {}
        return self._calls.through(self._inventory.perform(calls, self._calls.noting(begun, begin)), begun)

    def look_up(self, calls: Sequence[StockCall]) -> AsyncIterator[Sequence[InventoryAnswer]]:
        """Ask what became of the calls."""
        begun = self._calls.all_now(calls)
        groups = self._inventory.look_up(calls)
        return self._calls.through(groups, begun, LOOK_UP) if begun else groups
