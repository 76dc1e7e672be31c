"""Money of a payment that went back without us, as Stripe's refunds tell it: pure.

A refund counts when it has succeeded. One that is pending may still fail, so whoever asks must wait for it.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from consumers.adapters.gateway.stripe_fields import Thing, part, text, whole
from consumers.adapters.gateway.stripe_outcomes import amount_of
from domain.operation import GatewayCall
from domain.outcome import Approved, GatewayOutcome, NotFound, Pending, ReturnedElsewhere
from domain.pending import AT_OTHERS

_ON_ITS_WAY: Final = frozenset({"pending", "requires_action"})
_RAN_OUT: Final = "expired_uncaptured_charge"


class Returned(NamedTuple):
    """What the refunds of one payment add up to, in ISO minor units.

    newest: the id of the newest that succeeded and that somebody else made; of ours, if all are.
    """

    back_minor: int
    pending_minor: int
    newest: str | None


def may_be_returned(intent: Thing) -> bool:
    """Whether the payment's charge says, or leaves open, that money went back: then its refunds must be read."""
    charge = intent.get("latest_charge")
    return isinstance(charge, str) or bool(part(intent, "latest_charge").get("amount_refunded"))


def own_refund(call: GatewayCall, refunds: Sequence[Thing]) -> Thing | None:
    """Return the refund that the call made."""
    own = str(call.operation_id)
    return next((refund for refund in refunds if part(refund, "metadata").get("operation_id") == own), None)


def is_foreign(refund: Thing) -> bool:
    """Whether somebody else made the refund."""
    return "operation_id" not in part(refund, "metadata")


def read_taken(intent: Thing, taken: GatewayOutcome, refunds: Sequence[Thing]) -> GatewayOutcome:
    """Return the outcome of an authorize or a capture that found the money taken: not that, if it went back since.

    taken: the outcome as the payment alone tells it.
    """
    found = _add_up(intent, refunds)
    nothing_back = found.newest is None and not found.pending_minor
    if not isinstance(taken, Approved) or nothing_back or not any(map(is_foreign, refunds)):
        return taken
    if found.pending_minor:
        return Pending(transaction_id=taken.transaction_id, detail=AT_OTHERS)
    assert found.newest is not None
    return ReturnedElsewhere(found.back_minor, found.newest, taken.transaction_id)


def read_refused(call: GatewayCall, intent: Thing, refunds: Sequence[Thing]) -> GatewayOutcome:
    """Return why a refund of ours does not go through: others gave money back. NotFound: that does not explain it."""
    found = _add_up(intent, refunds)
    if amount_of(intent, "amount_received") - found.back_minor - found.pending_minor >= call.amount_minor:
        return NotFound()
    if found.pending_minor:
        return Pending(transaction_id=call.transaction_id, detail=AT_OTHERS)
    return NotFound() if found.newest is None else ReturnedElsewhere(found.back_minor, found.newest)


def _add_up(intent: Thing, refunds: Sequence[Thing]) -> Returned:
    back = pending = 0
    foreign = own = None
    for refund in refunds:
        status = text(refund, "status")
        if status in _ON_ITS_WAY:
            pending += amount_of(refund, "amount")
        elif status == "succeeded" and not moved_nothing(intent, refund):
            back += amount_of(refund, "amount")
            if is_foreign(refund):
                foreign = foreign or text(refund, "id")
            else:
                own = own or text(refund, "id")
    return Returned(back, pending, foreign or own)


def only_freed(refund: Thing) -> bool:
    """Whether a refund says itself that it only freed what was held. For lists, which do not show its payment.

    Stripe makes one when an authorization is cancelled or runs out, and for the rest that a partial capture leaves.
    """
    unseen = is_foreign(refund) and refund.get("status") == "succeeded"
    return refund.get("reason") == _RAN_OUT or (unseen and refund.get("balance_transaction", "not said") is None)


def moved_nothing(intent: Thing, refund: Thing) -> bool:
    """Whether this only freed what was held: an authorization that ran out, or the rest that a partial capture left.

    What moved money has a line in Stripe's balance, once it is not pending any more. What we asked for moves money.
    """
    if not is_foreign(refund):
        return False
    if refund.get("reason") == _RAN_OUT:
        return True
    rest = whole(intent, "amount") - whole(intent, "amount_received")
    return 0 < rest == whole(refund, "amount") and refund.get("balance_transaction", "not said") is None
