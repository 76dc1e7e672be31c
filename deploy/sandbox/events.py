"""The sandbox's events: what happened to payments and disputes, as Stripe tells it by webhook and in /v1/events.

They are derived from what changed, so the journal needs no line of its own for them: after a restart the same events
have the same ids. Stripe keeps events for 30 days; here the last EVENTS_MAX are kept.
"""

import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import orjson

from deploy.playbank.bank import (
    ASKS_CUSTOMER,
    CANCELED,
    CAPTURED,
    DECLINED,
    HELD,
    PROCESSING,
    Bank,
    Dispute,
    Intent,
    PaymentMethod,
    Refund,
)
from deploy.playbank.disputes import REINSTATED, WITHDRAWN
from deploy.sandbox.render import intent_json, refund_json
from deploy.sandbox.render_charge import charge_json
from deploy.sandbox.render_dispute import dispute_json, warning_json

EVENTS_MAX: Final = 20_000
_OF_STATUS: Final = {
    HELD: "payment_intent.amount_capturable_updated",
    CAPTURED: "payment_intent.succeeded",
    CANCELED: "payment_intent.canceled",
    ASKS_CUSTOMER: "payment_intent.requires_action",
    PROCESSING: "payment_intent.processing",
}
_OF_MOVE: Final = {
    WITHDRAWN: "charge.dispute.funds_withdrawn",
    REINSTATED: "charge.dispute.funds_reinstated",
}


@dataclass(frozen=True, slots=True)
class Event:
    """One event. created: Unix seconds. body: its JSON, with the object as it was then."""

    id: str
    type: str
    created: int
    body: bytes


class EventLog:
    """The events so far. tell: called with each new one."""

    def __init__(self, bank: Bank, tell: Callable[[Event], None] = lambda _: None) -> None:
        self.tell = tell
        self._bank = bank
        self._events: deque[Event] = deque(maxlen=EVENTS_MAX)
        self._seen: dict[str, str] = {}
        self._seen_of: dict[str, tuple[int, int, bool]] = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        self._times: list[tuple[float, str]] = []

    def note(self, changed: Iterable[Intent | Refund | PaymentMethod | Dispute], at: float) -> None:
        """Add the events of what has changed. at: when, in Unix seconds."""
        for thing in changed:
            match thing:
                case Intent():
                    self._note_intent(thing, at)
                case Refund():
                    self._note_refund(thing, at)
                case Dispute():
                    self._note_dispute(thing, at)
                case PaymentMethod():
                    pass

    def tick(self) -> None:
        """Add the events of what time alone has changed: a refund or a debit is decided, an authorization lapses."""
        now = self._bank.now()
        while self._times and self._times[0][0] <= now:
            at, thing_id = heapq.heappop(self._times)
            thing = self._bank.refund_made(thing_id) or self._bank.intent(thing_id)
            if thing is not None:
                self.note([thing], at)

    def newest_first(self) -> Iterator[Event]:
        """Return the events, the newest first."""
        self.tick()
        return reversed(self._events)

    def event(self, event_id: str) -> Event | None:
        """Return one event."""
        return next((event for event in self._events if event.id == event_id), None)

    def _note_intent(self, intent: Intent, at: float) -> None:
        if self._seen.get(intent.id) == intent.status:
            return
        self._seen[intent.id] = intent.status
        if intent.status == HELD and intent.capture_before is not None:
            heapq.heappush(self._times, (intent.capture_before, intent.id))
        if (decides_at := self._bank.decides_at(intent)) is not None:
            heapq.heappush(self._times, (decides_at, intent.id))
        if intent.status == CAPTURED:
            self._note_what_follows(intent, at)
        name = _OF_STATUS.get(intent.status)
        if intent.status == DECLINED and intent.last_payment_error is not None:
            name = "payment_intent.payment_failed"
        if name is not None:
            self._add(name, intent_json(self._bank, intent), at)

    def _note_what_follows(self, intent: Intent, at: float) -> None:
        """Add what the issuer says of a captured payment. Stripe tells it before the capture itself."""
        for dispute in self._bank.disputes_of(intent):
            self._note_dispute(dispute, at)
        if intent.method.fraud_warning:
            self._add("radar.early_fraud_warning.created", warning_json(self._bank, intent), at)

    def _note_dispute(self, dispute: Dispute, at: float) -> None:
        """Add what is new of a dispute: that it is there or has changed, the money that it moved, and its end."""
        thing = dispute_json(self._bank, dispute)
        before = self._seen_of.get(dispute.id)
        changes, moves, closed = before or (0, 0, False)
        self._seen_of[dispute.id] = dispute.changes, len(dispute.moves), dispute.is_closed
        if before is None:
            self._add("charge.dispute.created", thing, at)
        elif dispute.changes > changes:
            self._add("charge.dispute.updated", thing, at)
        for move in dispute.moves[moves:]:
            self._add(_OF_MOVE[move["kind"]], thing, at)
        if dispute.is_closed and not closed:
            self._add("charge.dispute.closed", thing, at)

    def _note_refund(self, refund: Refund, at: float) -> None:
        before = self._seen.get(refund.id)
        if before == refund.status:
            return
        self._seen[refund.id] = refund.status
        if refund.decided_at is not None:
            heapq.heappush(self._times, (refund.decided_at, refund.id))
        thing = refund_json(self._bank, refund)
        if before is None:
            self._add("refund.created", thing, at)
            self._add("charge.refunded", self._charge(refund), at)
            return
        self._add("refund.updated", thing, at)
        if refund.status == "failed":
            self._add("refund.failed", thing, at)

    def _charge(self, refund: Refund) -> dict[str, Any]:
        """Return the refund's charge. Stripe copies the intent's metadata to it."""
        intent = self._bank.intent(refund.intent)
        assert intent is not None, "a refund has an intent"
        return charge_json(self._bank, intent)

    def _add(self, name: str, thing: dict[str, Any], at: float) -> None:
        of = (thing["id"], name)
        self._counts[of] += 1
        at_s = int(at)
        digest = blake2b(f"{self._bank.born} {of} {self._counts[of]}".encode(), digest_size=12).hexdigest()
        event_id = f"evt_1{digest}"
        body = {
            "id": event_id,
            "object": "event",
            "api_version": None,
            "created": at_s,
            "data": {"object": thing},
            "livemode": False,
            "pending_webhooks": 0,
            "request": {"id": None, "idempotency_key": None},
            "type": name,
        }
        event = Event(event_id, name, at_s, orjson.dumps(body))
        self._events.append(event)
        self.tell(event)
