"""Goods of an order that nobody wants any more: no call about them is left behind, and their return has one name."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from domain.case import Case
from domain.decision import Decision
from domain.failure_codes import FailureCode
from domain.operating import count_answer, give_up_reason, postpone
from domain.operation import INVENTORY_KINDS, OperationKind, OperationState
from domain.order import Status
from domain.outcome import Declined, Outcome, Reserved, Unknown
from domain.payment import mark_reserved
from domain.requests import RequestState
from domain.restocking import request_of
from domain.ruling import Word
from domain.values import replace
from schemas import events as e
from tests.domain.asked_refunds import SETTLES
from tests.domain.builders import operation
from tests.domain.trouble import Trouble

EXCEEDS: Final = Declined(FailureCode.GATEWAY_REFUSED, "exceeds_sold")


@dataclass
class Far(Trouble):
    """The same, with an inventory elsewhere: its answers come when the test says."""

    def __post_init__(self) -> None:
        self.rules = {"inventory_elsewhere": True}

    def take(self, decision: Decision) -> None:
        self.events += decision.events
        if decision.order is not None:
            self.order = decision.order
            self.history |= {o.operation_id.int: o for o in decision.order.operations if o.kind not in INVENTORY_KINDS}
            self.check()
            self.order = replace(self.order, operations=tuple(o for o in self.order.operations if o.unfinished))

    def restock(self, outcome: Outcome) -> None:
        """Have the inventory answer the restock under way."""
        (call,) = [o for o in self.order.operations if o.kind is OperationKind.RESTOCK]
        self.take(SETTLES[call.reaction](self.order, call, outcome, self.context()))


def test_a_restock_that_was_refused_is_not_left_behind_by_a_cancel_that_ends_meanwhile() -> None:
    play = Far()
    play.ask("R-1", 1_000, lines=({"sku": play.order.lines[0].sku, "quantity": 1},))
    play.approve("R-1")
    play.cancel()
    play.restock(EXCEEDS)
    assert play.order.review_reason == "restock_not_executed"

    play.approve_cancel()

    (call,) = play.order.operations
    assert (play.order.status, call.state, call.due_at) == (Status.CANCELLED, OperationState.OPEN, play.context().at)
    play.restock(EXCEEDS)
    assert (play.order.status, play.order.reviewed) == (Status.MANUAL_REVIEW, Status.CANCELLED)
    assert play.rule(Word.EXECUTED) is None
    assert (play.order.status, play.states()) == (Status.CANCELLED, {"R-1": "done", "C-1": "done"})
    assert play.told(e.ItemsRestocked, "request_id") == ["R-1"]


def test_no_end_of_a_review_leaves_a_call_about_goods_without_a_time() -> None:
    play = Far()
    waited = {"tries": 20, "unknown_since": play.context().at - timedelta(days=2)}
    given_up = replace(operation(OperationKind.RELEASE, 1, state=OperationState.UNKNOWN, **waited), due_at=None)
    order = play.order.with_operation(given_up)
    under_review = replace(
        order, status=Status.MANUAL_REVIEW, reviewed=Status.PAYMENT_AUTHORIZED, review_reason="release_unknown"
    )
    case = Case(under_review, play.context(), "reserve_items", None, None, Reserved(play.context().at))

    after = mark_reserved(case).order

    assert after is not None
    (release,) = [o for o in after.operations if o.kind is OperationKind.RELEASE]
    assert (release.due_at, release.tries) == (play.context().at, 0)
    unknown = postpone(count_answer(release, Unknown("time-out")), Unknown("time-out"), play.context())
    assert give_up_reason(unknown, play.context()) is None, "it has as much time as a new one"


def test_what_a_cancel_brings_back_has_the_name_of_the_cancel_that_is_carried_out() -> None:
    play = Trouble()
    play.cancel("C-1")
    play.cancel("C-2")
    restock = operation(OperationKind.RESTOCK)
    assert [r.state for r in play.order.requests] == [RequestState.TAKEN, RequestState.WAITING]
    assert request_of(play.order, restock) == "C-1"

    play.approve_cancel()

    assert play.states() == {"C-1": "done", "C-2": "ALREADY_CANCELLED"}
    assert request_of(play.order, restock) == "C-1"
