"""A paid order whose refunds fail, beside a cancel and refunds of somebody else."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from consumers.gateway_told import ROWS
from consumers.order_cancel_requested import cancel_order
from domain.failure_codes import FailureCode
from domain.hearing import ForeignRefund, Hearing, facts_of, hear, with_closed
from domain.ids import EventId
from domain.news import RefundFailure, SeenRefund, TransactionNews
from domain.operation import Operation, OperationKind
from domain.outcome import Approved, Declined, Outcome
from domain.values import replace
from tests.domain.asked_refunds import Play
from tests.schemas import builders

REFUSED: Final = Declined(FailureCode.GATEWAY_REFUSED)
DISPUTED: Final = Declined(FailureCode.GATEWAY_REFUSED, "charge_disputed")
OUTSIDE: Final = "outside:transfer 7"


@dataclass
class Trouble(Play):
    """A paid order with refunds on request, and a cancel that gives back the rest."""

    def cancel(self, request_id: str = "C-1") -> None:
        event = builders.order_cancel_requested(request_id=request_id, event_id=builders.event_id(request_id))
        because = replace(self.context(), causation_id=EventId(event.event_id))
        self.take(cancel_order.plan(self.order, event, because))

    def of_cancel(self) -> Operation:
        """Return the refund of the cancel that is under way."""
        refunds = [o for o in self.order.operations if o.kind is OperationKind.REFUND and o.unfinished]
        return next(o for o in refunds if o.for_request is None)

    def answer_cancel(self, outcome: Outcome) -> None:
        self.settle(self.of_cancel(), outcome)

    def approve_cancel(self) -> None:
        call = self.of_cancel()
        self.answer_cancel(Approved(call.transaction_id, f"re_cancel_{call.try_number}", call.amount_minor))

    def fail_later(self, call: Operation, news: TransactionNews | None = None) -> bool:
        """Have a refund fail after it had succeeded; return False if that waits. news: of all its transaction.

        call: with the refund's id, if the books do not have it of this call.
        """
        done = self.history[call.operation_id.int]
        fact = RefundFailure(
            self.order.order_id,
            str(done.operation_id),
            done.reference or call.reference or "",
            done.amount_minor,
            "lost",
            news,
        )
        order = with_closed(self.order, list(self.history.values()))
        decision = hear(ROWS, Hearing(order, fact, self.context()))
        if decision is not None:
            self.take(decision)
        return decision is not None

    def listen(self, news: TransactionNews, asked_at: datetime | None = None) -> bool:
        """Hear all that the gateway says of the transaction, as the sweep does; return False if something waits."""
        known = with_closed(self.order, list(self.history.values()))
        waits = False
        for fact in facts_of(known, news, asked_at, warned=False):
            order = with_closed(self.order, list(self.history.values()))
            decision = hear(ROWS, Hearing(order, fact, self.context(), order.current, (), asked_at))
            waits |= decision is None
            if decision is not None:
                self.take(decision)
        return not waits

    def hear(self, refund: SeenRefund, news: TransactionNews) -> bool:
        """Have the gateway tell of a refund of somebody else; return False if that waits."""
        order = with_closed(self.order, list(self.history.values()))
        decision = hear(ROWS, Hearing(order, ForeignRefund(refund, news), self.context(), order.current))
        if decision is not None:
            self.take(decision)
        return decision is not None
