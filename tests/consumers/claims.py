"""What must hold whenever the pipeline is quiet, whatever the orders were: checked at the end of every scenario.

It reads the topics, the tables and the gateway's ledger, and decides by the architecture's words, not by our code.
"""

from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

import psycopg

from consumers.reactions import REACTIONS
from domain.ports.gateway import LedgerEntry
from outbox.audit import Scope, audit
from schemas.topics import TOPICS
from tests.consumers.harness import Pipeline
from tests.consumers.topics import Read

STOCK = 4
"""The invariant about our own stock."""
FINAL = {"paid_and_confirmed", "payment_failed", "cancelled", "manual_review"}
UPSTREAM = {event_type for event_type, topic in TOPICS.items() if not topic.ours}


async def assert_all_is_well(pipeline: Pipeline) -> None:
    """Wait until nothing is under way, then check everything. With the stock elsewhere our own table has none."""
    await pipeline.until_quiet()
    read = await pipeline.topics()
    await _journal_is_on_topics(pipeline, read)
    _stories_are_whole(pipeline, read)
    await _headers_say_what_bodies_say(pipeline, read)
    await _one_outcome_each(pipeline, read)
    if pipeline.settings.inventory == "internal":
        await _shelves_add_up(pipeline)
    await _money_adds_up(pipeline)
    await _tokens_are_gone(pipeline)
    await assert_the_audit_holds(pipeline)


async def _journal_is_on_topics(pipeline: Pipeline, read: list[Read]) -> None:
    """Check that every journal row is on its topic, with these very bytes, and nothing else of ours."""
    journal = await pipeline.rows("SELECT topic, convert_to(order_id, 'UTF8'), body FROM event WHERE order_id <> ''")
    prefix = pipeline.settings.topic_prefix
    assert len(journal) == len(set(journal))
    ours = {(prefix + r.event_type, r.key, r.value) for r in read if _is_ours(r)}
    assert {(topic, bytes(key), bytes(body)) for topic, key, body in journal} == ours


def _is_ours(read: Read) -> bool:
    return TOPICS[read.event_type].ours


def _stories_are_whole(pipeline: Pipeline, read: list[Read]) -> None:
    """Check that versions and ordinals are gapless and in order, and every cause is an event of the order."""
    by_order: dict[bytes, dict[Any, Any]] = defaultdict(dict)
    latest: dict[tuple[str, int, bytes], tuple[int, int]] = {}
    causes: dict[bytes, set[Any]] = defaultdict(set)
    for r in read:
        if not _is_ours(r) or r.key is None:
            causes[r.key or b""] |= _ids_of(pipeline, r)
            continue
        event: Any = pipeline.codec.decode(r.event_type, r.key, r.value)
        assert r.key == event.order_id.encode()
        place = (event.order_version, event.ordinal)
        repeated = event.event_id in by_order[r.key]
        assert repeated or latest.get((r.event_type, r.partition, r.key), (0, -1)) < place
        latest[r.event_type, r.partition, r.key] = place
        by_order[r.key][event.event_id] = event
        causes[r.key].add(event.event_id)
    for key, events in by_order.items():
        story = sorted(events.values(), key=lambda e: (e.order_version, e.ordinal))
        places = [(e.order_version, e.ordinal) for e in story]
        assert places[0] == (1, 0)
        assert all(b in {(a[0], a[1] + 1), (a[0] + 1, 0)} for a, b in pairwise(places)), places
        assert {e.causation_id for e in story} - {None} <= causes[key]
        assert len({e.correlation_id for e in story}) == 1


def _ids_of(pipeline: Pipeline, read: Read) -> set[Any]:
    try:
        return {pipeline.codec.decode(read.event_type, read.key, read.value).event_id}
    except Exception:  # noqa: BLE001 - garbage has no id, and causes nothing
        return set()


async def _headers_say_what_bodies_say(pipeline: Pipeline, read: list[Read]) -> None:
    for r in read:
        if _is_ours(r):
            event = pipeline.codec.decode(r.event_type, r.key, r.value)
            header = r.header
            at = header.pop("ce_time").decode()
            assert at == event.occurred_at.isoformat().replace("+00:00", "Z")
            assert header == {
                "ce_specversion": b"1.0",
                "ce_id": str(event.event_id).encode(),
                "ce_source": b"/payments",
                "ce_type": r.event_type.encode(),
                "ce_subject": event.subject.encode(),
                "content-type": b"application/avro",
            }


async def _one_outcome_each(pipeline: Pipeline, read: list[Read]) -> None:
    """Check that every order is final, nothing of it is open, and its last outcome on the topics is its status.

    A review about money of an order that had its outcome ends with that money, and the outcome stands again.
    """
    orders = dict(await pipeline.rows("SELECT order_id, status FROM orders"))
    assert set(orders.values()) <= FINAL, orders
    outcome = {"PaidAndConfirmed": "paid_and_confirmed", "PaymentFailed": "payment_failed"}
    outcome |= {"OrderCancelled": "cancelled", "PaymentReviewRequired": "manual_review"}
    told: dict[str, dict[int, str]] = defaultdict(dict)
    for r in read:
        if r.event_type in outcome or r.event_type in {"PaymentRefunded", "PaymentVoided"}:
            event: Any = pipeline.codec.decode(r.event_type, r.key, r.value)
            before = told[event.order_id].get(event.order_version)
            told[event.order_id][event.order_version] = outcome.get(r.event_type) or before or "returned"
    assert orders == {order_id: _last(versions) for order_id, versions in told.items()}


def _last(told: dict[int, str]) -> str:
    stands = ""
    reviewed = ""
    for _, what in sorted(told.items()):
        if what == "returned":
            stands = reviewed if stands == "manual_review" and reviewed else stands
        else:
            reviewed = stands if what == "manual_review" else ""
            stands = what
    return stands


async def _shelves_add_up(pipeline: Pipeline) -> None:
    """Check that what was put on a shelf is there, held or sold, as the orders have it; never below zero."""
    for sku, available, reserved, sold, put_in in await pipeline.rows(
        """SELECT s.sku, available, reserved, sold, coalesce((SELECT sum(delta) FROM stock_adjustment a
                  WHERE a.sku = s.sku), 0) FROM stock s"""
    ):
        assert available >= 0
        assert available + reserved + sold == put_in, sku
    of_orders: Counter[tuple[str, str]] = Counter()
    for lines, state in await pipeline.rows(
        "SELECT o.lines, r.state FROM orders o JOIN reservation r USING (order_id)"
    ):
        of_orders.update({(sku, state): quantity for sku, quantity in lines})
    for (lines,) in await pipeline.rows(
        "SELECT q.lines FROM order_request q JOIN reservation r USING (order_number) "
        "WHERE q.kind = 'refund' AND q.taken_at IS NOT NULL AND r.state = 'sold'"
    ):
        of_orders.subtract({(sku, "sold"): quantity for sku, quantity in lines})
    for sku, reserved, sold in await pipeline.rows("SELECT sku, reserved, sold FROM stock"):
        assert (of_orders[sku, "held"], of_orders[sku, "sold"]) == (reserved, sold), sku


async def _money_adds_up(pipeline: Pipeline) -> None:
    """Check that the gateway has exactly what paid orders cost; each effect once for each transaction."""
    entries: dict[str, list[LedgerEntry]] = defaultdict(list)
    for entry in await pipeline.gateway.entries():
        kinds = Counter(effect.kind for effect in entry.effects)
        # A payment has several refunds if somebody asks for them: each has a key of its own.
        assert all(count == 1 for kind, count in kinds.items() if kind != "refund"), entry
        assert len({(effect.kind, effect.key) for effect in entry.effects}) == len(entry.effects), entry
        assert not {"cancel", "capture"} <= kinds.keys(), entry
        entries[str(entry.order_id)].append(entry)
    asked = dict(
        await pipeline.rows("SELECT order_id, sum(returned_minor)::bigint FROM order_request GROUP BY order_id")
    )
    pending = {o for (o,) in await pipeline.rows("SELECT order_id FROM operation WHERE state = 'pending'")}
    for order_id, status, total in await pipeline.rows("SELECT order_id, status, total_minor FROM orders"):
        mine = entries.pop(order_id, [])
        kept = sum(entry.captured_minor - entry.refunded_minor for entry in mine)
        held = [entry for entry in mine if entry.status == "requires_capture"]
        if status == "paid_and_confirmed":
            assert kept == total - asked.get(order_id, 0), order_id
        if status in {"payment_failed", "cancelled"}:
            assert kept == 0 or order_id in pending, order_id
        assert status == "manual_review" or not held, order_id
    assert not entries, "the gateway has money of orders that nobody knows"


async def _tokens_are_gone(pipeline: Pipeline) -> None:
    """Check that no attempt has a token once nothing of it can be sent, and that no message of ours or copy has one."""
    assert not await pipeline.rows(
        """SELECT a.order_id FROM attempt a JOIN orders USING (order_number)
            WHERE token IS NOT NULL
              AND NOT EXISTS (SELECT FROM operation o
                               WHERE o.order_number = a.order_number AND o.attempt = a.attempt
                                 AND o.kind = 'authorize' AND o.state IN ('open', 'unknown') AND NOT o.replayed)"""
    )
    for table in ("event", "dead_letter"):
        # Some tests name an order like its token.
        named = "position('pm_' IN coalesce(order_id, '')) > 0"
        found = f"SELECT id FROM {table} WHERE position('pm_'::bytea IN body) > 0 AND NOT {named}"
        assert not await pipeline.rows(found), table


async def assert_the_audit_holds(pipeline: Pipeline) -> None:
    """Check that the pipeline's own audit says so, too."""
    prefix = pipeline.settings.topic_prefix
    async with await psycopg.AsyncConnection.connect(pipeline.settings.psycopg_url(), autocommit=True) as connection:
        report = await audit(
            connection,
            Scope(pipeline.codec, {r.trigger.TYPE: r.group for r in REACTIONS}, prefix),
            ledger=pipeline.gateway,
        )
    assert report.quiescent
    about_stock = set() if pipeline.settings.inventory == "internal" else {STOCK}
    broken = [(i.id, i.violations) for i in report.invariants if not i.holds and i.id not in about_stock]
    assert not broken, broken
