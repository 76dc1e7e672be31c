"""Planning what happens to the goods: reserve, sell, release; and to the money when there are none."""

from domain.decision import NOTHING, Decision, emit, silent
from domain.operating import open_operation
from domain.operation import OperationKind
from domain.order import HoldState, Order, Status
from domain.payment import give_back, reservation_failed
from domain.rules import Context
from domain.settling import release_draft
from domain.values import replace


def reserve(order: Order, context: Context, reaction: str) -> Decision:
    """Give back the holds of older attempts, then reserve every line for this one."""
    order = _release(order, order.attempt - 1, context, reaction)
    return silent(open_operation(order, context, OperationKind.RESERVE, order.current, reaction, 0))


def capture(order: Order, context: Context, reaction: str) -> Decision:
    """Pin the hold, so that it outlives any delay, and collect the money."""
    order = _pin(order)
    attempt = order.current
    return silent(open_operation(order, context, OperationKind.CAPTURE, attempt, reaction, attempt.held_minor))


def confirm(order: Order, context: Context, reaction: str) -> Decision:
    """Pin the hold and turn it into a sale."""
    return silent(open_operation(_pin(order), context, OperationKind.CONFIRM, order.current, reaction, 0))


def lapse(order: Order, context: Context) -> Decision:
    """Give up on goods whose hold ran out before the money was collected."""
    return reservation_failed(order, (), context)


def return_money(order: Order, context: Context, reaction: str) -> Decision:
    """Void what is authorized, refund what is captured."""
    return give_back(order, order.current, context, reaction)


def release_holds(order: Order, attempt: int, context: Context, reaction: str) -> Decision:
    """Release what the failed attempt and older ones hold."""
    after = _release(order, attempt, context, reaction)
    return NOTHING if after is order else silent(after)


def expire_hold(order: Order, attempt: int, context: Context) -> Decision:
    """Let a hold that nobody pinned run out; the goods are free again."""
    hold = order.hold_of(attempt)
    if hold is None or hold.state is not HoldState.HELD or hold.pinned or hold.expires_at > context.at:
        return NOTHING
    order = order.with_hold(replace(hold, state=HoldState.EXPIRED))
    return emit(order, context, release_draft(attempt, hold.reservation_id))


def _release(order: Order, up_to: int, context: Context, reaction: str) -> Order:
    """Open a release for every hold of these attempts. A sold hold, and the one of a paid order, is never released."""
    for hold in order.holds:
        if hold.attempt > up_to or hold.state is not HoldState.HELD:
            continue
        if hold.attempt == order.attempt and order.effective_status is not Status.PAYMENT_FAILED:
            continue
        if _releasing(order, hold.attempt):
            continue
        attempt = order.attempts[hold.attempt - 1]
        order = open_operation(order, context, OperationKind.RELEASE, attempt, reaction, 0)
    return order


def _releasing(order: Order, attempt: int) -> bool:
    """Whether a release of this hold is under way: opening it anew would forget what is known of it."""
    return any(o.unfinished and o.kind is OperationKind.RELEASE and o.attempt == attempt for o in order.operations)


def _pin(order: Order) -> Order:
    hold = order.hold_of(order.attempt)
    assert hold is not None
    return order.with_hold(replace(hold, pinned=True))
