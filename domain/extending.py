"""Goods in an inventory elsewhere: held for longer before money is captured, and for as long as that takes.

Such a hold lapses by the other side's clock, whatever we believe. So no capture starts before the other side has
confirmed an extension, and the sweep has it extended again while the capture or the confirmation is under way.
"""

from datetime import datetime

from domain.case import Case
from domain.decision import Decision, silent
from domain.operating import open_operation
from domain.operation import Operation, OperationKind, OperationState
from domain.order import Hold, HoldState, Order, Status, reservation_id
from domain.outcome import Reserved
from domain.rules import Context, span
from domain.values import replace

REACTION = "capture_payment"
"""The reaction that settles extensions."""
RESERVED_BY = "reserve_items"
"""The reaction that settles a reserve."""


def extend(case: Case) -> Decision:
    """Pin the hold, and ask for an extension: the capture follows its answer."""
    return silent(open_extension(case.order, case.context))


def open_extension(order: Order, context: Context) -> Order:
    """Return the order with an extension of its pinned hold under way. Each has a number, and so a key, of its own."""
    hold = order.hold_of(order.attempt)
    assert hold is not None
    order = order.with_hold(replace(hold, pinned=True, extensions=hold.extensions + 1))
    number = hold.extensions + 1
    return open_operation(order, context, OperationKind.EXTEND, order.current, REACTION, 0, number)


def keep_extended(order: Order, context: Context) -> Order | None:
    """Ask for an extension of a hold that would lapse while its capture or confirmation is under way.

    None: nothing is to be done, or it is asked for already.
    """
    hold = order.hold_of(order.attempt)
    selling = any(order.under_way(kind, order.attempt) for kind in (OperationKind.CAPTURE, OperationKind.CONFIRM))
    asked = order.under_way(OperationKind.EXTEND, order.attempt) is not None
    if hold is None or not selling or asked or not hold.needed:
        return None
    rests = hold.expires_at - context.at
    return open_extension(order, context) if rests < span(context.rules.reservation_ttl_s / 2) else None


def note_extension(case: Case) -> Decision:
    """Note until when the goods are held."""
    return silent(_with_time(case.order, case.call.attempt, case.outcome_as(Reserved).expires_at))


def extend_further(case: Case) -> Decision:
    """Note until when the goods are held, and ask for longer: no capture begins with so little time."""
    order = _with_time(case.order, case.call.attempt, case.outcome_as(Reserved).expires_at)
    return silent(open_extension(order, case.context))


def note_lapse(case: Case) -> Decision:
    """Note that the goods are not held any more: a capture that is under way for them will be given back."""
    return silent(lapse(case.order, case.call.attempt, case.context.at))


def lapse(order: Order, attempt: int, at: datetime) -> Order:
    """Return the order whose hold has run out. The sweep, or the release that follows, ends it.

    A capture that is under way for it may have begun, and is only looked up from now on: if it has not, it never shall.
    """
    hold = order.hold_of(attempt)
    if hold is None or not hold.needed:
        return order
    order = order.with_hold(replace(hold, pinned=False, expires_at=min(hold.expires_at, at)))
    capture = order.under_way(OperationKind.CAPTURE, attempt)
    if capture is None:
        return order
    doubted = replace(capture, replayed=True, unknown_since=capture.unknown_since or at)
    is_open = capture.state is OperationState.OPEN
    return order.with_operation(replace(doubted, state=OperationState.UNKNOWN) if is_open else doubted)


def unpin(order: Order, attempt: int) -> Order:
    """Return the order whose hold may run out, for nothing needs it any more."""
    hold = order.hold_of(attempt)
    return order.with_hold(replace(hold, pinned=False)) if hold is not None and hold.needed else order


def extend_anew(case: Case) -> Decision:
    """Ask for longer than the extension whose answer did not come, if the goods are still needed; close that one.

    The new one counts the tries and the time of the old one as its own.
    """
    order, context = case.order, case.context
    old = next(o for o in order.operations if o.operation_id == case.call.operation_id)
    order = order.with_operation(_ended(old, context.at))
    if not is_needed(order, old):
        return silent(order)
    order = open_extension(order, context)
    opened = order.under_way(OperationKind.EXTEND, old.attempt)
    assert opened is not None
    return silent(order.with_operation(replace(opened, tries=old.tries, unknown_since=old.unknown_since)))


def is_needed(order: Order, extension: Operation) -> bool:
    """Whether an extension still matters: its hold is pinned for the attempt that counts, and no cancel is noted."""
    hold = order.hold_of(extension.attempt)
    return hold is not None and hold.needed and extension.attempt == order.attempt and order.cancel is None


def _ended(operation: Operation, at: datetime) -> Operation:
    return replace(operation, state=OperationState.NOT_EXECUTED, settled_at=at, due_at=None)


def leave(order: Order, operation: Operation, at: datetime) -> Order:
    """Close an operation whose answer does not matter any more."""
    return order.with_operation(_ended(operation, at))


def record_hold(order: Order, attempt: int, expires_at: datetime) -> Order:
    """Return the order with a hold that was made there, though nothing here wants it."""
    hold = Hold(reservation_id(order.order_id, attempt), attempt, HoldState.HELD, expires_at)
    return order if order.hold_of(attempt) is not None else order.with_hold(hold)


def _with_time(order: Order, attempt: int, expires_at: datetime) -> Order:
    hold = order.hold_of(attempt)
    if hold is None or hold.state is not HoldState.HELD or hold.expires_at >= expires_at:
        return order
    return order.with_hold(replace(hold, expires_at=expires_at))


def releases_first(order: Order, context: Context) -> bool:
    """Whether goods of an older attempt are still being released or put back in an inventory elsewhere.

    In our own inventory that is done in the same transaction, before the reserve.
    """
    return context.rules.inventory_elsewhere and any(
        o.unfinished and o.kind in _GIVES_BACK and o.attempt < order.attempt for o in order.operations
    )


_GIVES_BACK = frozenset({OperationKind.RELEASE, OperationKind.RESTOCK})


def reserve_at_last(order: Order, context: Context) -> Order:
    """Return the order with the reserve that waited for the release of older goods, if it did."""
    waits = order.effective_status is Status.PAYMENT_AUTHORIZED and order.cancel is None
    reserved = order.busy() or order.hold_of(order.attempt) is not None
    if not context.rules.inventory_elsewhere or not waits or reserved or releases_first(order, context):
        return order
    return open_operation(order, context, OperationKind.RESERVE, order.current, RESERVED_BY, 0)
