"""Decides on an order under review by an operator's ruling: the call in question was executed, or it was not.

The ruling is settled as the answer that never came. Two things differ, both by rows of the table of outcomes: an old
approval is voided, and a capture without goods is refunded. If money must still go back, "not executed" sends the call
again. An order that stood still has no such call: "executed" goes on with it, "not executed" gives the money back.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from domain.approval import may_rule
from domain.carrying_on import carry_on, end_needless_review
from domain.case import Case
from domain.decision import Decision, silent
from domain.failure_codes import FailureCode
from domain.next_tries import give_next_number, owed, refused_ones, renumber
from domain.operating import key_lives, open_operation
from domain.operation import (
    BESIDE_OTHERS,
    REQUEST_FORMAT,
    Operation,
    OperationKind,
    OperationState,
)
from domain.order import Order, Status
from domain.outcome import Approved, Declined, Lapsed, Missing, Outcome, Reserved, Short
from domain.paid_review import request_of
from domain.reaction import Settle
from domain.requests import RequestState
from domain.rules import Context
from domain.ruling import Fits, No, Ruling, Word
from domain.ruling_proofs import find_made
from domain.ruling_references import check_moved, check_refund, check_transaction
from domain.standing_still import cancel, carry_out_cancel, go_on
from domain.values import replace
from domain.ways_out import OUTSIDE

_SENT_AGAIN: Final = frozenset({OperationKind.VOID, OperationKind.REFUND, OperationKind.RELEASE, OperationKind.RESTOCK})
_NOT_PAID: Final[dict[str | None, str]] = {
    "captured_in_part": "only a part of the order is paid",
    "currency_differs": "the order is not paid in its currency",
}


def resolve(
    order: Order,
    history: Sequence[Operation],
    ruling: Ruling,
    settles: Mapping[str, Settle],
    fits: Fits,
    context: Context,
) -> Decision | No:
    """Decide on an order under review by an operator's ruling.

    history: all operations of the order, oldest first. settles: by the reactions' names. Operations that are opened
    here are due at once: the sweep makes the calls.
    """
    context = replace(context, rules=replace(context.rules, lease_s=0))
    decision = _decide(order, history, ruling, settles, fits, context)
    return decision if isinstance(decision, No) else renumber(decision, order, history)


def _decide(
    order: Order,
    history: Sequence[Operation],
    ruling: Ruling,
    settles: Mapping[str, Settle],
    fits: Fits,
    context: Context,
) -> Decision | No:
    if order.status is not Status.MANUAL_REVIEW:
        return No(f"order {order.order_id} is {order.status}, not in manual review")
    review = _Review(order, history, ruling, settles, fits, context)
    # Refunds that the gateway has accepted, and calls about goods, may be under way beside the one in question.
    waiting = next((o for o in order.operations if o.unfinished and o.due_at is None), None)
    refused = None if waiting is not None or order.busy() else review.find_refused()
    question = waiting or refused
    left = next((o for o in order.operations if o.unfinished and o.kind not in BESIDE_OTHERS), None)
    if question is None and left is not None:
        return No(f"its {left.kind} is under way; see `payments order show {order.order_id}` for what comes of it")
    if question is not None and not review.may_rule(question):
        return No(
            "the refunds of this order exceed what one person may decide about, and you have asked for this one: "
            "somebody else rules on it"
        )
    if waiting is not None:
        return review.settle(waiting)
    if refused is not None:
        settled = review.settle_refusal(refused)
        if isinstance(settled, No) or request_of(order, refused) is None:
            return settled
        return carry_on(Case(order, context, refused.reaction), settled)
    needless = end_needless_review(order, context)
    if needless is not None:
        return needless
    if ruling.word is Word.EXECUTED and order.review_reason in _NOT_PAID:
        return No(f"{_NOT_PAID[order.review_reason]}: --as {Word.NOT_EXECUTED} fails it; another method may be tried")
    if order.cancel is not None:
        # The customer wants the money back, and nothing is in doubt: what else the ruling would do does not matter.
        return carry_out_cancel(order, context)
    return go_on(order, context) if ruling.word is Word.EXECUTED else cancel(order, context)


class _Review(NamedTuple):
    """An order under review, with the ruling."""

    order: Order
    history: Sequence[Operation]
    ruling: Ruling
    settles: Mapping[str, Settle]
    fits: Fits
    context: Context

    def settle(self, call: Operation) -> Decision | No:
        """Settle the call whose outcome was unknown."""
        if self.ruling.word is Word.NOT_EXECUTED and call.kind in _SENT_AGAIN:
            return self._send_again(call)
        return self._settle(self.order, call)

    def may_rule(self, call: Operation) -> bool:
        """Whether the person may rule on it: above the limit nobody decides alone about a refund they asked for."""
        return may_rule(self.order, request_of(self.order, call), self.ruling.person, self.context.rules)

    def find_refused(self) -> Operation | None:
        """Return the void or refund that the gateway refused, if the review is about one."""
        owed_ones = refused_ones(self.order, self.history)
        return next(filter(self._is_named, owed_ones), owed_ones[0] if owed_ones else None)

    def _is_named(self, refused: Operation) -> bool:
        """Whether the operator has named the refund that gave back just this one's money, as the gateway has it."""
        said = self.ruling.reference
        if self.ruling.word is not Word.EXECUTED or not self.ruling.seen or said is None or said.startswith(OUTSIDE):
            return False
        again = self._next_try(refused)
        return not isinstance(check_refund(self.order, self.history, again, self.ruling, self.fits), No)

    def settle_refusal(self, refused: Operation) -> Decision | No:
        """Book the money as given back by other means (executed), or send the call again with a new key (not executed).

        The gateway keeps the refusal under the old key for good.
        """
        why = self._why_not_again(refused) if self.ruling.word is Word.NOT_EXECUTED else None
        if why is not None:
            return why
        request = request_of(self.order, refused)
        if request is not None and self.ruling.word is Word.NOT_EXECUTED:
            return silent(self.order.with_request(replace(request, state=RequestState.WAITING)))
        again = self._next_try(refused)
        order = self.order.with_operation(again)
        if request is not None:
            order = order.with_request(replace(request, tries=again.try_number))
        return self._settle(order, again) if self.ruling.word is Word.EXECUTED else silent(order)

    def _settle(self, order: Order, call: Operation) -> Decision | No:
        executed = self.ruling.word is Word.EXECUTED
        outcome = self.make_executed(call) if executed else _make_not_executed(self.order, call)
        if isinstance(outcome, No):
            return outcome
        context = replace(self.context, causation_id=call.causation_id)
        decision = self.settles[call.reaction](order, call, outcome, context)
        assert decision.order is not None
        done = next(o for o in decision.order.operations if o.operation_id.int == call.operation_id.int)
        state = done.state if executed else OperationState.NOT_EXECUTED
        signed = replace(done, state=state, by=self.ruling.by, reason=self.ruling.reason)
        after = decision.order.with_operation(signed)
        if call.kind is OperationKind.RESERVE and not executed and context.rules.inventory_elsewhere:
            # A copy that is still under way must hold nothing.
            attempt = after.attempts[call.attempt - 1]
            after = open_operation(after, context, OperationKind.RELEASE, attempt, call.reaction, 0)
        return replace(decision, order=after)

    def make_executed(self, call: Operation) -> Outcome | No:
        """Make the answer that never came."""
        amount = call.amount_minor
        match call.kind:
            case OperationKind.AUTHORIZE:
                transaction_id = check_transaction(self.order, call, self.ruling, self.fits)
                if isinstance(transaction_id, No):
                    return transaction_id
                return Approved(transaction_id, amount_minor=amount, livemode=self.context.rules.livemode)
            case OperationKind.REFUND:
                refund_id = check_refund(self.order, self.history, call, self.ruling, self.fits)
                if isinstance(refund_id, No):
                    return refund_id
                left = self.order.left_minor(self.order.attempts[call.attempt - 1], call)
                if amount > left:
                    return No(
                        f"of this payment {left} is kept, less than {amount}: the rest went back otherwise; "
                        f"--as {Word.NOT_EXECUTED} looks at the refund again"
                    )
                return Approved(call.transaction_id, refund_id, amount)
            case OperationKind.CAPTURE | OperationKind.VOID:
                return check_moved(call, self.ruling) or Approved(call.transaction_id, amount_minor=amount)
            case OperationKind.RESERVE | OperationKind.EXTEND:
                return Reserved(self.context.after(self.context.rules.reservation_ttl_s))
            case OperationKind.CONFIRM | OperationKind.RELEASE | OperationKind.RESTOCK:
                return Approved()

    def _send_again(self, call: Operation) -> Decision | No:
        """Have a void, refund or release sent again, with the same key while the gateway surely has it.

        With the same key a copy that is still under way cannot be executed as well. Later the gateway has forgotten
        the key, and no copy is that old: it is sent as the next try, with a new key.
        """
        at = self.context.at
        if key_lives(call, at, self.context.rules):
            again = replace(call, state=OperationState.OPEN, tries=0, unknown_since=None, due_at=at)
            return silent(self.order.with_operation(again))
        ruling = self.ruling
        if (why := self._why_not_again(call)) is not None:
            return why
        ended = replace(call, state=OperationState.NOT_EXECUTED, settled_at=at, by=ruling.by, reason=ruling.reason)
        again = self._next_try(call)
        order = self.order.with_operation(ended).with_operation(again)
        request = request_of(order, call)
        return silent(order if request is None else order.with_request(replace(request, tries=again.try_number)))

    def _why_not_again(self, call: Operation) -> No | None:
        """Return why the call is not to be sent under a new key: it has made the refund, and "executed" books that.

        Both words are never refused.
        """
        made = find_made(call, self.ruling) if call.kind is OperationKind.REFUND else None
        if made is None:
            return None
        booking = self._replace(ruling=replace(self.ruling, word=Word.EXECUTED, reference=made.refund_id))
        if isinstance(booking.make_executed(call), No):
            return None
        first = "have it cancelled there first, or " if made.state == "pending" else ""
        return No(
            f"this call has made refund {made.refund_id}, which is {made.state} at the gateway, and it would be made "
            f"twice: {first}say --as {Word.EXECUTED} --reference {made.refund_id}"
        )

    def _next_try(self, call: Operation) -> Operation:
        """Return the call as its next try. A refund is looked up first.

        The same may have been ruled before, and made, in a past that a restore has lost: nothing tells how long ago.
        """
        looks_first = call.kind is OperationKind.REFUND
        return replace(
            give_next_number(call, self.history),
            amount_minor=owed(self.order, call),
            opened_at=self.context.at,
            due_at=self.context.at,
            state=OperationState.UNKNOWN if looks_first else OperationState.OPEN,
            reference=None,
            tries=0,
            unknown_since=self.context.at if looks_first else None,
            replayed=False,
            settled_at=None,
            detail=None,
            request_format=REQUEST_FORMAT,
            request_id=None,
        )


def _make_not_executed(order: Order, call: Operation) -> Outcome:
    if call.kind is OperationKind.RESERVE:
        return Short(tuple(Missing(line.sku, line.quantity, 0) for line in order.lines))
    if call.kind is OperationKind.EXTEND:
        return Lapsed()
    return Declined(FailureCode.CANCELLED_BY_OPERATOR)
