"""Notices: what the gateway tells us unasked, by webhook or in its list of events, and what we do about each.

A notice is a wake-up. It never carries a fact into our books: the operation that it is about is made due, and what the
gateway then answers is settled as always. If there is none, the gateway is asked about the transaction, and the rows of
`consumers/gateway_told.py` decide. So a notice may come early, late, twice or out of order.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from domain.disputing import OUTCOMES
from domain.ids import OperationId, OrderId
from domain.news import LAG_MAX, Dispute, TransactionNews
from domain.operation import OperationState
from domain.values import Value

PAYMENT: Final = (
    "payment_intent.succeeded",
    "payment_intent.canceled",
    "payment_intent.payment_failed",
    "payment_intent.amount_capturable_updated",
    "payment_intent.requires_action",
)
REFUND_FAILED: Final = "refund.failed"
REFUND_UPDATED: Final = "refund.updated"
OF_A_REFUND: Final = ("refund.created", REFUND_UPDATED, REFUND_FAILED)
"""The object of these is the refund itself; its metadata name the operation that made it."""
REFUND: Final = ("charge.refunded", *OF_A_REFUND)
FRAUD_WARNING: Final = "radar.early_fraud_warning.created"
DISPUTE_UPDATED: Final = "charge.dispute.updated"
UNASKED: Final = (
    "charge.dispute.created",
    DISPUTE_UPDATED,
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "charge.dispute.closed",
    FRAUD_WARNING,
)
"""The gateway's objects of these have no metadata of ours, nor has a refund that somebody else made. So only the
transaction leads to an order.
"""
DISPUTE: Final = tuple(name for name in UNASKED if name != FRAUD_WARNING)
TYPES: Final = (*PAYMENT, *REFUND, *UNASKED)
"""All that we take. Stripe's list of events filters by 20 types at most."""

ORPHAN_AFTER: Final = timedelta(hours=24)
"""A notice of an order that is not in the database is tried for so long: a restore may bring the order back."""
RING_AFTER: Final = timedelta(hours=24)
"""A notice that has not led anywhere for so long is shown to an operator, once a day."""
PAUSE_MIN: Final = timedelta(seconds=1)
PAUSE_MAX: Final = timedelta(minutes=5)
ASK_PAUSE_MIN: Final = timedelta(seconds=5)
ASK_PAUSE_MAX: Final = timedelta(hours=1)


class Notice(Value, frozen=True):
    """One event of the gateway, without its body.

    notice_id: the gateway's. occurred_at: by the gateway's clock. intent_id: the transaction, if the object names one.
    order_id, operation_id: from the metadata that we gave the object; None if it has none of ours.
    """

    notice_id: str
    type: str
    occurred_at: datetime
    object_id: str
    intent_id: str | None
    order_id: OrderId | None
    operation_id: OperationId | None


class Fate(StrEnum):
    """What became of a notice.

    WAITING: it is looked at again later. WOKEN: an operation was made due. KNOWN: our books have it already, or an
    operator has said that nothing is to be booked. KEPT: no operation waits for it, and the books do not have it: the
    gateway is asked about its transaction, until that leads somewhere. APPLIED: it did. FOREIGN: the transaction is of
    no order of ours. UNKNOWN_ORDER: its order never came.
    """

    WAITING = "waiting"
    WOKEN = "woken"
    KNOWN = "known"
    KEPT = "kept"
    APPLIED = "applied"
    FOREIGN = "foreign"
    UNKNOWN_ORDER = "unknown_order"


class Work(Value, frozen=True):
    """The unfinished operation that a notice may be about.

    due: it is due already. waits: it waits for its next try, and surely no process has a lease on it. aside: it is in
    quarantine, or an operator is asked.
    """

    state: OperationState
    due: bool
    waits: bool
    aside: bool


class Money(Value, frozen=True):
    """What our books say about the notice's transaction. Amounts in minor units."""

    authorized_minor: int
    captured_minor: int
    refunded_minor: int
    voided: bool


class Found(Value, frozen=True):
    """What the database has about a notice. free: the order's row was locked for this; False: another session has it.

    money: None if no attempt of the order has this transaction.
    """

    order_exists: bool
    free: bool = True
    work: Work | None = None
    money: Money | None = None


def first_fate(notice: Notice) -> Fate:
    """Return the fate of a notice that has just come."""
    return Fate.WAITING if notice.order_id is not None else Fate.KEPT


def judge(notice: Notice, age: timedelta, found: Found) -> Fate:
    """Decide about a notice that waits. age: since we have it. WOKEN: make the operation due, unless it is."""
    if not found.order_exists:
        return Fate.UNKNOWN_ORDER if age >= ORPHAN_AFTER else Fate.WAITING
    if not found.free:
        return Fate.WAITING
    work = found.work
    if work is None:
        return Fate.KNOWN if _is_booked(notice, found.money) else Fate.KEPT
    if work.aside:
        return Fate.KEPT
    if work.state is OperationState.OPEN:
        return Fate.WAITING  # Its call is under way or will be made: the answer says what the notice says.
    return Fate.WOKEN if work.due or work.waits else Fate.WAITING


def pause(age: timedelta) -> timedelta:
    """Return how long to wait before a notice of this age is looked at again."""
    return min(max(age, PAUSE_MIN), PAUSE_MAX)


def ask_pause(age: timedelta) -> timedelta:
    """Return how long to wait before the gateway is asked again about a kept notice of this age."""
    return RING_AFTER if age >= RING_AFTER else min(max(age, ASK_PAUSE_MIN), ASK_PAUSE_MAX)


def fate_of_heard(notice: Notice, age: timedelta, news: TransactionNews, *, did: bool) -> Fate:
    """Decide about a kept notice whose transaction the gateway was asked about, and of which nothing waits.

    age: since we have it. did: the answer had something that our books lacked. It ends no notice whose own object is
    not in the answer: the list lags behind what was told. If the object never comes, that ends in LAG_MAX. If nothing
    is new, the first answer is not believed, for the same reason; and none of LAG_MAX if the notice tells of a change
    without saying which: the answer may be from before.
    """
    if age < LAG_MAX and not is_there(notice, news):
        return Fate.KEPT
    if did:
        return Fate.APPLIED
    believed_after = LAG_MAX if notice.type == DISPUTE_UPDATED else ASK_PAUSE_MIN
    return Fate.KNOWN if age >= believed_after else Fate.KEPT


def is_there(notice: Notice, news: TransactionNews) -> bool:
    """Whether the answer has what the notice tells. `charge.refunded` names no refund: it tells nothing to look for."""
    match notice.type:
        case "payment_intent.succeeded":
            return news.captured_minor > 0
        case "payment_intent.canceled":
            return news.cancelled
        case "payment_intent.amount_capturable_updated":
            return news.held_minor > 0 or news.captured_minor > 0 or news.cancelled
        case "refund.failed":
            return any(r.refund_id == notice.object_id and r.state == "failed" for r in news.refunds)
        case "refund.created" | "refund.updated":
            # A list that shows it as pending may be from before it was decided.
            decided = (refund.refund_id for refund in news.refunds if refund.state != "pending")
            return notice.object_id in {*decided, *news.freed}
        case name if name in DISPUTE:
            return any(_shows(dispute, name) for dispute in news.disputes if dispute.dispute_id == notice.object_id)
        case _:
            return True


def _shows(dispute: Dispute, name: str) -> bool:
    """Whether the dispute stands as an event of this name says. It may have gone on since: then LAG_MAX ends that."""
    match name:
        case "charge.dispute.closed":
            return dispute.status in OUTCOMES
        case "charge.dispute.funds_withdrawn":
            return dispute.funds_withdrawn or dispute.status in OUTCOMES
        case "charge.dispute.funds_reinstated":
            return not dispute.funds_withdrawn
        case _:
            return True


def _is_booked(notice: Notice, money: Money | None) -> bool:
    """Whether our books have what the notice tells. If not, somebody acted at the gateway without us."""
    if money is None:
        return False
    match notice.type:
        case "payment_intent.succeeded":
            return money.captured_minor > 0
        case "payment_intent.canceled":
            return money.voided or money.authorized_minor == 0
        case "payment_intent.amount_capturable_updated":
            return money.authorized_minor > 0
        case "payment_intent.payment_failed" | "payment_intent.requires_action":
            return True  # An attempt that has ended, or was authorized afterwards.
        case "charge.refunded" | "refund.created" | "refund.updated":
            return money.refunded_minor >= money.captured_minor > 0
        case _:
            return False
