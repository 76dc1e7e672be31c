"""Disputes: what a customer's bank does after a payment, and what the shop answers.

A dispute begins by itself with the capture, so its beginning follows from its PaymentIntent. What changes it later is
stored. Times are Unix seconds; amounts are in the unit of the PaymentIntent.
"""

from dataclasses import dataclass, field
from string import ascii_lowercase
from typing import Any, Final

from deploy.playbank.cards import Case
from deploy.playbank.intents import Intent

_DAY_S: Final = 24 * 3600
_ANSWER_DAYS: Final = 8  # as in recordings of test mode: until the end of the eighth day
WITHDRAWN, REINSTATED = "dispute_withdrawn", "dispute_reinstated"
NEEDS_RESPONSE, UNDER_REVIEW, WON, LOST = "needs_response", "under_review", "won", "lost"
INQUIRY_NEEDS_RESPONSE, INQUIRY_UNDER_REVIEW, INQUIRY_CLOSED = (
    "warning_needs_response",
    "warning_under_review",
    "warning_closed",
)
_CLOSED = frozenset({WON, LOST, INQUIRY_CLOSED})
_INQUIRIES = frozenset({INQUIRY_NEEDS_RESPONSE, INQUIRY_UNDER_REVIEW})
_REFUNDABLE = _INQUIRIES | {WON, INQUIRY_CLOSED}

# Source: docs.stripe.com/testing, "Evidence": these texts alone decide how a test dispute ends.
WINNING, LOSING, ESCALATING = "winning_evidence", "losing_evidence", "escalate_inquiry_evidence"
DECIDING_FIELD: Final = "uncategorized_text"


@dataclass(slots=True, eq=False)
class Dispute:
    """A dispute about a payment, or an inquiry, which moves no money.

    moves: the money that it took and gave back, in order. changes: how often it was changed, for its events.
    """

    id: str
    intent: str
    created: float
    amount: int
    reason: str
    case_type: str
    network_reason_code: str | None
    eligible_for: str | None
    status: str
    due_by: float | None
    evidence: dict[str, str] = field(default_factory=dict)
    submissions: int = 0
    changes: int = 0
    metadata: dict[str, str] = field(default_factory=dict)
    moves: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_closed(self) -> bool:
        """Whether nothing changes it any more."""
        return self.status in _CLOSED

    @property
    def is_inquiry(self) -> bool:
        """Whether the bank only asks so far."""
        return self.status in _INQUIRIES

    @property
    def charge_is_refundable(self) -> bool:
        """Whether the payment may still be refunded."""
        return self.status in _REFUNDABLE

    @property
    def withdrawn(self) -> int:
        """The money that it has now."""
        return sum(move["amount"] if move["kind"] == WITHDRAWN else -move["amount"] for move in self.moves)

    def answer(self, evidence: dict[str, str], now: float, left: int, *, submit: bool) -> None:
        """Keep evidence, and hand all of it in if `submit`: its deciding text says how the dispute ends.

        left: what is not refunded of the payment, which is the most that an escalated inquiry takes.
        """
        for name, value in evidence.items():
            if value:
                self.evidence[name] = value
            else:
                self.evidence.pop(name, None)
        self.changes += 1
        if submit:
            self.submissions += 1
            self._decide(self.evidence.get(DECIDING_FIELD, ""), now, left)

    def close(self) -> None:
        """Give in: a dispute is lost, an inquiry is over."""
        self.status = INQUIRY_CLOSED if self.is_inquiry else LOST
        self.changes += 1

    def _decide(self, text: str, now: float, left: int) -> None:
        if self.is_inquiry:
            self._decide_inquiry(text, now, left)
            return
        match text:
            case str() if text == WINNING:
                self.status = WON
                if taken := self.withdrawn:
                    self.moves.append({"kind": REINSTATED, "at": now, "amount": taken})
            case str() if text == LOSING:
                self.status = LOST
            case _:
                self.status = UNDER_REVIEW

    def _decide_inquiry(self, text: str, now: float, left: int) -> None:
        if text in {WINNING, LOSING}:
            self.status = INQUIRY_CLOSED
        elif text == ESCALATING:
            self.status, self.case_type = NEEDS_RESPONSE, "chargeback"
            if taken := min(self.amount, left):
                self.moves.append({"kind": WITHDRAWN, "at": now, "amount": taken})
        else:
            self.status = INQUIRY_UNDER_REVIEW


class Disputes:
    """Every dispute that has begun, in the order in which they did."""

    def __init__(self) -> None:
        self._of: dict[str, list[Dispute]] = {}

    def of(self, intent_id: str) -> list[Dispute]:
        """Return the disputes about a payment."""
        return self._of.get(intent_id, [])

    def all(self) -> list[Dispute]:
        """Return every dispute, the oldest first."""
        return sorted((dispute for of in self._of.values() for dispute in of), key=lambda dispute: dispute.created)

    def put(self, changed: Dispute) -> None:
        """Store this dispute, in place of its earlier state."""
        of = self._of.setdefault(changed.intent, [])
        of[:] = [changed if dispute.id == changed.id else dispute for dispute in of]

    def begin(self, intent: Intent) -> None:
        """Begin those that follow a payment, once it is captured. They divide the money among them."""
        cases = intent.method.disputes
        if not cases or intent.id in self._of:
            return
        at = intent.captured_at
        if at is None:
            return
        share, rest = divmod(intent.amount_received, len(cases))
        amounts = [share + rest, *[share] * (len(cases) - 1)]
        self._of[intent.id] = [
            _begun(f"du_{intent.id[3:]}{letter}", intent.id, amount, at, case)
            for letter, amount, case in zip(ascii_lowercase, amounts, cases, strict=False)
        ]


def _begun(dispute_id: str, intent_id: str, amount: int, at: float, case: Case) -> Dispute:
    inquiry = case.case_type == "inquiry"
    return Dispute(
        id=dispute_id,
        intent=intent_id,
        created=at,
        amount=amount,
        reason=case.reason,
        case_type=case.case_type,
        network_reason_code=case.network_reason_code,
        eligible_for=case.eligible_for,
        status=INQUIRY_NEEDS_RESPONSE if inquiry else LOST if case.final else NEEDS_RESPONSE,
        due_by=None if case.final else (at // _DAY_S + _ANSWER_DAYS + 1) * _DAY_S - 1,
        moves=[] if inquiry else [{"kind": WITHDRAWN, "at": at, "amount": amount}],
    )
