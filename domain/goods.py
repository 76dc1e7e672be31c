"""The steps that plan operations for the goods: reserve, capture the money, sell, release."""

from typing import Final

from domain.case import Case
from domain.decision import NOTHING, Decision, emit, silent
from domain.extending import note_extension, releases_first, unpin
from domain.operating import open_operation
from domain.operation import OperationKind
from domain.order import HoldState, Order, Status
from domain.restocking import restock_all
from domain.rules import Context
from domain.settling import draft_release
from domain.values import replace
from schemas.events import OrderCancelled, PaymentFailed

RELEASED_BY: Final = "release_items"
"""The reaction that settles the release of a hold that has run out."""


def reserve(case: Case) -> Decision:
    """Release the holds of older attempts, and reserve every line for this one.

    An inventory elsewhere takes calls in any order. There the reserve follows the answer of the last release, or the
    order would miss goods that it holds itself: see `extending.reserve_at_last`.
    """
    order = _release(case, case.order.attempt - 1)
    if releases_first(order, case.context):
        return NOTHING if order is case.order else silent(order)
    return silent(open_operation(order, case.context, OperationKind.RESERVE, order.current, case.reaction, 0))


def capture(case: Case) -> Decision:
    """Pin the hold, so that it cannot expire meanwhile, and capture the money."""
    order = _pin(case.order)
    attempt = order.current
    return silent(
        open_operation(order, case.context, OperationKind.CAPTURE, attempt, case.reaction, attempt.held_minor)
    )


def capture_extended(case: Case) -> Decision:
    """Capture the money: the inventory has said until when it holds the goods."""
    noted = note_extension(case).order
    assert noted is not None
    return capture(replace(case, order=noted))


def confirm(case: Case) -> Decision:
    """Pin the hold, and confirm it: the goods are sold."""
    order = _pin(case.order)
    return silent(open_operation(order, case.context, OperationKind.CONFIRM, order.current, case.reaction, 0))


def release_holds(case: Case) -> Decision:
    """Release the holds of the failed attempt and of older ones."""
    after = _release(case, case.event_as(PaymentFailed).attempt)
    return NOTHING if after is case.order else silent(after)


def return_goods(case: Case) -> Decision:
    """Release the holds of a cancelled order. What was sold goes back into stock."""
    after = _release(case, case.event_as(OrderCancelled).attempt)
    after = restock_all(after, case.context, case.reaction)
    return NOTHING if after is case.order else silent(after)


def expire_hold(order: Order, attempt: int, context: Context) -> Decision:
    """Expire a hold that is not pinned; the goods are free again.

    An inventory elsewhere lets it lapse by its own clock. It is asked to release it, so that nothing stays held there.
    """
    hold = order.hold_of(attempt)
    if hold is None or hold.state is not HoldState.HELD or hold.pinned or hold.expires_at > context.at:
        return NOTHING
    order = order.with_hold(replace(hold, state=HoldState.EXPIRED))
    if context.rules.inventory_elsewhere and order.under_way(OperationKind.RELEASE, attempt) is None:
        of = order.attempts[attempt - 1]
        order = open_operation(order, context, OperationKind.RELEASE, of, RELEASED_BY, 0)
    return emit(order, context, draft_release(attempt, hold.reservation_id))


def _release(case: Case, up_to: int) -> Order:
    """Open a release for each hold of the attempts up to `up_to`. A sold hold, or that of a paid order, stays."""
    order = case.order
    for hold in order.holds:
        # A new release beside one that is under way would overwrite its state.
        releasing = order.under_way(OperationKind.RELEASE, hold.attempt) is not None
        if hold.attempt > up_to or hold.state is not HoldState.HELD or releasing:
            continue
        if hold.attempt == order.attempt and order.effective_status not in _WANTS_NO_GOODS:
            continue
        attempt = order.attempts[hold.attempt - 1]
        if case.context.rules.inventory_elsewhere:
            # The answer may never come; then it runs out, here as there.
            order = unpin(order, hold.attempt)
        order = open_operation(order, case.context, OperationKind.RELEASE, attempt, case.reaction, 0)
    return order


_WANTS_NO_GOODS: Final = frozenset({Status.PAYMENT_FAILED, Status.CANCELLED})


def _pin(order: Order) -> Order:
    hold = order.hold_of(order.attempt)
    assert hold is not None
    return order.with_hold(replace(hold, pinned=True))
