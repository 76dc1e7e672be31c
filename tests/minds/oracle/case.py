"""What the oracle is given: what was asked for, and what there is. It shares no code with the product's rules."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tests.chaos import avro
from tests.chaos.published import Published, Sent
from tests.minds.evidence import Event, Evidence, OrderRow
from tests.minds.messages import CANCEL, ORDER, PREPARATION, REFUND
from tests.minds.script import Order

MARGIN_S = 5.0
"""A message, and a sweep, may take so long."""
OUTSIDE = "outside:"
"""How the reference of a refund begins that was paid past the gateway."""


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must not be. check: which; subject: an order, a request, a SKU."""

    check: str
    subject: str
    what: str
    where: str = ""

    def line(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {"check": self.check, "subject": self.subject, "what": self.what, "where": self.where}


@dataclass(slots=True)
class Case:
    """orders: those that were published, by id. wished: what somebody wished of each, in words.

    window_s: how long after its payment an order may be cancelled. early_wait_s: how long a message waits for its
    order. overtaken: orders whose cancel was kept by the
    product before they were published: nothing may be called for them. prepared: orders that were cancelled only once
    the product had noted that their preparation had begun. foreign: orders of which somebody refunded money in the
    gateway's dashboard, minor units. nobodies: orders that never came.
    """

    orders: Mapping[str, Order]
    published: Published
    found: Evidence
    stock: Mapping[str, int]
    window_s: float
    early_wait_s: float = 900.0
    wished: Mapping[str, str] = field(default_factory=dict)
    overtaken: frozenset[str] = frozenset()
    prepared: frozenset[str] = frozenset()
    foreign: Mapping[str, int] = field(default_factory=dict)
    nobodies: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: every message of one kind with one id, by event id. at: of the first acknowledgement, Unix seconds."""

    order_id: str
    request_id: str
    messages: Mapping[str, Mapping[str, Any]]
    at: float

    @property
    def name(self) -> str:
        """Name it for people."""
        return f"{self.order_id} {self.request_id}"

    def contents(self) -> dict[str, set[str]]:
        """Return event ids by what is asked for."""
        found: dict[str, set[str]] = defaultdict(set)
        for event_id, fields in self.messages.items():
            lines = sorted((line["sku"], line["quantity"]) for line in fields.get("lines", ()))
            found[repr((fields["reason"], fields["requested_by"], fields.get("amount_minor"), lines))].add(event_id)
        return found


class Index:
    """A case, looked up."""

    def __init__(self, case: Case) -> None:
        self.case = case

    @cached_property
    def events(self) -> dict[str, list[Event]]:
        """Distinct events by order, in the order in which they were decided."""
        found: dict[str, dict[str, Event]] = defaultdict(dict)
        for event in self.case.found.events:
            found[event.order_id].setdefault(str(event.fields["event_id"]), event)
        return {order_id: sorted(events.values(), key=lambda e: e.at) for order_id, events in found.items()}

    def of(self, order_id: str, *types: str) -> list[Event]:
        """Return the order's events of these types."""
        return [event for event in self.events.get(order_id, ()) if event.type in types]

    @cached_property
    def letters(self) -> dict[str, set[str]]:
        """Reasons of dead letters by the event id of their message, of the table."""
        found: dict[str, set[str]] = defaultdict(set)
        for letter in self.case.found.kept:
            found[letter.event_id].add(letter.reason)
        return found

    @cached_property
    def intents(self) -> dict[str, list[dict[str, Any]]]:
        """The gateway's transactions by order."""
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for intent in self.case.found.ledger:
            found[str(intent["order_id"])].append(intent)
        return found

    def row(self, order_id: str) -> OrderRow:
        """Return the database's row; one that says so if there is none."""
        return self.case.found.orders.get(order_id, OrderRow("not in the database"))

    def asked(self, event_type: str) -> Iterator[Asked]:
        """Go through the requests that were published."""
        groups: dict[tuple[str, str], list[Sent]] = defaultdict(list)
        for sent in self.sent(event_type):
            groups[sent.message.order_id, sent.message.title].append(sent)
        for (order_id, request_id), group in groups.items():
            said = {sent.message.event_id: avro.decode(event_type, sent.message.value) for sent in group}
            yield Asked(order_id, request_id, said, min(sent.at for sent in group))

    @cached_property
    def cancels(self) -> list[Asked]:
        """Every cancel."""
        return list(self.asked(CANCEL))

    @cached_property
    def refunds(self) -> list[Asked]:
        """Every refund that was asked for."""
        return list(self.asked(REFUND))

    @cached_property
    def prepared(self) -> set[str]:
        """Orders whose preparation was said to have begun."""
        return {sent.message.order_id for sent in self.sent(PREPARATION)}

    def sent(self, event_type: str) -> Iterator[Sent]:
        """Go through what was published of a type."""
        return (sent for sent in self.case.published.sent() if sent.message.event_type == event_type)

    @cached_property
    def confirmed(self) -> set[str]:
        """Orders that were really published."""
        return {sent.message.order_id for sent in self.sent(ORDER)}

    @cached_property
    def came_at(self) -> dict[str, float]:
        """When each order was acknowledged first, Unix seconds."""
        found: dict[str, float] = {}
        for sent in self.sent(ORDER):
            found[sent.message.order_id] = min(sent.at, found.get(sent.message.order_id, sent.at))
        return found

    def gave_up(self, asked: Asked) -> bool:
        """Whether the order came so late that the request need not have waited for it."""
        came_at = self.came_at.get(asked.order_id)
        return came_at is not None and came_at - asked.at > self.case.early_wait_s - MARGIN_S

    def forgot(self, order_id: str) -> bool:
        """Whether the database may have lost that a cancel waited for this order: both are read anew, in any order."""
        if self.case.found.forgotten is None:
            return False
        since, until = self.case.found.forgotten
        asked_at = min((asked.at for asked in self.cancels if asked.order_id == order_id), default=until)
        return self.came_at.get(order_id, until) >= since and asked_at <= until

    def captured(self, order_id: str) -> int:
        """Return what the gateway took, minor units."""
        return sum(int(intent["amount_captured_minor"]) for intent in self.intents.get(order_id, ()))

    def refunded(self, order_id: str) -> int:
        """Return what the gateway gave back, minor units."""
        return sum(int(intent["amount_refunded_minor"]) for intent in self.intents.get(order_id, ()))

    def disputed(self, order_id: str) -> bool:
        """Whether a dispute took money of the order."""
        return any(intent.get("disputes") for intent in self.intents.get(order_id, ()))

    def where(self, order_id: str) -> str:
        """Say what the order is, what somebody wished, and how it stands."""
        order, row = self.case.orders.get(order_id), self.row(order_id)
        kind = order.kind.name if order else "no order"
        review = f" ({row.review_reason})" if row.review_reason else ""
        said = " > ".join(_told(event) for event in self.events.get(order_id, ()) if "Notification" not in event.type)
        return f"{kind}; {self.case.wished.get(order_id, '')}; {row.status}{review}; {said}"


def _told(event: Event) -> str:
    fields = event.fields
    more = [str(fields[name]) for name in ("request_id", "reason", "money") if fields.get(name)]
    if event.type in {"PaymentRefunded", "PaymentVoided", "PaymentRefundFailed"}:
        more.append(str(fields["amount_minor"]))
    return f"{event.type}({', '.join(more)})" if more else event.type
