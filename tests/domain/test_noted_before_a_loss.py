"""What a restore makes of two notes that say nothing: a cancel that waited, and that the preparation had begun."""

from datetime import datetime

import pytest

from consumers.runtime.retelling import Story, Trigger, begin_consumed
from domain.operation import OperationKind
from domain.order import Order, Status
from domain.requests import Request, RequestKind, RequestState
from domain.values import replace
from schemas import events as e
from tests.domain.builders import CONTENT, captured, later, operation, order
from tests.domain.lost import LAWS
from tests.schemas import builders as events

CANCEL = events.order_cancel_requested(occurred_at=later(20))
PAID = order(Status.PAID_AND_CONFIRMED, captured(), paid_at=later(5))


def read(event: e.Event, *, consumed: bool = True) -> Trigger:
    return Trigger(event, CONTENT if isinstance(event, e.OrderConfirmed) else b"", consumed)


def prepared(at: datetime) -> e.PreparationStarted:
    return events.preparation_started(occurred_at=at)


def begun(before: Order | None, *triggers: Trigger) -> tuple[Order, set[str]]:
    """Return the order, and the types of the messages that had their effect."""
    story = begin_consumed(Story(before), triggers, LAWS)
    assert story.order is not None
    return story.order, {one.event.TYPE for one in triggers if one.event_id in story.read}


@pytest.mark.parametrize("consumed", [True, False], ids=["read", "not read yet"])
def test_a_cancel_that_came_after_the_preparation_had_begun_is_not_carried_out(*, consumed: bool) -> None:
    after, noted = begun(PAID, read(CANCEL), read(prepared(later(10)), consumed=consumed))
    assert after.preparation_started_at == later(10)
    assert (after.operations, after.cancel) == ((), None), "no money goes back"
    assert noted == {"PreparationStarted"}, "the cancel is read again, and refused then"


def test_a_preparation_that_came_before_its_order_is_noted_on_it() -> None:
    after, noted = begun(None, read(prepared(later(-5))), read(events.order_confirmed()))
    assert after.preparation_started_at == later(-5)
    assert noted == {"OrderConfirmed", "PreparationStarted"}


def test_a_cancel_that_came_before_the_preparation_is_begun_and_the_preparation_is_told_again() -> None:
    after, noted = begun(PAID, read(CANCEL), read(prepared(later(30))))
    assert [(o.kind.value, o.unfinished) for o in after.operations] == [("refund", True)]
    assert noted == {"OrderCancelRequested"}, "an operator hears of the preparation when it is read again"


def test_a_cancel_that_waited_for_a_refund_stays_noted_from_when_it_came() -> None:
    under_way = operation(OperationKind.REFUND, reaction="refund_payment", amount_minor=1_000)
    after, noted = begun(replace(PAID, operations=(under_way,)), read(CANCEL), read(prepared(later(30))))
    assert after.cancel is not None
    assert after.cancel.noted_at == later(20), "in time, whenever the database comes back"
    assert after.operations == (under_way,)
    assert noted == {"OrderCancelRequested"}


def test_a_preparation_behind_a_noted_cancel_is_told_again() -> None:
    noted_cancel = Request("C-1", RequestKind.CANCEL, 1, b"", later(8), "", "", state=RequestState.WAITING)
    waiting = order(Status.PAYMENT_AUTHORIZED, captured(), requests=(noted_cancel,))
    assert begun(waiting, read(prepared(later(10)))) == (waiting, set())
