"""An order whose customer changes their mind, with its goods in an inventory elsewhere."""

from collections import Counter
from dataclasses import dataclass, field
from uuid import UUID

from domain.failure_codes import FailureCode
from domain.operation import Operation, OperationKind
from domain.order import reservation_id
from domain.outcome import Approved, Declined, NotFound, Outcome
from domain.stock_calls import StockCall, stock_call
from tests.domain.driver import LINES
from tests.domain.far_shelf import FarShelf
from tests.domain.second_thoughts import Life
from tests.domain.test_machine_elsewhere import RunElsewhere

K = OperationKind


@dataclass
class FarStock(FarShelf):
    """Takes sold goods back: each restock once by its id, never more than were sold."""

    restocks: dict[UUID, StockCall] = field(default_factory=dict)
    back: Counter[str] = field(default_factory=Counter)

    def look_up(self, call: StockCall) -> Outcome:
        if call.kind is not K.RESTOCK:
            return super().look_up(call)
        assert call.restock_id is not None
        return Approved() if call.restock_id in self.restocks else NotFound()

    def _do(self, call: StockCall) -> Outcome:
        if call.kind is not K.RESTOCK:
            return super()._do(call)
        assert call.restock_id is not None
        known = self.restocks.get(call.restock_id)
        if known is not None:
            assert known.lines == call.lines
            return Approved()
        hold = self.holds.get(call.reservation_id)
        if hold is None or hold.state != "confirmed":
            return Declined(FailureCode.GATEWAY_REFUSED, "not_confirmed")
        wanted = Counter({line.sku: line.quantity for line in call.lines})
        assert wanted, "a restock of nothing"
        assert all(self.back[sku] + n <= LINES[sku] for sku, n in wanted.items()), "more back than was sold"
        self.back += wanted
        self.restocks[call.restock_id] = call
        self._move(call.lines, 1)
        return Approved()


@dataclass
class LifeElsewhere(Life, RunElsewhere):
    """One order with second thoughts, and its goods elsewhere."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.far: FarStock = FarStock(self.at, dict(self.shelf.available))

    def _perform_local(self) -> None:
        """Perform nothing: all of it is elsewhere."""

    def _is_done(self, operation: Operation) -> bool:
        if operation.kind is K.RESTOCK:
            return stock_call(operation).restock_id in self.far.restocks
        if operation.kind in {K.RESERVE, K.EXTEND, K.CONFIRM, K.RELEASE}:
            return RunElsewhere._is_done(self, operation)
        return super()._is_done(operation)

    def hold_state(self, attempt: int) -> str:
        """Return what the other side has of an attempt's hold."""
        assert self.order is not None
        hold = self.far.holds.get(reservation_id(self.order.order_id, attempt))
        return hold.state if hold else ""
