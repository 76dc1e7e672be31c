"""Every reason for a manual review, and what each answer of an operator does. deploy/README shows the table.

`domain.resolving` implements it. A test follows every reason with both answers to its end.
"""

from typing import Final, NamedTuple

from domain.operation import OperationKind

DOUBTS: Final = ("unknown", "overdue", "not_executed")
"""Why a call is in question: no answer; accepted long ago and no answer; refused too often."""

OUTSIDE: Final = "outside:"
"""How the reference of a refund begins that was paid past the gateway, by bank transfer for example.

Behind it stands what an operator says. The gateway still has that money; the audit counts it as a term of its own.
"""
MAY_STILL_BE_MADE: Final = (
    "the gateway may still make this refund, and the customer would have the money twice: have it made or cancelled "
    f"there first; --reference {OUTSIDE}TEXT is for one that the gateway has refused"
)
PROVES_NOTHING: Final = (
    "it does not show that this money went back: name another refund, or how it was paid past the gateway (--reference "
    f"{OUTSIDE}TEXT)"
)
_NOT_IN_BOOKS: Final = (
    "somebody else has given {amount} of this payment back at the gateway, which the books do not have yet, and the "
    "rest is less than this refund: "
)
FIND_BY_SENDING: Final = _NOT_IN_BOOKS + (
    "--as not-executed has the refund sent again; the gateway has too little left for it, and its refusal books that"
)
FIRST_TO_BE_BOOKED: Final = _NOT_IN_BOOKS + (
    "wait until the books have it (`payments order show`), and rule then. Do not have the refund sent again: the "
    "gateway would make it"
)
FIRST_TO_BE_TOLD_APART: Final = (
    "somebody else has given {amount} of this payment back at the gateway, as much as this refund: if {refund} is that "
    f"money, --reference {{refund}}; if this money went back besides it, name it, too: --reference '{OUTSIDE}TEXT, "
    "besides {refund}'"
)
FIRST_TO_BE_DECIDED: Final = (
    "refund {refund} of somebody else ({amount}) is pending at the gateway, and the customer would have it twice: wait "
    "for what becomes of it"
)
"""Why such a reference is refused, and what to do. Amounts are in minor units."""
SAID_BEFORE: Final = "a refund of this payment was booked since the gateway was asked: give the same command again"


class Way(NamedTuple):
    """What `order resolve` does with each answer."""

    executed: str
    not_executed: str


_AGAIN: Final = "by the same key while the gateway remembers it, else as the next try"
_CALLS: Final = {
    OperationKind.AUTHORIZE: Way(
        "Needs --reference (pi_...). The approval is old by now: it is voided, refunded if captured. Then the order is "
        "payment_failed; another method may be tried.",
        "The order is payment_failed; another method may be tried. If its customer was asked to confirm the payment, "
        "it is cancelled at the gateway first. If the order had failed already, that is told once more.",
    ),
    OperationKind.CAPTURE: Way(
        "With its goods still held: paid_and_confirmed. Without: the money is refunded, then payment_failed.",
        "The authorization is voided, refunded if captured after all. Then payment_failed; another method may be "
        "tried.",
    ),
    OperationKind.VOID: Way(
        "PaymentVoided, and payment_failed as the failed step says.",
        f"The void is sent again, {_AGAIN}. The review ends with its answer.",
    ),
    OperationKind.REFUND: Way(
        "Needs --reference (re_...). PaymentRefunded, and payment_failed as the failed step says; a paid order is paid "
        "again.",
        f"The refund is sent again, {_AGAIN}. The review ends with its answer.",
    ),
    OperationKind.RESERVE: Way(
        "items_reserved: the capture follows.", "reservation_failed: the money goes back, then payment_failed."
    ),
    OperationKind.CONFIRM: Way("paid_and_confirmed.", "The money is refunded, then payment_failed."),
    OperationKind.EXTEND: Way(
        "The capture follows. If the goods are not there after all, the money is refunded.",
        "reservation_failed: the money goes back, then payment_failed.",
    ),
    OperationKind.RELEASE: Way("ReservationReleased.", f"The release is sent again, {_AGAIN}."),
    OperationKind.RESTOCK: Way("ItemsRestocked.", f"The restock is sent again, {_AGAIN}."),
}
_OTHERS: Final = {
    "refund_failed": Way(
        "Needs --reference: the id (re_...) of another refund at the gateway, or outside:TEXT for money that went back "
        "past it (TEXT: the number of a bank transfer, or the id of a dispute that was lost, for example). "
        "PaymentRefunded, and payment_failed as the failed step says; a paid order is paid again, a cancelled one "
        "cancelled. What somebody gives back at the gateway meanwhile is booked, too, unless it has the amount in "
        "question: then name it. Once nothing is kept, the review ends by itself.",
        "The refund is sent again as the next try, under a new key: the old one holds the refusal. The review ends "
        "with its answer. One that somebody asked for of a paid order, and that cannot be made any more (a dispute, "
        "too little kept), is refused instead, and the order is paid again. Of a cancelled order it is sent in spite "
        "of a dispute: while the gateway refuses it, the review comes again.",
    ),
    "void_refused": Way(
        "The money is free by other means, or the authorization has run out. PaymentVoided, and payment_failed as the "
        "failed step says.",
        "The void is sent again as the next try, under a new key: the old one holds the refusal. The review ends with "
        "its answer.",
    ),
    "transaction_missing": Way(
        "As for a call without an answer. First find out where the transaction went: an account of another key, "
        "perhaps.",
        "As for a call without an answer: a void, refund or release is sent again, after a capture the money is given "
        "back. A call about the same transaction misses it again.",
    ),
    "captured_in_part": Way(
        "Refused: the order is not paid whole.",
        "The part is refunded. Then payment_failed; another method may be tried.",
    ),
    "currency_differs": Way(
        "Refused: the order is not paid.",
        "First give the money back in the gateway's dashboard: we cannot say how much of the order it is. The order is "
        "payment_failed; another method may be tried.",
    ),
    "stuck": Way(
        "Goes on where the order stood still: reserves, captures or gives back, whether or not its last event comes "
        "again. Refused for an order that was confirmed or waited for its customer: nothing goes on from there.",
        "What is held is voided, what was taken is refunded. Then payment_failed; another method may be tried. An "
        "order that was giving its money back goes on with that.",
    ),
}
WAYS: Final[dict[str, Way]] = {f"{kind}_{doubt}": way for kind, way in _CALLS.items() for doubt in DOUBTS} | _OTHERS
"""By the reason of PaymentReviewRequired."""
