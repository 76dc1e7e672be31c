"""Every order has exactly the outcome that its script allows: on the topics, in the database, at the gateway."""

from collections.abc import Iterator, Sequence

from tests.chaos.evidence import Fact
from tests.chaos.oracle.case import OUTCOMES, REVIEW, Index, Violation
from tests.chaos.script import Ending, Order

STATUSES = {"PaidAndConfirmed": "paid_and_confirmed", "PaymentFailed": "payment_failed"}


def check_outcomes(index: Index) -> Iterator[Violation]:
    """Look at each order that must have an outcome."""
    for order in index.orders.values():
        yield from _check_order(index, order)


def _check_order(index: Index, order: Order) -> Iterator[Violation]:
    facts, where = index.facts.get(order.order_id, []), index.where(order.order_id)
    for fact in {fact.event_id: fact for fact in facts if fact.event_type == REVIEW}.values():
        yield Violation("review", order.order_id, f"manual review: {fact.code}", where)
    reviewed = any(fact.event_type == REVIEW for fact in facts)
    for number, ending in enumerate(order.kind.endings, start=1):
        is_last = number == len(order.kind.endings)
        ids = {f.event_id: f for f in facts if f.event_type in OUTCOMES and f.attempt == number}
        if not ids:
            if number > 1 and (order.order_id, number) not in index.asked:
                yield Violation("harness", order.order_id, f"nobody asked for attempt {number}", where)
            elif not reviewed:
                yield Violation("lost", order.order_id, f"attempt {number} has no outcome ({order.kind.name})", where)
            return
        if len(ids) > 1:
            said = ", ".join(sorted(f"{fact.event_type} {fact.code}".strip() for fact in ids.values()))
            yield Violation("double", order.order_id, f"attempt {number} has {len(ids)} outcomes: {said}", where)
        allowed = [ending] if order.kind.or_else is None or not is_last else [ending, order.kind.or_else]
        for fact in ids.values():
            if not any(_is(fact, one) for one in allowed):
                found = f"{fact.event_type} {fact.code}".strip()
                yield Violation("wrong", order.order_id, f"attempt {number}: {found}; {order.kind.name}", where)
    yield from _check_end(index, order, facts)


def _is(fact: Fact, ending: Ending) -> bool:
    return fact.event_type == ending.event and (ending.failure is None or fact.code == ending.failure)


def _check_end(index: Index, order: Order, facts: Sequence[Fact]) -> Iterator[Violation]:
    """Look at what comes of all attempts together."""
    where = index.where(order.order_id)
    beyond = {fact.attempt for fact in facts if fact.attempt > len(order.kind.endings)}
    if beyond:
        yield Violation("wrong", order.order_id, f"attempts that nobody asked for: {sorted(beyond)}", where)
    paid = {fact.event_id for fact in facts if fact.event_type == "PaidAndConfirmed"}
    if len(paid) > 1:
        yield Violation("double", order.order_id, f"PaidAndConfirmed under {len(paid)} event ids", where)
    row = index.case.found.orders.get(order.order_id)
    status = "paid_and_confirmed" if paid else "payment_failed"
    if row is None or row.status not in {status, "manual_review"}:
        said = row.status if row else "nothing"
        yield Violation("wrong", order.order_id, f"the database says {said}, the topics {status}", where)


def check_gateway(index: Index) -> Iterator[Violation]:
    """Hold the gateway's books against the script: what it did for each order, once, and for the right amount."""
    for order_id, order in index.orders.items():
        intents = index.intents.get(order_id, [])
        moved = [tuple(effect["kind"] for effect in intent["effects"]) for intent in intents if intent["effects"]]
        expected = _expected(index, order)
        where = index.where(order_id)
        for intent in intents:
            for effect in intent["effects"]:
                if effect["amount_minor"] != order.total_minor or intent["currency"] != order.currency:
                    said = f"{effect['kind']} of {effect['amount_minor']} {intent['currency']}"
                    yield Violation("amount", order_id, f"{said}, not {order.total_minor} {order.currency}", where)
        if moved == expected:
            continue
        flat = [kind for kinds in moved for kind in kinds]
        wanted = [kind for kinds in expected for kind in kinds]
        twice = [kind for kind in set(flat) if flat.count(kind) > max(1, wanted.count(kind))]
        check = "double" if twice else "gateway"
        yield Violation(check, order_id, f"at the gateway {moved}, not {expected} ({order.kind.name})", where)


def _expected(index: Index, order: Order) -> list[tuple[str, ...]]:
    endings = list(order.kind.endings)
    if order.kind.or_else is not None and order.order_id not in index.paid:
        endings[-1] = order.kind.or_else
    return [ending.effects for ending in endings if ending.effects]
