"""A redriven letter has its effect once, in its place, whoever asks how often; and what it cannot do it says."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from consumers.adapters.inventory.internal import InternalInventory
from consumers.adapters.notifier import LogNotifier
from consumers.order_confirmed import authorize_payment
from consumers.payment_failed import release_items
from consumers.payment_retry_requested import retry_payment
from consumers.reactions import BY_NAME
from consumers.runtime.ports import Ports
from consumers.runtime.redriving import Outcome, Redriver
from deploy.bounds import bounds_of
from deploy.redriving import Redriven, redrive_letters
from deploy.wiring import rules_of
from domain.errors import DownForEverybody
from domain.ports.store import Transaction
from domain.values import replace
from outbox.operators.letter_list import Selection, letter_list
from outbox.operators.queries import snapshot
from outbox.store import PostgresStore
from producers.unchecked import encode_unchecked
from tests.consumers.broken import decodes_badly, plans_badly, settles_badly, with_these
from tests.consumers.claims import assert_all_is_well
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import Pipeline, now
from tests.consumers.orders import order, other_id, retry
from tests.consumers.sources import ListSource, consume, message_of
from tests.consumers.test_dead_letters import CARD
from tests.consumers.test_quarantine import waiting
from tests.schemas.builders import event_id

pytestmark = pytest.mark.integration

LETTERS = "SELECT id, reason, count, waits, redriven_at IS NOT NULL FROM dead_letter ORDER BY id"


def redriver(
    pipeline: Pipeline,
    *,
    by: str = "ann",
    dry_run: bool = False,
    store: Any = None,
    reactions: Any = None,
    **rules: Any,
) -> Redriver:
    """Make an operator's redriver: of the right release, unless reactions are given. rules: those that differ."""
    ports = Ports(
        store or pipeline.operators_store(),
        pipeline.gateway,
        InternalInventory(),
        LogNotifier(),
        pipeline.codec.decode,
        pipeline.codec,
    )
    by_name = {r.name: r for r in reactions} if reactions else BY_NAME
    settings = pipeline.settings
    every = replace(rules_of(settings), **rules)
    return Redriver(ports, by_name, every, bounds_of(settings), by=by, dry_run=dry_run)


async def redrive(pipeline: Pipeline, *, dry_run: bool = False, **wanted: Any) -> list[Redriven]:
    """Redrive a selection, as the command does."""
    with snapshot(pipeline.settings.sqlalchemy_url()) as connection:
        records = letter_list(connection, Selection(undone=True, **wanted))
    return await redrive_letters(pipeline.settings, records, by="ann", dry_run=dry_run, whole_orders=True)


async def letter_ids(pipeline: Pipeline) -> list[int]:
    return [row[0] for row in await pipeline.rows("SELECT id FROM dead_letter ORDER BY id")]


async def quarantined(make_pipeline: MakePipeline, *later: Any, **settings: Any) -> Pipeline:
    """Make a pipeline in which an order is in quarantine from its first message on, with what came later behind it."""
    pipeline = await make_pipeline(topic_partitions=1, **settings)
    await pipeline.stock(SKU_1=10, SKU_2=10)
    await pipeline.publish(order("bad"))
    broken = await pipeline.join(with_these(plans_badly(authorize_payment, {"bad"})))
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM dead_letter"), "the head")
    await pipeline.publish(*later)
    await pipeline.until_taken()
    await pipeline.until(lambda: no_early(pipeline), "what waits for an order that never comes is refused")
    await broken.leave()
    return pipeline


async def no_early(pipeline: Pipeline) -> bool:
    """Whether no message waits for its order any more."""
    return not await pipeline.has("SELECT 1 FROM early_message")


async def test_order_in_quarantine_is_paid_once_when_its_letters_are_redriven(make_pipeline: MakePipeline) -> None:
    copy = order("bad", event_id=other_id("bad"))
    pipeline = await quarantined(make_pipeline, retry("bad"), copy)
    await pipeline.join()
    done = await redrive(pipeline, order_id="bad")
    assert [one.outcome for one in done if not one.outcome.done] == []
    assert len(done) >= 3
    assert done[0].outcome == Outcome(done=True, result="done: authorize opened")
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM orders WHERE status = 'paid_and_confirmed'"), "paid")
    await pipeline.until(lambda: pipeline.has("SELECT 1 WHERE NOT EXISTS (SELECT FROM dead_letter WHERE waits)"), "")
    assert await pipeline.effects("bad") == ["authorize", "capture"]
    # What the order does meanwhile may be a letter, too. Each was copied to its topic when it came, and never again.
    letters = await pipeline.value("SELECT count(*) FROM dead_letter")
    assert await pipeline.value("SELECT count(*) FROM event WHERE order_version = 0") == letters >= 3
    who = await pipeline.rows('SELECT letter_id, kind, "by", result FROM redrive ORDER BY id LIMIT 1')
    assert who == [(done[0].record["number"], "letter", "ann", "done: authorize opened")]


async def test_what_a_redrive_opens_is_due_at_once(make_pipeline: MakePipeline) -> None:
    pipeline = await quarantined(make_pipeline)
    (letter_id,) = await letter_ids(pipeline)
    assert (await redriver(pipeline).redrive(letter_id)).done
    assert await pipeline.rows("SELECT state, due_at <= now(), tries FROM operation") == [("open", True, 0)]
    await pipeline.join()
    await pipeline.until_status("paid_and_confirmed", "bad")
    await assert_all_is_well(pipeline)


async def test_of_two_operators_at_once_one_has_the_effect_and_the_other_is_told(make_pipeline: MakePipeline) -> None:
    pipeline = await quarantined(make_pipeline)
    (letter_id,) = await letter_ids(pipeline)
    operators = [redriver(pipeline, by=f"operator-{n}") for n in range(4)]
    outcomes = await asyncio.gather(*(operator.redrive(letter_id) for operator in operators))
    assert sorted(outcome.result for outcome in outcomes) == ["already redriven"] * 3 + ["done: authorize opened"]
    assert sum(outcome.done for outcome in outcomes) == 1
    assert await pipeline.value("SELECT count(*) FROM operation") == 1
    assert await pipeline.value("SELECT count(*) FROM redrive") == 1


async def test_letter_that_waits_behind_another_is_refused_until_that_one_is_redriven(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await quarantined(make_pipeline, order("bad", event_id=other_id("bad")))
    head, behind = await letter_ids(pipeline)
    operator = redriver(pipeline)
    refused = Outcome(done=False, result=f"waits behind {head}: redrive that first", ahead=str(head))
    assert await operator.redrive(behind) == refused
    assert await pipeline.value("SELECT count(*) FROM redrive") == 0
    assert (await operator.redrive(head)).done
    assert await operator.redrive(behind) == Outcome(done=True, result="done: no effect")


async def test_release_that_still_raises_keeps_letter_and_order_waiting(make_pipeline: MakePipeline) -> None:
    pipeline = await quarantined(make_pipeline, order("bad", event_id=other_id("bad")))
    head, behind = await letter_ids(pipeline)
    copies = await pipeline.value("SELECT count(*) FROM event")
    still_broken = redriver(pipeline, reactions=with_these(plans_badly(authorize_payment, {"bad"})))
    with capture_logs() as log:
        outcome = await still_broken.redrive(head)
    assert not outcome.done
    assert outcome.result.startswith("raised again: BrokenError: no luck")
    assert [line["alarm"] for line in log if line.get("reason") == "quarantined"] == [True]
    assert await pipeline.rows(LETTERS) == [
        (head, "quarantined", 2, True, False),
        (behind, "quarantined", 1, True, False),
    ]
    assert not (await still_broken.redrive(behind)).done
    assert await pipeline.value("SELECT count(*) FROM event") == copies
    assert (await redriver(pipeline).redrive(head)).done


async def test_letter_that_is_refused_again_comes_back_with_its_count_and_without_a_second_copy(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await make_pipeline()
    await pipeline.stock(SKU_1=10, SKU_2=10)
    await pipeline.join()
    await pipeline.publish(retry("early"))
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM dead_letter"), "the letter")
    (letter_id,) = await letter_ids(pipeline)
    operator = redriver(pipeline)
    for count in (2, 3):
        outcome = await operator.redrive(letter_id)
        assert outcome.result.startswith("refused again: unknown_order")
        assert await pipeline.rows(LETTERS) == [(letter_id, "unknown_order", count, False, False)]
    await pipeline.publish(order("early", "pm_card_chargeDeclined"))
    await pipeline.until_status("payment_failed", "early")
    assert (await operator.redrive(letter_id)).result == "done: authorize opened"
    await pipeline.until_status("paid_and_confirmed", "early")
    await assert_all_is_well(pipeline)
    assert len(await pipeline.topics("PaymentRetryRequested", dead_letters=True)) == 1
    assert [row[0] for row in await pipeline.rows("SELECT kind FROM redrive")] == ["letter"] * 3


async def test_letter_of_the_release_before_is_listed_by_its_order_and_redriven(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline()
    await pipeline.stock(SKU_1=10, SKU_2=10)
    await pipeline.join()
    await pipeline.publish(retry("early"))
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM dead_letter"), "the letter")
    await pipeline.rows("UPDATE dead_letter SET origin = '', own_inbox = false, event_id = NULL, order_id = NULL")
    await pipeline.publish(order("early", "pm_card_chargeDeclined"))
    await pipeline.until_status("payment_failed", "early")
    (one,) = await redrive(pipeline, order_id="early")
    assert one.outcome.result == "done: authorize opened"
    await pipeline.until_status("paid_and_confirmed", "early")


async def test_copy_that_was_published_meanwhile_counts_once(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(topic_partitions=1)
    await pipeline.stock(SKU_1=10, SKU_2=10)
    early = [order(name, occurred_at=now() + timedelta(seconds=400)) for name in ("copied", "redriven")]
    await pipeline.publish(*early)
    await pipeline.join()
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM dead_letter HAVING count(*) = 2"), "the letters")
    assert await pipeline.rows("SELECT reason, own_inbox FROM dead_letter") == [("from_the_future", False)] * 2
    copied, redriven = await letter_ids(pipeline)
    # Its hour has come.
    settled = redriver(pipeline, clock_skew_max_s=1_000)
    again = await pipeline.join(clock_skew_max_s=1_000)
    assert (await settled.redrive(redriven)).result == "done: authorize opened"
    await pipeline.members[0].leave()
    await pipeline.publish(*early)
    await pipeline.until_status("paid_and_confirmed", "copied", "redriven")
    assert (await settled.redrive(copied)) == Outcome(done=True, result="no effect: a copy of it was processed before")
    assert await pipeline.effects("copied") == await pipeline.effects("redriven") == ["authorize", "capture"]
    assert not again.task.done()


async def test_undecodable_by_a_bug_is_read_and_paid_by_the_right_release(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline()
    await pipeline.stock(SKU_1=10, SKU_2=10)
    broken = await pipeline.join(decode=decodes_badly(pipeline.codec.decode, {"bad"}))
    await pipeline.publish(order("bad"))
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM dead_letter"), "the letter")
    await broken.leave()
    await pipeline.join()
    (one,) = await redrive(pipeline, order_id="bad")
    assert one.outcome.done
    await pipeline.publish(order("bad"))
    await pipeline.until_status("paid_and_confirmed", "bad")
    await assert_all_is_well(pipeline)
    assert await pipeline.effects("bad") == ["authorize", "capture"]


async def test_body_that_is_masked_says_so_and_a_masked_header_does_no_harm(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(topic_partitions=1)
    await pipeline.stock(SKU_1=10, SKU_2=10)
    said = order("card").model_dump(mode="json") | {"payment_method": {"kind": "CARD", "token": CARD}}
    await pipeline.publish_raw("OrderConfirmed", b"card", encode_unchecked("OrderConfirmed", said))
    await pipeline.publish_raw(
        "OrderConfirmed", b"bad", pipeline.codec.encode(order("bad")), [("note", b"4242 4242 4242 4242")]
    )
    broken = await pipeline.join(with_these(plans_badly(authorize_payment, {"bad"})))
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM dead_letter HAVING count(*) = 2"), "the letters")
    await broken.leave()
    assert await pipeline.rows("SELECT masked FROM dead_letter") == [(True,), (True,)]
    card, bad = await letter_ids(pipeline)
    operator = redriver(pipeline)
    assert (await operator.redrive(card)).result == (
        "cannot be redriven: card numbers are masked in it; have it published anew, without them"
    )
    assert (await operator.redrive(bad)).done


async def test_order_past_its_age_is_never_charged_and_a_dry_run_says_so(make_pipeline: MakePipeline) -> None:
    pipeline = await quarantined(make_pipeline, order_max_age_s=2)
    (letter_id,) = await letter_ids(pipeline)
    await pipeline.until(
        lambda: pipeline.has("SELECT 1 FROM dead_letter WHERE first_at < now() - interval '2.5 s'"), "age"
    )
    before = await everything(pipeline)
    expected = "done: PaymentFailed (order_expired), CustomerNotificationRequested (order_expired)"
    assert await redriver(pipeline, dry_run=True).redrive(letter_id) == Outcome(done=True, result=expected)
    assert await everything(pipeline) == before
    assert await redriver(pipeline).redrive(letter_id) == Outcome(done=True, result=expected)
    await pipeline.join()
    await pipeline.until_status("payment_failed", "bad")
    await assert_all_is_well(pipeline)
    assert await pipeline.effects("bad") == []


async def everything(pipeline: Pipeline) -> Any:
    """Read all that a redrive could change."""
    tables = ("orders", "operation", "attempt", "event", "outbox", "inbox", "dead_letter", "redrive", "notification")
    return [sorted(await pipeline.rows(f"SELECT t::text FROM {table} t")) for table in (*tables, "quarantine")]


async def test_dry_run_changes_nothing_and_tells_what_each_letter_would_do(make_pipeline: MakePipeline) -> None:
    pipeline = await quarantined(make_pipeline, order("bad", event_id=other_id("bad")), retry("nobody"))
    before = await everything(pipeline)
    done = await redrive(pipeline, dry_run=True)
    assert await everything(pipeline) == before
    rows = await pipeline.rows("SELECT id FROM dead_letter ORDER BY order_id = 'nobody', id")
    head, behind, stray = [row[0] for row in rows]
    told = {one.record["id"]: one.outcome for one in done}
    assert told[head] == Outcome(done=True, result="done: authorize opened")
    assert told[behind] == Outcome(done=True, result=f"goes after {head}")
    assert not told[stray].done
    assert told[stray].result.startswith("refused again: unknown_order")


async def test_dry_run_says_what_would_wait_behind_a_letter_that_stays_in_quarantine(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await quarantined(make_pipeline, order("bad", event_id=other_id("bad")))
    head, behind = await letter_ids(pipeline)
    (group,) = {row[0] for row in await pipeline.rows("SELECT consumer_group FROM dead_letter")}
    await pipeline.rows("UPDATE dead_letter SET consumer_group = 'gone' WHERE id = %s", head)
    stays, waits = [one.outcome for one in await redrive(pipeline, dry_run=True)]
    assert "this release has no consumer gone" in stays.result
    assert waits == Outcome(done=False, result=f"would wait behind {head}", holds=True)
    await pipeline.rows("UPDATE dead_letter SET consumer_group = %s, original = 'x' WHERE id = %s", group, head)
    refused, after = [one.outcome for one in await redrive(pipeline, dry_run=True)]
    assert refused.result.startswith("refused again: undecodable")
    assert after == Outcome(done=False, result=f"would go after {head}; what comes of it then cannot be told before")
    really = [one.outcome for one in await redrive(pipeline)]
    assert [outcome.done for outcome in really] == [False, True]
    assert behind == (await letter_ids(pipeline))[1]


async def test_letter_that_is_given_up_is_never_processed_and_the_later_ones_go_in_order(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await make_pipeline(topic_partitions=1)
    await pipeline.stock(SKU_1=10, SKU_2=10)
    said = order("bad").model_dump(mode="json") | {"payment_method": {"kind": "CARD", "token": CARD}}
    raw = encode_unchecked("OrderConfirmed", said)
    await pipeline.publish_raw("OrderConfirmed", b"bad", raw)
    broken = await pipeline.join(decode=decodes_badly(pipeline.codec.decode, {"bad"}))
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM dead_letter"), "the head")
    await pipeline.publish(order("bad", event_id=other_id("bad")), order("bad", event_id=other_id("bad again")))
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM dead_letter HAVING count(*) = 3"), "what waits behind")
    await broken.leave()
    head, second, third = await letter_ids(pipeline)
    operator = redriver(pipeline)
    stands = await operator.redrive(head)
    assert stands.holds
    assert stands.result.startswith("cannot be redriven: card numbers are masked in it")
    assert f"`payments dlq give-up {head}`" in stands.result
    outcomes = await asyncio.gather(*(redriver(pipeline, by=f"op-{n}").give_up(head, "new one sent") for n in range(4)))
    assert sorted(outcome.result for outcome in outcomes) == ["already given up"] * 3 + ["given up: new one sent"]
    assert await pipeline.rows("SELECT letter_id, kind, result FROM redrive") == [
        (head, "letter", "given up: new one sent")
    ]
    assert (await operator.redrive(head)).result == "already given up"
    assert (await operator.redrive(third)).ahead == str(second)
    done = await redrive(pipeline, order_id="bad")
    assert [(one.record["id"], one.outcome.done) for one in done] == [(second, True), (third, True)]
    await pipeline.join()
    await pipeline.until_status("paid_and_confirmed", "bad")
    assert await pipeline.effects("bad") == ["authorize", "capture"]
    assert not await pipeline.has("SELECT 1 FROM dead_letter WHERE waits")
    assert (await operator.give_up(second, "late")).result == "already redriven"


async def test_letter_that_nothing_waits_behind_may_be_given_up_and_nobody_redrives_it_then(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await make_pipeline()
    member = await pipeline.join()
    await pipeline.publish(retry("early"))
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM dead_letter"), "the letter")
    await pipeline.until_quiet()
    await member.leave()
    (letter_id,) = await letter_ids(pipeline)
    assert (await redriver(pipeline).give_up(letter_id, "sent by mistake")).done
    again = await redriver(pipeline).redrive(letter_id)
    assert again == Outcome(done=False, result="already given up")
    assert (await redriver(pipeline).give_up(letter_id + 1, "gone")).result == "there is no such letter"


async def test_dry_run_tells_no_customer(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline()
    from consumers.customer_notification_requested import notify_customer

    await pipeline.publish(order("bad", "pm_card_chargeDeclined"))
    broken = await pipeline.join(with_these(plans_badly(notify_customer, {"bad"})))
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM dead_letter"), "the letter")
    await broken.leave()
    with capture_logs() as log:
        (one,) = await redrive(pipeline, dry_run=True)
    assert one.outcome.result == "done: customer told PAYMENT_FAILED"
    assert [line for line in log if line["event"] == "customers told"] == []
    (one,) = await redrive(pipeline)
    assert await pipeline.rows("SELECT order_id, kind FROM notification") == [("bad", "PAYMENT_FAILED")]


async def test_goods_that_wait_in_quarantine_go_back_to_the_shelf(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline()
    await pipeline.stock(SKU_1=10, SKU_2=10)
    await pipeline.publish(order("bad", "pm_fault_capture_refused"))
    broken = await pipeline.join(with_these(plans_badly(release_items, {"bad"})))
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM dead_letter"), "the letter")
    await pipeline.until_quiet()
    await broken.leave()
    assert await pipeline.shelf("SKU-1") == (8, 2, 0)
    (one,) = await redrive(pipeline)
    assert one.outcome.result == "done: ReservationReleased"
    assert await pipeline.shelf("SKU-1") == (10, 0, 0)
    await pipeline.join()
    await assert_all_is_well(pipeline)


async def test_operation_in_quarantine_is_asked_about_again_and_the_order_goes_on(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline()
    await pipeline.stock(SKU_1=10, SKU_2=10)
    await pipeline.publish(order("bad"))
    broken = await pipeline.join(with_these(settles_badly(authorize_payment, {"bad"})))
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM quarantine"), "the quarantine")
    await pipeline.publish(retry("bad"))
    await pipeline.until_quiet()
    await broken.leave()
    number = await pipeline.value("SELECT id FROM quarantine")
    (behind,) = await letter_ids(pipeline)
    operator = redriver(pipeline)
    assert (await operator.redrive(behind)).result == f"waits behind Q{number}: redrive that first"
    outcomes = await asyncio.gather(*(redriver(pipeline).release(number) for _ in range(3)))
    assert sorted(outcome.result for outcome in outcomes) == ["already redriven"] * 2 + [
        "released: the sweep asks the gateway again"
    ]
    await pipeline.join()
    await pipeline.until_status("payment_authorized", "bad")
    done = await redrive(pipeline)
    assert done[0].outcome.result == "done: CustomerNotificationRequested (in_progress)"
    await pipeline.until_status("paid_and_confirmed", "bad")
    await pipeline.until(lambda: pipeline.has("SELECT 1 WHERE NOT EXISTS (SELECT FROM dead_letter WHERE waits)"), "")
    assert await pipeline.effects("bad") == ["authorize", "capture"]
    await waiting(pipeline)


async def test_conflict_stays_one_however_often_it_is_redriven(pipeline: Pipeline) -> None:
    one_id = event_id("one for two")
    await pipeline.publish(order("first", event_id=one_id))
    await pipeline.until_status("paid_and_confirmed", "first")
    await pipeline.publish(order("second", event_id=one_id))
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM dead_letter"), "the letter")
    (one,) = await redrive(pipeline)
    assert one.outcome.result.startswith("refused again: conflict")
    assert await pipeline.status("second") is None


class LosesCommit:
    """A store whose first transaction commits, and nobody hears of it."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @asynccontextmanager
    async def transaction(self, *, contended: bool = False) -> AsyncIterator[Transaction]:
        """Commit, then fail."""
        async with self._store.transaction(contended=contended) as transaction:
            yield transaction
        raise DownForEverybody("the connection broke while COMMIT was answered")


async def test_redrive_whose_commit_nobody_heard_of_is_found_done(make_pipeline: MakePipeline) -> None:
    pipeline = await quarantined(make_pipeline)
    (letter_id,) = await letter_ids(pipeline)
    with pytest.raises(DownForEverybody):
        await redriver(pipeline, store=LosesCommit(pipeline.operators_store())).redrive(letter_id)
    assert (await redriver(pipeline).redrive(letter_id)).result == "already redriven"
    assert await pipeline.value("SELECT count(*) FROM operation") == 1


async def test_bulk_goes_in_the_order_of_each_orders_messages(make_pipeline: MakePipeline) -> None:
    """The retries were refused first, for their group was quicker; their orders came before them."""
    pipeline = await make_pipeline(topic_partitions=1)
    await pipeline.stock(SKU_1=100, SKU_2=100)
    names = [f"order-{n}" for n in range(5)]
    broken_orders = set(names)
    await pipeline.publish(*(order(name, "pm_card_chargeDeclined") for name in names))
    first = await pipeline.join([plans_badly(authorize_payment, broken_orders)], sweep=False)
    await pipeline.until_taken()
    await first.leave()
    # An old release wrote letters that hold nobody back.
    await pipeline.rows("UPDATE dead_letter SET waits = false, id = id + 1000, reason = 'amount_limit'")
    await pipeline.publish(*map(retry, names))
    second = await pipeline.join([retry_payment])
    await pipeline.until_taken()
    await pipeline.until(lambda: no_early(pipeline), "the retries, whose orders never came, are refused")
    await second.leave()
    done = await redrive(pipeline)
    places = [(one.record["order_id"], one.record["group"].split(".")[-1]) for one in done]
    assert places == [(name, group) for name in names for group in ("authorize_payment", "retry_payment")]


async def test_letters_of_one_order_redriven_while_it_goes_on_all_end(make_pipeline: MakePipeline) -> None:
    """What the order does meanwhile waits behind its letters, and is redriven after them."""
    copies: Sequence[Any] = [order("bad", event_id=event_id(f"copy {n}")) for n in range(30)]
    pipeline = await quarantined(make_pipeline, *copies)
    await pipeline.join()
    done = await redrive(pipeline, order_id="bad")
    assert len(done) >= 31
    assert all(one.outcome.done for one in done)
    await pipeline.until_status("paid_and_confirmed", "bad")
    await assert_all_is_well(pipeline)


async def test_undecodable_by_a_bug_that_comes_again_before_its_redrive_is_paid(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(topic_partitions=1)
    message = message_of(pipeline, order("bad"), offset=3)
    bad_release = pipeline.engine(pipeline.store(), decodes_badly(pipeline.codec.decode, {"bad"}))
    await consume(bad_release, authorize_payment, ListSource([message], 1))
    # The process ended before it committed the offset: the release before reads the message again.
    await consume(pipeline.engine(pipeline.store()), authorize_payment, ListSource([message], 1))
    assert await pipeline.rows("SELECT order_id, own_inbox, waits FROM dead_letter") == [("bad", True, True)]
    assert await pipeline.value("SELECT count(*) FROM orders") == 0
    (one,) = await redrive(pipeline, order_id="bad")
    assert one.outcome.done
    assert await pipeline.value("SELECT status FROM orders WHERE order_id = 'bad'") == "confirmed"
