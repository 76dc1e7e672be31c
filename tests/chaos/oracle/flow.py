"""What flows: nothing is lost between the tables and the topics, in order, once in content; strangers; rest; calls."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from tests.chaos.clock import told
from tests.chaos.messages import What
from tests.chaos.oracle.case import Index, Violation
from tests.chaos.wire import Call
from tests.chaos.world import LEASE_S

FROZEN_KINDS: Final = ("frozen",)
SHOWN_MAX: Final = 5


def check_order(index: Index) -> Iterator[Violation]:
    """On each partition the first occurrences of an order's events come in the order of their versions."""
    seen: dict[tuple[object, str], tuple[int, int]] = {}
    ids: set[str] = set()
    for fact in index.case.found.facts:
        if fact.event_id in ids:
            continue
        ids.add(fact.event_id)
        name, at = (fact.place, fact.order_id), (fact.version, fact.ordinal)
        if at <= seen.get(name, (0, -1)):
            what = f"{fact.event_type} version {at} lies behind version {seen[name]}"
            yield Violation("order", fact.order_id, what, f"{fact.place}@{fact.offset}")
        seen[name] = max(at, seen.get(name, at))


def check_bytes(index: Index) -> Iterator[Violation]:
    """Compare copies: a topic may carry an event twice, but the same bytes, and on the same topic."""
    known: dict[str, tuple[str, bytes]] = {}
    for fact in index.case.found.facts:
        found = (fact.event_type, fact.digest)
        if known.setdefault(fact.event_id, found) != found:
            yield Violation("bytes", fact.order_id, f"{fact.event_type} {fact.event_id} differs from its other copy")


def check_journal(index: Index) -> Iterator[Violation]:
    """Every event that was decided is on its topic, and no other."""
    sent = {fact.event_id for fact in index.case.found.facts}
    types = {fact.event_id: fact for fact in index.case.found.facts}
    if missing := index.case.found.journal - sent:
        shown = ", ".join(sorted(missing)[:SHOWN_MAX])
        yield Violation("journal", f"{len(missing)} events", f"decided, but on no topic: {shown}")
    for event_id in sent - index.case.found.journal:
        fact = types[event_id]
        yield Violation("journal", fact.order_id, f"{fact.event_type} {event_id} is on its topic, but was not decided")


def check_strangers(index: Index) -> Iterator[Violation]:
    """Look for traces of what was never said, or was refused: aborted, unreadable, garbage."""
    for order_id in index.case.found.orders.keys() - index.orders.keys():
        yield Violation("stranger", order_id, "an order that must not exist", _said(index, order_id))
    for order_id in index.intents.keys() - index.orders.keys():
        effects = [effect["kind"] for intent in index.intents[order_id] for effect in intent["effects"]]
        yield Violation("stranger", order_id, f"the gateway did {effects} for it", _said(index, order_id))
    for order_id in index.facts.keys() - index.orders.keys():
        types = sorted({fact.event_type for fact in index.facts[order_id]})
        yield Violation("stranger", order_id, f"events for it: {types}", _said(index, order_id))


def _said(index: Index, order_id: str) -> str:
    found = [sent for sent in index.case.published.sent() if sent.message.order_id == order_id]
    return ", ".join(f"{sent.message.what} {sent.message.title}".strip() for sent in found[:SHOWN_MAX])


def check_kafka(index: Index) -> Iterator[Violation]:
    """See that what was acknowledged lies on its topic and what was aborted does not: else the run is worthless."""
    for sent in index.case.published.sent():
        aborted = sent.message.what is What.ABORTED
        if sent.message.what not in {What.VICTIM, What.UNSURE} and bool(index.copies(sent)) is aborted:
            said = "was aborted, but can be read" if aborted else "was acknowledged, but is not there"
            yield Violation("kafka", f"{sent.topic}[{sent.partition}]@{sent.offset}", f"it {said}")


def check_rest(index: Index) -> Iterator[Violation]:
    """In the end nothing is under way."""
    found = index.case.found
    if found.outbox:
        yield Violation("rest", "outbox", f"{found.outbox} rows are still to be sent")
    for order_id, attempt, kind, state, tries in found.unfinished:
        what = f"{kind} of attempt {attempt} is {state} after {tries} tries"
        yield Violation("rest", str(order_id), what, index.where(str(order_id)))


def check_notices(index: Index) -> Iterator[Violation]:
    """Nobody is told the same thing twice: one notification a kind and attempt, by its event id."""
    told_of: dict[tuple[str, int, str], set[str]] = defaultdict(set)
    for fact in index.case.found.facts:
        if fact.event_type == "CustomerNotificationRequested":
            told_of[fact.order_id, fact.attempt, fact.kind].add(fact.event_id)
    for (order_id, attempt, kind), ids in told_of.items():
        if len(ids) > 1:
            yield Violation("double", order_id, f"told {kind} of attempt {attempt} {len(ids)} times")


def check_calls(index: Index) -> Iterator[Violation]:
    """Two calls under one key never run at the same time, unless the caller that held the lease was frozen."""
    by_key: dict[str, list[Call]] = defaultdict(list)
    for call in index.case.calls:
        by_key[call.key].append(call)
    frozen = [d for d in index.case.dealt if d.fault.kind in FROZEN_KINDS]
    for key, calls in by_key.items():
        for first, second in pairwise(sorted(calls, key=lambda call: call.begun_at)):
            if first.ended_at is not None and first.ended_at <= second.begun_at:
                continue
            since = first.begun_at - LEASE_S
            if not any(d.begun_at <= second.begun_at and d.ended_at >= since for d in frozen):
                what = f"two calls at once, begun {told(first.begun_at)} and {told(second.begun_at)}"
                yield Violation("lease", key, what, first.path)
