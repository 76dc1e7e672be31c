"""The stock in another system, as it truly is: holds that lapse by its clock, keys that are remembered."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from domain.lines import OrderLine
from domain.operation import OperationKind
from domain.outcome import AlreadySold, Approved, Lapsed, Missing, NotFound, Outcome, Reserved, Short, Unknown
from domain.stock_calls import StockCall

K: Final = OperationKind


@dataclass
class FarHold:
    """state: held, confirmed, released or lapsed."""

    state: str
    until: datetime
    lines: tuple[OrderLine, ...]


@dataclass
class FarShelf:
    """Executes each key once, whatever arrives how often and how late. It follows the contract's words.

    forgetful: whether we may ask with other parameters under a key, as after a restore; then it refuses that.
    """

    at: datetime
    available: dict[str, int]
    holds: dict[UUID, FarHold] = field(default_factory=dict)
    rivals: int = 0
    sold: int = 0
    forgetful: bool = False
    _stored: dict[str, tuple[StockCall, Outcome]] = field(default_factory=dict)

    def rival(self, lines: tuple[OrderLine, ...]) -> None:
        """Sell the same goods to somebody else, if they are there."""
        self.lapse()
        if all(self.available[line.sku] >= line.quantity for line in lines):
            self._move(lines, -1)
            self.rivals += 1

    def lapse(self) -> None:
        """Free what nobody extended in time."""
        for hold in self.holds.values():
            if hold.state == "held" and hold.until <= self.at:
                hold.state = "lapsed"
                self._move(hold.lines, 1)

    def execute(self, call: StockCall) -> Outcome:
        self.lapse()
        known = self._stored.get(call.idempotency_key)
        if known is not None:
            if known[0] != call and self.forgetful:
                return Unknown("HTTP 422 key_reused", replayed=True)
            assert known[0] == call, "a key always has the same parameters"
            return known[1]
        outcome = self._do(call)
        self._stored[call.idempotency_key] = call, outcome
        return outcome

    def look_up(self, call: StockCall) -> Outcome:
        self.lapse()
        hold = self.holds.get(call.reservation_id)
        if hold is None:
            return NotFound()
        over = hold.state in {"released", "lapsed"}
        match call.kind:
            case K.RESERVE:
                return Lapsed() if over else Reserved(hold.until)
            case K.EXTEND if over:
                return Lapsed()
            case K.EXTEND:
                assert call.until is not None
                if hold.state == "confirmed":
                    return Reserved(call.until)
                return Reserved(hold.until) if hold.until >= call.until else NotFound()
            case K.CONFIRM if hold.state == "held":
                return NotFound()
            case K.CONFIRM:
                return Lapsed() if over else Approved()
            case _:
                return Approved() if over else NotFound() if hold.state == "held" else AlreadySold()

    def _do(self, call: StockCall) -> Outcome:
        hold = self.holds.get(call.reservation_id)
        if call.kind is K.RESERVE:
            return self._reserve(call, hold)
        if call.kind is K.RELEASE:
            return self._release(call, hold)
        if hold is None or hold.state in {"released", "lapsed"}:
            return Lapsed()
        if call.kind is K.CONFIRM:
            self.sold += hold.state == "held"
            hold.state = "confirmed"
            return Approved()
        assert call.kind is K.EXTEND
        assert call.until is not None
        if hold.state == "held":
            hold.until = max(hold.until, call.until)
            return Reserved(hold.until)
        return Reserved(call.until)

    def _reserve(self, call: StockCall, hold: FarHold | None) -> Outcome:
        assert call.until is not None
        if hold is not None:
            return Lapsed() if hold.state in {"released", "lapsed"} else Reserved(hold.until)
        if call.until <= self.at:
            return Lapsed()
        short = [line for line in call.lines if self.available[line.sku] < line.quantity]
        if short:
            return Short(tuple(Missing(i.sku, i.quantity, self.available[i.sku]) for i in short))
        self._move(call.lines, -1)
        self.holds[call.reservation_id] = FarHold("held", call.until, call.lines)
        return Reserved(call.until)

    def _release(self, call: StockCall, hold: FarHold | None) -> Outcome:
        if hold is None:
            self.holds[call.reservation_id] = FarHold("released", self.at, ())
        elif hold.state == "held":
            hold.state = "released"
            self._move(hold.lines, 1)
        elif hold.state == "confirmed":
            return AlreadySold()
        return Approved()

    def _move(self, lines: tuple[OrderLine, ...], sign: int) -> None:
        for line in lines:
            self.available[line.sku] += sign * line.quantity
