"""Folds what the topics say of one order into its state. Pure: no clock, no database.

Events of ours decide; they are taken in the order of (version, ordinal), whatever topic they came from. What they do
not say is derived where that is sure, else named in `Folded`, so that nobody takes it for equal.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, NamedTuple

from domain.order import Status
from outbox.audit.histories import STATUS_OF
from outbox.audit.rebuild.said import OPENS, Said
from outbox.audit.rebuild.state import AttemptState, OrderState
from schemas import events as e

_TELLS_TOTAL: Final = frozenset(
    {
        e.CustomerActionRequired.TYPE,
        e.PaymentAuthorized.TYPE,
        e.PaidAndConfirmed.TYPE,
        e.PaymentFailed.TYPE,
        e.OrderCancelled.TYPE,
    }
)
"""Events whose amount is the order's total."""
_WERE_OVER: Final = frozenset({Status.PAID_AND_CONFIRMED, Status.PAYMENT_FAILED, Status.CANCELLED})
"""A review of such an order may end without a new status being told."""
_ANSWERS: Final[dict[str, frozenset[str]]] = {
    "REFUND": frozenset({e.PaymentRefunded.TYPE}),
    "VOID": frozenset({e.PaymentVoided.TYPE, e.PaymentRefunded.TYPE}),
    "NONE": frozenset({e.ItemsRestocked.TYPE, e.ReservationReleased.TYPE}),
}
"""By the call that a review is about: the events that tell its end."""


class Folded(NamedTuple):
    """What the topics say of an order.

    state: None if only an OrderConfirmed is there. first: the lowest version that is there, 0 if none. lacks: the first
    place behind it that is missing, as text; empty: none. opened: whether an OrderConfirmed with its total is there.
    consumed: whether an OrderConfirmed is there that its consumer has gone on behind. two_bodies: an event id that two
    different messages have. also: a status that it may have as well, for no event tells how its review stands; empty:
    none. unclear: attempts whose refunds cannot be told apart.
    """

    state: OrderState | None
    first: int = 0
    lacks: str = ""
    opened: bool = False
    consumed: bool = False
    two_bodies: str = ""
    also: str = ""
    unclear: tuple[int, ...] = ()


@dataclass(slots=True)
class _Account:
    """The money of one attempt, as far as it was told. asked: its customer had to confirm it."""

    number: int
    transaction_id: str | None = None
    authorized: int = 0
    captured: int = 0
    refunded: int = 0
    gone: bool = False
    asked: bool = False
    reservation_id: str | None = None
    refund_ids: set[str] = field(default_factory=set)
    in_parts: set[str] = field(default_factory=set)
    unclear: bool = False

    def authorize(self, amount: int, *, captured: bool) -> None:
        self.authorized = max(self.authorized, amount)
        self.captured = max(self.captured, amount if captured else 0)

    def refund(self, said: Said) -> None:
        """Money that went back was captured before, whether or not that was told."""
        self.refunded += said.amount_minor
        self.captured = max(self.captured, self.refunded)
        self.authorized = max(self.authorized, self.captured)
        refund_id = said.refund_id or ""
        (self.in_parts if refund_id in self.refund_ids else self.refund_ids).add(refund_id)

    def fail_refund(self, said: Said) -> None:
        self.refunded = max(self.refunded - said.amount_minor, 0)
        # Of several refunds that we found together, one event named the last. Of one that was told in parts, the
        # failure does not say which of them are gone.
        if said.refund_id not in self.refund_ids or said.refund_id in self.in_parts:
            self.unclear = True
        self.refund_ids.discard(said.refund_id or "")

    def state(self) -> AttemptState:
        return AttemptState(
            self.number,
            self.transaction_id if self.authorized or self.asked else None,
            self.authorized,
            self.captured,
            self.refunded,
            0 if self.gone or self.captured else self.authorized,
            self.reservation_id,
            tuple(sorted(self.refund_ids)),
        )


@dataclass(slots=True)
class _Standing:
    """The status of an order, and under review: the one before, and the calls that the review is about."""

    status: Status | None = None
    reviewed: Status | None = None
    attempt: int = 1
    questions: list[Said] = field(default_factory=list)

    def decide(self, decision: Sequence[Said]) -> None:
        """Take all events of one version."""
        attempt = max([self.attempt, *(said.attempt for said in decision)])
        asked = next((said for said in decision if said.type == e.PaymentReviewRequired.TYPE), None)
        target = next((STATUS_OF[said.type] for said in decision if said.type in STATUS_OF), None)
        if asked is not None:
            if self.status is not Status.MANUAL_REVIEW:
                # Nothing tells that an attempt has begun.
                began = attempt > self.attempt or self.status is None
                self.reviewed = Status.CONFIRMED if began else self.status
                self.questions.clear()
            self.status = Status.MANUAL_REVIEW
            self.questions.append(asked)
        elif target is not None:
            self.status, self.reviewed = target, None
        elif self.status is Status.MANUAL_REVIEW and self.reviewed in _WERE_OVER:
            self._answer(decision)
        self.attempt = attempt

    def _answer(self, decision: Sequence[Said]) -> None:
        """End the review if this answers the one call that it is about. If it is about several, nothing tells."""
        if len(self.questions) != 1:
            return
        asked = self.questions[0]
        for said in decision:
            same = said.attempt == asked.attempt and said.amount_minor == asked.amount_minor
            goods = asked.word == "NONE"
            if said.type in _ANSWERS.get(asked.word, ()) and (same or goods):
                self.status, self.reviewed = self.reviewed, None
                return


def fold(order_id: str, rows: Iterable[Said]) -> Folded:
    """Fold what was said of an order. rows: sorted by version, ordinal and event id; copies may be among them."""
    openings, events, two_bodies = _without_copies(rows)
    consumed = any(opening.flag for opening in openings)
    if not events:
        return Folded(None, opened=bool(openings), consumed=consumed, two_bodies=two_bodies)
    accounts: dict[int, _Account] = {}
    standing, total = _Standing(), None
    for _, group in groupby(events, key=lambda said: said.version):
        decision = list(group)
        for said in decision:
            if said.attempt:
                _book(accounts.setdefault(said.attempt, _Account(said.attempt)), said)
            if said.type in _TELLS_TOTAL:
                total = said.currency, said.amount_minor
        if any(said.type == e.OrderCancelled.TYPE for said in decision):
            for account in accounts.values():
                account.gone = True
        standing.decide(decision)
    told = [(opening.currency, opening.amount_minor) for opening in openings]
    currency, amount = total or (told[0] if told else ("", 0))
    state = OrderState(
        order_id,
        str(standing.status or Status.CONFIRMED),
        standing.attempt,
        events[-1].version,
        currency,
        amount,
        tuple(accounts.get(n, _Account(n)).state() for n in range(1, standing.attempt + 1)),
    )
    under_review = standing.status is Status.MANUAL_REVIEW and standing.reviewed in _WERE_OVER
    return Folded(
        state,
        first=events[0].version,
        lacks=_find_lack(events),
        opened=(currency, amount) in told,
        consumed=consumed,
        two_bodies=two_bodies,
        also=str(standing.reviewed) if under_review else "",
        unclear=tuple(sorted(a.number for a in accounts.values() if a.unclear)),
    )


def _without_copies(rows: Iterable[Said]) -> tuple[list[Said], list[Said], str]:
    """Return openings, events of ours, and an event id under which there are two messages; empty: none."""
    openings: list[Said] = []
    events: list[Said] = []
    two_bodies = ""
    for said in rows:
        if said.type == OPENS:
            openings.append(said)
        elif not events or (events[-1].version, events[-1].ordinal) != (said.version, said.ordinal):
            events.append(said)
        elif said.body != events[-1].body:
            two_bodies = two_bodies or str(said.event_id)
    return openings, events, two_bodies


def _book(account: _Account, said: Said) -> None:
    """Book the money of an event, and what it names."""
    if said.transaction_id is not None and said.type not in _OF_A_DISPUTE:
        account.transaction_id = said.transaction_id
    if said.reservation_id is not None:
        account.reservation_id = str(said.reservation_id)
    match said.type:
        case e.CustomerActionRequired.TYPE:
            account.asked = True
        case e.PaymentAuthorized.TYPE:
            account.authorize(said.amount_minor, captured=said.flag)
        case e.PaidAndConfirmed.TYPE:
            account.authorize(said.amount_minor, captured=True)
        case e.PaymentVoided.TYPE:
            account.authorize(said.amount_minor, captured=False)
            account.gone = True
        case e.PaymentRefunded.TYPE:
            account.refund(said)
        case e.PaymentRefundFailed.TYPE:
            account.fail_refund(said)
        case e.PaymentFailed.TYPE if said.word != "HELD":
            # It ran out, or it was never there.
            account.gone = True
        case _:
            pass


_OF_A_DISPUTE: Final = frozenset({e.PaymentDisputed.TYPE, e.PaymentDisputeClosed.TYPE})


def _find_lack(events: Sequence[Said]) -> str:
    """Name the first place behind the first event that is missing; empty: none."""
    version, ordinal = events[0].version, 0
    for said in events:
        if said.version not in {version, version + 1}:
            return f"version {version + 1}"
        if said.version == version + 1:
            version, ordinal = said.version, 0
        if said.ordinal != ordinal:
            return f"version {version} ordinal {ordinal}"
        ordinal += 1
    return ""
