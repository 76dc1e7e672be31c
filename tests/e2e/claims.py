"""What must be true in the end: each order has the one outcome of its script, and the gateway did that and no more."""

import asyncio
from collections import Counter, defaultdict
from typing import Any

from deploy.auditing import run_audit
from deploy.contracts import codec_of
from deploy.rebuilding import Into, run_rebuild
from deploy.settings import load_settings
from outbox.audit.rebuild import Verdict
from tests.consumers.topics import read_topics
from tests.e2e.deployment import Deployment
from tests.eventually import eventually

OUTCOMES = ("PaidAndConfirmed", "PaymentFailed", "PaymentReviewRequired")
AUDIT_WAIT_S = 30
MOVING = """
    select (select count(*) from outbox),
           (select count(*) from operation where state in ('open', 'pending', 'unknown'))"""


def check_as_scripted(shop: Deployment) -> None:
    """Wait for every order's outcome, then hold topics, gateway and database against the script."""
    shop.await_settled(len(shop.published))
    eventually(lambda: shop.rows(MOVING) == [(0, 0)], lambda: f"all sent, nothing open: {shop.rows(MOVING)}")
    check_topics(shop)
    check_gateway(shop)
    assert shop.number("select count(*) from dead_letter") == 0
    assert shop.settled() == len(shop.published)
    check_tries(shop)
    check_audit(shop)
    check_rebuild(shop)


def check_audit(shop: Deployment) -> None:
    """Audit at rest: every invariant, against the database, the gateway's ledger and the topics."""
    settings = load_settings(shop.settings, directory=shop.directory)
    report = asyncio.run(run_audit(settings, topics=True, wait_s=AUDIT_WAIT_S))
    assert report.quiescent, report.waiting
    broken = {i.id: (i.holds, i.violations, i.notes) for i in report.invariants if i.holds is not True}
    assert not broken, broken


def check_rebuild(shop: Deployment) -> None:
    """Fold the topics alone: every order of the database comes out the same."""
    settings = load_settings(shop.settings, directory=shop.directory)
    found: list[Verdict] = []
    rebuilt, _ = asyncio.run(run_rebuild(settings, Into(), tell=found.append))
    assert found == []
    assert (rebuilt.holds, rebuilt.equal) == (True, shop.number("select count(*) from orders"))


def check_topics(shop: Deployment) -> None:
    """Hold the topics against the script: one distinct outcome an order; what is there twice is the same bytes."""
    codec = codec_of(load_settings(shop.settings, directory=shop.directory))
    outcomes: dict[str, dict[str, tuple[str, str | None]]] = defaultdict(dict)
    bodies: dict[str, bytes] = {}
    for read in asyncio.run(read_topics(shop.kafka, [shop.prefix + name for name in OUTCOMES], shop.prefix)):
        event: Any = codec.decode(read.event_type, read.key, read.value)
        assert bodies.setdefault(event.event_id, read.value or b"") == read.value
        outcomes[event.order_id][event.event_id] = (read.event_type, getattr(event, "failure_code", None))
    found = {order_id: sorted(events.values()) for order_id, events in outcomes.items()}
    assert found == {o.order_id: [(o.ending.event, o.ending.failure)] for o in shop.published}


def check_gateway(shop: Deployment) -> None:
    """Hold the gateway's own books against the script: for each order what it says, once."""
    effects: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for intent in shop.ledger():
        effects[intent["order_id"]] += [tuple(effect["kind"] for effect in intent["effects"])]
    moved = {order_id: [kinds for kinds in found if kinds] for order_id, found in effects.items()}
    expected = {o.order_id: [o.ending.effects] if o.ending.effects else [] for o in shop.published}
    assert {order_id: moved.get(order_id, []) for order_id in expected} == expected
    assert set(moved) <= set(expected)


def check_tries(shop: Deployment) -> None:
    """Look for orders begun twice: there is one attempt of each, and no second operation of a kind."""
    assert Counter(shop.rows("select order_id, attempt from attempt")) == Counter(
        (o.order_id, 1) for o in shop.published
    )
    assert shop.rows("select order_id, kind from operation group by 1, 2 having count(*) > 1") == []
