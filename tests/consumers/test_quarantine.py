"""One message that raises is set aside with what comes after it of its order; all others are paid meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from consumers.order_confirmed import authorize_payment
from consumers.payment_failed import release_items
from consumers.payment_retry_requested import retry_payment
from deploy.auditing import run_audit
from domain.errors import TooManyQuarantined, TooMuch
from domain.ids import OrderId
from domain.ports.store import Transaction
from outbox.audit import Report
from outbox.store import PostgresStore
from schemas.events import Line
from tests.consumers.broken import (
    SECRETS,
    BrokenInventory,
    BrokenNotifier,
    decodes_badly,
    plans_badly,
    with_these,
    writes_badly,
)
from tests.consumers.claims import assert_all_is_well
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import Pipeline
from tests.consumers.orders import order, other_id, retry
from tests.schemas.builders import event_id

pytestmark = pytest.mark.integration

LETTER = "SELECT reason, detail, waits, behind, own_inbox, masked, count, order_id FROM dead_letter"


def rare(order_id: str, token: str = "pm_card_visa", quantity: int = 1) -> Any:
    """Order something that nobody else does."""
    lines = [Line(sku="SKU-3", quantity=quantity, unit_price_minor=3_000)]
    return order(order_id, token, lines=lines, discount_minor=550)


async def waiting(pipeline: Pipeline) -> Report:
    """Audit everything; it must come to rest, though orders wait, and hold."""
    report = await run_audit(pipeline.settings, topics=True, wait_s=20, ledger=pipeline.gateway)
    assert report.quiescent, report.waiting
    assert [i for i in report.invariants if not i.holds] == []
    return report


async def raises_in_decode(pipeline: Pipeline) -> dict[str, Any]:
    return {"decode": decodes_badly(pipeline.codec.decode, {"bad"})}


async def raises_in_plan(pipeline: Pipeline) -> dict[str, Any]:
    return {"consume": with_these(plans_badly(authorize_payment, {"bad"}))}


async def cannot_be_written_by_us(pipeline: Pipeline) -> dict[str, Any]:
    return {"consume": with_these(writes_badly(authorize_payment, {"bad"}, total_minor=2**63))}


async def cannot_be_stored(pipeline: Pipeline) -> dict[str, Any]:
    """Give PostgreSQL a text that only it refuses: SQLSTATE 22021."""
    return {"consume": with_these(writes_badly(authorize_payment, {"bad"}, customer_id="\0"))}


async def raises_at_the_shelf(pipeline: Pipeline) -> dict[str, Any]:
    return {"ports": {"inventory": BrokenInventory("SKU-3")}}


async def raises_while_telling(pipeline: Pipeline) -> dict[str, Any]:
    return {"ports": {"notifier": BrokenNotifier({"bad"})}}


async def breaks_a_constraint(pipeline: Pipeline) -> dict[str, Any]:
    """Have a sale break a check of the stock each time that it is tried."""
    await pipeline.rows("ALTER TABLE stock ADD CONSTRAINT stock_sold_check CHECK (sold < 1 OR sku <> 'SKU-3')")
    return {}


async def is_refused_by_a_trigger(pipeline: Pipeline) -> dict[str, Any]:
    """Have a trigger that others have put into our database refuse the order: SQLSTATE P0001."""
    await pipeline.rows("""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN IF NEW.order_id = 'bad' THEN RAISE EXCEPTION 'not this one'; END IF; RETURN NEW; END $$""")
    await pipeline.rows("CREATE TRIGGER refuse BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION refuse()")
    return {}


WAYS = [
    (raises_in_decode, None, "BrokenError"),
    (raises_in_plan, None, "BrokenError: no luck with ... and ... of ..., who is ..."),
    (cannot_be_written_by_us, None, "error"),
    (cannot_be_stored, None, "Permanent: PostgreSQL cannot store this (CharacterNotInRepertoire)"),
    (is_refused_by_a_trigger, None, "Permanent: PostgreSQL cannot store this (RaiseException)"),
    (raises_at_the_shelf, "payment_authorized", "BrokenError"),
    (raises_while_telling, "payment_failed", "BrokenError"),
    (breaks_a_constraint, "items_reserved", "Permanent"),
]


@pytest.mark.parametrize("others", [3, 40])
@pytest.mark.parametrize(("way", "status", "detail"), WAYS, ids=[way.__name__ for way, *_ in WAYS])
async def test_whatever_a_message_raises_it_alone_waits_and_the_others_are_paid(
    make_pipeline: MakePipeline,
    way: Callable[[Pipeline], Any],
    status: str | None,
    detail: str,
    others: int,
) -> None:
    pipeline = await make_pipeline(topic_partitions=1)
    await pipeline.stock(SKU_1=200, SKU_2=200, SKU_3=10)
    token = "pm_card_chargeDeclined" if status == "payment_failed" else "pm_wallet_captured"
    good = [f"order-{n}" for n in range(others)]
    await pipeline.publish(*map(order, good[1:]), rare("bad", token), order(good[0]))
    with capture_logs() as log:
        member = await pipeline.join(**await way(pipeline))
        await pipeline.until_status("paid_and_confirmed", *good)
        await pipeline.until(lambda: pipeline.has("SELECT 1 FROM dead_letter"), "the dead letter")
    await pipeline.until_taken()
    ((reason, said, waits, behind, own, masked, count, order_id),) = await pipeline.rows(LETTER)
    assert (reason, waits, behind, count, order_id) == ("quarantined", True, False, 1, "bad")
    # An event of ours has no token to hide.
    assert masked is (way not in {raises_at_the_shelf, raises_while_telling, breaks_a_constraint})
    assert own is (way is not raises_in_decode)
    assert said.startswith(detail) or detail in said
    assert await pipeline.status("bad") == status
    (alarm,) = [line for line in log if line.get("reason") == "quarantined"]
    assert (alarm["alarm"], alarm["order_id"], alarm["detail"]) == (True, "bad", said)
    assert alarm["letter_id"] == await pipeline.value("SELECT id FROM dead_letter")
    assert alarm["exc_info"].__traceback__ is not None
    assert not [secret for secret in SECRETS if secret in said + str(alarm["exc_info"])]
    assert not member.task.done()
    await pipeline.until(lambda: pipeline.has("SELECT 1 WHERE NOT EXISTS (SELECT FROM outbox)"), "all is sent")
    report = await waiting(pipeline)
    assert any("1 order waits in quarantine (bad)" in note for note in report.invariants[6].notes)


async def test_letter_keeps_the_bytes_and_the_copy_says_quarantined(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline()
    bad = order("bad")
    await pipeline.publish(bad)
    await pipeline.join(with_these(plans_badly(authorize_payment, {"bad"})))
    await pipeline.until_taken()
    assert await pipeline.rows("SELECT key, original, event_id FROM dead_letter") == [
        (b"bad", pipeline.codec.encode(bad), bad.event_id)
    ]
    await pipeline.until(lambda: pipeline.has("SELECT 1 WHERE NOT EXISTS (SELECT FROM outbox)"), "it is sent")
    (copy,) = await pipeline.topics("OrderConfirmed", dead_letters=True)
    shown = pipeline.codec.hide("OrderConfirmed", pipeline.codec.encode(bad)).body
    assert (copy.value, copy.header["payments_reason"]) == (shown, b"quarantined")


async def test_what_comes_later_of_the_order_waits_behind_and_what_cleans_up_goes_on(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await make_pipeline(topic_partitions=1)
    await pipeline.stock(SKU_1=10, SKU_2=10)
    bad = {"bad"}
    consume = with_these(plans_badly(retry_payment, bad))
    await pipeline.publish(order("bad", "pm_card_chargeDeclined"), order("good"))
    await pipeline.join(consume)
    await pipeline.until_status("payment_failed", "bad")
    await pipeline.publish(retry("bad"))
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM dead_letter"), "the head")
    bad.clear()
    # It would not raise any more: it waits because the first one does.
    second = retry("bad", event_id=event_id("second"))
    changed = order("bad", event_id=other_id("bad"), tax_minor=90)
    await pipeline.publish(second, order("bad", "pm_card_chargeDeclined"), changed, retry("good"))
    await pipeline.until_quiet()
    letters = await pipeline.rows("SELECT event_id, waits, behind, own_inbox FROM dead_letter ORDER BY id")
    assert letters[0] == (retry("bad").event_id, True, False, True)
    assert sorted(letters[1:]) == sorted([(second.event_id, True, True, True), (changed.event_id, True, True, True)])
    assert await pipeline.value("SELECT attempt FROM orders WHERE order_id = 'bad'") == 1
    told = await pipeline.rows("SELECT order_id, kind FROM notification ORDER BY recorded_at")
    assert ("bad", "PAYMENT_FAILED") in told
    assert ("good", "RETRY_REFUSED") in told


async def test_answers_and_released_goods_of_an_order_in_quarantine_go_on(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline()
    await pipeline.stock(SKU_1=10, SKU_2=10)
    pipeline.gateway.hangs_for.add("bad")
    await pipeline.publish(order("bad", "pm_fault_capture_refused"))
    await pipeline.join(with_these(plans_badly(retry_payment, {"bad"})))
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM operation"), "the call")
    await pipeline.publish(retry("bad"))
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM dead_letter WHERE waits"), "the quarantine")
    pipeline.gateway.hangs_for.clear()
    await pipeline.end_leases()
    await pipeline.until_status("payment_authorized", "bad")
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM dead_letter WHERE behind"), "the next step waits")
    assert await pipeline.rows("SELECT consumer_group, behind FROM dead_letter ORDER BY id") == [
        ("payments.retry_payment", False),
        ("payments.reserve_items", True),
    ]


async def test_message_of_an_order_that_does_not_exist_holds_back_the_other_groups(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline()
    await pipeline.publish(order("bad"))
    await pipeline.join(with_these(plans_badly(authorize_payment, {"bad"})))
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM dead_letter"), "the quarantine")
    await pipeline.publish(retry("bad"), order("bad", event_id=other_id("bad")))
    await pipeline.until_taken()
    assert sorted(await pipeline.rows("SELECT consumer_group, reason, behind FROM dead_letter")) == [
        ("payments.authorize_payment", "quarantined", False),
        ("payments.authorize_payment", "quarantined", True),
        ("payments.retry_payment", "quarantined", True),
    ]
    assert await pipeline.status("bad") is None


async def test_message_that_comes_again_after_its_quarantine_is_a_repetition(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(topic_partitions=1)
    broken = with_these(plans_badly(authorize_payment, {"bad"}))
    first = await pipeline.join(broken)
    await pipeline.publish(order("bad"))
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM dead_letter"), "the quarantine")
    await first.crash()
    await pipeline.publish(order("bad"), retry("bad"))
    with capture_logs() as log:
        await pipeline.join(broken)
        await pipeline.until_taken()
    assert [line for line in log if line.get("reason") == "quarantined"] == []
    assert await pipeline.value("SELECT count(*) FROM dead_letter WHERE NOT behind") == 1


async def test_undecodable_by_a_bug_is_set_aside_once_however_often_it_comes(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(topic_partitions=1, quarantine_max=1)
    from tests.consumers.sources import ListSource, consume, message_of

    message = message_of(pipeline, order("bad"), offset=3)
    decode = decodes_badly(pipeline.codec.decode, {"bad"})
    for _ in range(3):
        engine = pipeline.engine(pipeline.store(), decode)
        await consume(engine, authorize_payment, ListSource([message], 1))
    assert await pipeline.rows("SELECT order_id, event_id, own_inbox, behind FROM dead_letter") == [
        ("bad", None, False, False)
    ]


async def ended(pipeline: Pipeline, consume: Sequence[Any]) -> str:
    """Let a process run until it ends by itself; return what it says."""
    member = await pipeline.join(consume)
    with pytest.raises(BaseExceptionGroup) as raised:
        await member.task
    await member.crash()
    pipeline.members.remove(member)
    assert raised.group_contains(TooManyQuarantined, depth=None)
    return str(raised.value.exceptions[0].exceptions[0])


async def test_more_than_the_limit_stops_the_process_also_after_a_restart_and_nothing_is_lost(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await make_pipeline(topic_partitions=1, quarantine_max=2)
    await pipeline.stock(SKU_1=100, SKU_2=100)
    bad = {f"bad-{n}" for n in range(6)}
    names = [name for n in range(6) for name in (f"good-{n}", f"bad-{n}")]
    await pipeline.publish(*map(order, names))
    broken = with_these(plans_badly(authorize_payment, bad))
    for _ in range(2):
        said = await ended(pipeline, broken)
        assert "PAYMENTS_QUARANTINE_MAX is 2" in said
        assert not [secret for secret in SECRETS if secret in said]
        assert await pipeline.value("SELECT count(*) FROM dead_letter WHERE reason = 'quarantined'") == 2
    assert await pipeline.value("SELECT count(*) FROM orders WHERE order_id LIKE 'bad%%' AND %s", True) == 0
    # Ten minutes later there is room for two more, and with the right release for everybody.
    await pipeline.rows("UPDATE dead_letter SET first_at = first_at - interval '11 minutes'")
    await ended(pipeline, broken)
    assert await pipeline.value("SELECT count(*) FROM dead_letter WHERE reason = 'quarantined'") == 4
    # A process that ends by itself gives nothing back.
    await pipeline.end_leases()
    await pipeline.join()
    waiting_ones = {row[0] for row in await pipeline.rows("SELECT order_id FROM dead_letter")}
    await pipeline.until_status("paid_and_confirmed", *(name for name in names if name not in waiting_ones))
    await pipeline.until_taken()


async def test_what_waits_behind_others_does_not_count_for_the_limit(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(topic_partitions=1, quarantine_max=1)
    await pipeline.publish(order("bad"))
    member = await pipeline.join(with_these(plans_badly(authorize_payment, {"bad"})))
    for n in range(5):
        await pipeline.publish(order("bad", event_id=event_id(f"copy {n}"), tax_minor=80 + n, total_minor=3_080 + n))
    await pipeline.until_taken()
    assert await pipeline.rows("SELECT behind, count(*) FROM dead_letter GROUP BY 1 ORDER BY 1") == [
        (False, 1),
        (True, 5),
    ]
    assert not member.task.done()


async def test_lost_memory_is_no_fault_of_a_message(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline()
    await pipeline.publish(order("bad"))
    member = await pipeline.join(with_these(plans_badly(authorize_payment, {"bad"}, MemoryError)))
    with pytest.raises(BaseExceptionGroup) as raised:
        await member.task
    pipeline.members.remove(member)
    assert raised.group_contains(MemoryError, depth=None)
    assert await pipeline.dead_letters() == []


async def test_database_that_does_not_fit_the_release_stops_it_and_quarantines_nothing(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await make_pipeline()
    await pipeline.rows("ALTER TABLE orders RENAME COLUMN resends TO resent")
    await pipeline.publish(order("good"))
    member = await pipeline.join()
    with pytest.raises(BaseExceptionGroup):
        await member.task
    pipeline.members.remove(member)
    assert await pipeline.dead_letters() == []


async def test_releases_of_goods_raise_alone_too(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline()
    await pipeline.stock(SKU_1=10, SKU_2=10)
    await pipeline.publish(order("bad", "pm_fault_capture_refused"), order("good", "pm_fault_capture_refused"))
    await pipeline.join(with_these(plans_badly(release_items, {"bad"})))
    await pipeline.until_status("payment_failed", "bad", "good")
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM dead_letter"), "the quarantine")
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM reservation WHERE state = 'released'"), "released")
    await pipeline.until_quiet()
    assert await pipeline.shelf("SKU-1") == (8, 2, 0)
    await waiting(pipeline)


class StopsDead:
    """A store that hangs once so many of its transactions have committed: there the process is killed."""

    def __init__(self, store: PostgresStore, after: int) -> None:
        self._store = store
        self._left = after
        self.reached = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @asynccontextmanager
    async def transaction(self, *, contended: bool = False) -> AsyncIterator[Transaction]:
        """Commit, then hang."""
        async with self._store.transaction(contended=contended) as transaction:
            yield transaction
        self._left -= 1
        if self._left <= 0:
            self.reached.set()
            await asyncio.Event().wait()


@pytest.mark.parametrize("after", [1, 2, 4, 6])
async def test_process_that_is_killed_in_the_middle_of_cutting_leaves_nothing_twice_and_nothing_undone(
    make_pipeline: MakePipeline, after: int
) -> None:
    pipeline = await make_pipeline(topic_partitions=1)
    await pipeline.stock(SKU_1=200, SKU_2=200)
    names = [f"order-{n}" for n in range(32)]
    await pipeline.publish(*map(order, names[:20]), order("bad"), *map(order, names[20:]))
    broken = plans_badly(authorize_payment, {"bad"})
    made: list[StopsDead] = []

    def stopping(store: PostgresStore) -> Any:
        made.append(StopsDead(store, after))
        return made[0]

    first = await pipeline.join([broken], relay=False, sweep=False, wrap=stopping)
    async with asyncio.timeout(30):
        await made[0].reached.wait()
    await first.crash()
    await pipeline.end_leases()
    await pipeline.join(with_these(broken))
    await pipeline.until_status("paid_and_confirmed", *names)
    await pipeline.until_quiet()
    assert await pipeline.rows("SELECT order_id, behind, count FROM dead_letter") == [("bad", False, 1)]
    assert await pipeline.value("SELECT count(*) FROM inbox WHERE consumer_group = %s", broken.group) == 33
    for name in names:
        assert await pipeline.effects(name) == ["authorize", "capture"], name
    await waiting(pipeline)


class TakesOnlySo:
    """A store whose database gives up on transactions over more orders than this."""

    def __init__(self, store: PostgresStore, orders_max: list[int]) -> None:
        self._store = store
        self._orders_max = orders_max
        self.refused: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @asynccontextmanager
    async def transaction(self, *, contended: bool = False) -> AsyncIterator[Any]:
        """Give up where PostgreSQL would: in the statement."""
        async with self._store.transaction(contended=contended) as transaction:
            load = transaction.load

            async def counted(order_ids: Sequence[OrderId], **how: Any) -> Any:
                if len(order_ids) > self._orders_max[0]:
                    self.refused.append(len(order_ids))
                    raise TooMuch("canceling statement due to statement timeout")
                return await load(order_ids, **how)

            transaction.load = counted  # type: ignore[method-assign]
            yield transaction


async def test_batch_that_is_too_much_for_the_database_is_done_in_halves_and_a_single_one_waits(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await make_pipeline(topic_partitions=1)
    await pipeline.stock(SKU_1=200, SKU_2=200)
    names = [f"order-{n}" for n in range(20)]
    await pipeline.publish(*map(order, names))
    most = [3]
    made: list[TakesOnlySo] = []

    def small(store: PostgresStore) -> Any:
        made.append(TakesOnlySo(store, most))
        return made[0]

    await pipeline.join(wrap=small)
    await pipeline.until_status("paid_and_confirmed", *names)
    assert max(made[0].refused) > 3
    most[0] = 0
    with capture_logs() as log:
        await pipeline.publish(order("last"))

        async def waits() -> bool:
            return any(line.get("reason") == "dependency_down" for line in log)

        await pipeline.until(waits, "an alarm")
    most[0] = 1
    await pipeline.until_status("paid_and_confirmed", "last")
    await assert_all_is_well(pipeline)
    assert await pipeline.dead_letters() == []
