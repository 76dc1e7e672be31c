"""What the oracle is given, and the orders that must have an outcome."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tests.chaos.dealt import Dealt
from tests.chaos.evidence import Evidence, Fact, Said, digest
from tests.chaos.faults.scene import Stretch
from tests.chaos.fleet import End
from tests.chaos.messages import What
from tests.chaos.published import Published, Sent
from tests.chaos.script import STOCK, Order
from tests.chaos.wire import Call

OUTCOMES = ("PaidAndConfirmed", "PaymentFailed")
REVIEW = "PaymentReviewRequired"


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must not be. check: which; subject: an order id, coordinates, a process; where: to look."""

    check: str
    subject: str
    what: str
    where: str = ""

    def line(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {"check": self.check, "subject": self.subject, "what": self.what, "where": self.where}


@dataclass(slots=True)
class Case:
    """published: the oracle's own ledger; found: what there is. sku_units: what was put on the shelf.

    calls: at the gateway, as the wire saw them. bugs: what processes said when they stopped. late_innocent: orders that
    had no outcome while unreadable batches waited, though nothing stood before them. refused: commands of operators
    that failed, with their last words. told: keys of what customers were told, where that can be seen. raised: orders
    whose events raised on purpose, so that they are rightly quarantined.
    """

    published: Published
    found: Evidence
    dealt: Sequence[Dealt] = ()
    ends: Sequence[End] = ()
    calls: Sequence[Call] = ()
    stretches: Sequence[Stretch] = ()
    bugs: Sequence[tuple[str, str]] = ()
    late_innocent: Sequence[str] = ()
    refused: Sequence[tuple[str, str]] = ()
    told: Sequence[str] = ()
    raised: frozenset[str] = frozenset()
    sku_units: dict[str, int] = field(default_factory=lambda: dict(STOCK))


class Index:
    """A case, looked up."""

    def __init__(self, case: Case) -> None:
        self.case = case

    @cached_property
    def on_topic(self) -> dict[bytes, list[Said]]:
        """What upstream's topics hold, by digest: a message that was sent again may lie there twice."""
        found: dict[bytes, list[Said]] = defaultdict(list)
        for said in self.case.found.said:
            found[said.digest].append(said)
        return found

    def copies(self, sent: Sent) -> list[Said]:
        """Return where this message lies."""
        return self.on_topic.get(digest(sent.message.key, sent.message.value), [])

    @cached_property
    def orders(self) -> dict[str, Order]:
        """Orders that must have an outcome: published, and committed where a transaction was around them."""
        found: dict[str, Order] = {}
        for sent in self.case.published.sent(What.ORDER, What.UNSURE):
            order = self.case.published.order(sent.message.order_id)
            if order is not None and (sent.message.what is What.ORDER or self.copies(sent)):
                found[order.order_id] = order
        return found

    @cached_property
    def asked(self) -> dict[tuple[str, int], Sent]:
        """What asked for each attempt, by (order id, number): the first acknowledged."""
        found: dict[tuple[str, int], Sent] = {}
        for sent in self.case.published.sent(What.ORDER, What.UNSURE, What.RETRY):
            name = (sent.message.order_id, sent.message.attempt)
            if sent.message.order_id in self.orders and (name not in found or sent.at < found[name].at):
                found[name] = sent
        return found

    @cached_property
    def facts(self) -> dict[str, list[Fact]]:
        """Facts by order."""
        found: dict[str, list[Fact]] = defaultdict(list)
        for fact in self.case.found.facts:
            found[fact.order_id].append(fact)
        return found

    @cached_property
    def first_outcomes(self) -> dict[tuple[str, int], Fact]:
        """The first outcome of each attempt, by (order id, number)."""
        found: dict[tuple[str, int], Fact] = {}
        for fact in self.case.found.facts:
            name = (fact.order_id, fact.attempt)
            if fact.event_type in (*OUTCOMES, REVIEW) and (name not in found or fact.at < found[name].at):
                found[name] = fact
        return found

    @cached_property
    def intents(self) -> dict[str, list[dict[str, Any]]]:
        """The gateway's transactions by order, the oldest first."""
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for intent in reversed(self.case.found.ledger):
            found[str(intent["order_id"])].append(intent)
        return found

    @cached_property
    def paid(self) -> set[str]:
        """Orders with PaidAndConfirmed on the topics."""
        return {fact.order_id for fact in self.case.found.facts if fact.event_type == "PaidAndConfirmed"}

    def where(self, order_id: str) -> str:
        """Say where an order was asked for, and what was dealt then."""
        sent = self.asked.get((order_id, 1))
        if sent is None:
            return ""
        around = [d.title for d in self.case.dealt if d.begun_at - 5 <= sent.at <= d.ended_at + 5]
        row = self.case.found.orders.get(order_id)
        status = f"{row.status}, attempt {row.attempt}" if row else "not in the database"
        place = f"{sent.topic}[{sent.partition}]@{sent.offset}"
        return f"{place}; {status}" + (f"; around: {', '.join(around[:4])}" if around else "")
