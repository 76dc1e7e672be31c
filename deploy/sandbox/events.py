"""The sandbox's events: what happened to intents and refunds, as Stripe tells it by webhook and in /v1/events.

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

from deploy.playbank.bank import ASKS_CUSTOMER, CANCELED, CAPTURED, DECLINED, HELD, Bank, Intent, PaymentMethod, Refund
from deploy.sandbox.render import intent_json, refund_json
from deploy.sandbox.render_charge import charge_json

EVENTS_MAX: Final = 20_000
_OF_STATUS: Final = {
    HELD: "payment_intent.amount_capturable_updated",
    CAPTURED: "payment_intent.succeeded",
    CANCELED: "payment_intent.canceled",
    ASKS_CUSTOMER: "payment_intent.requires_action",
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
        self._counts: Counter[tuple[str, str]] = Counter()
        self._times: list[tuple[float, str]] = []

    def note(self, changed: Iterable[Intent | Refund | PaymentMethod], at: float) -> None:
        """Add the events of what has changed. at: when, in Unix seconds."""
        for thing in changed:
            match thing:
                case Intent():
                    self._note_intent(thing, at)
                case Refund():
                    self._note_refund(thing, at)
                case PaymentMethod():
                    pass

    def tick(self) -> None:
        """Add the events of what time alone has changed: a refund is decided, an authorization lapses."""
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
        name = _OF_STATUS.get(intent.status)
        if intent.status == DECLINED and intent.last_payment_error is not None:
            name = "payment_intent.payment_failed"
        if name is not None:
            self._add(name, intent_json(self._bank, intent), at)

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
