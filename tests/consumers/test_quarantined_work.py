"""An answer, a call or an order of the sweep that raises waits for an operator; everything else goes on."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from consumers.items_reserved import capture_payment
from consumers.order_confirmed import authorize_payment
from consumers.reactions import REACTIONS
from domain.errors import TooManyQuarantined
from domain.operation import GatewayCall
from domain.ports.gateway import GatewayAnswer
from tests.consumers.broken import SECRETS, BrokenInventory, settles_badly, with_these
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import Pipeline
from tests.consumers.orders import order, retry
from tests.consumers.test_quarantine import rare, waiting

pytestmark = pytest.mark.integration

KEPT = "SELECT kind, order_id, operation_id IS NOT NULL, released_at IS NULL FROM quarantine"


async def until_kept(pipeline: Pipeline, count: int = 1) -> None:
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM quarantine HAVING count(*) = %s", count), "quarantine")


async def until_expired(pipeline: Pipeline, count: int) -> None:
    expired = "SELECT 1 FROM reservation WHERE state = 'expired' HAVING count(*) = %s"
    await pipeline.until(lambda: pipeline.has(expired, count), "expiry")


@pytest.mark.parametrize("others", [3, 40])
async def test_answer_that_raises_keeps_its_operation_and_the_others_are_settled(
    make_pipeline: MakePipeline, others: int
) -> None:
    pipeline = await make_pipeline(topic_partitions=1)
    await pipeline.stock(SKU_1=200, SKU_2=200)
    good = [f"order-{n}" for n in range(others)]
    await pipeline.publish(*map(order, good[1:]), order("bad"), order(good[0]))
    with capture_logs() as log:
        member = await pipeline.join(with_these(settles_badly(authorize_payment, {"bad"})))
        await pipeline.until_status("paid_and_confirmed", *good)
        await until_kept(pipeline)
    assert await pipeline.rows(KEPT) == [("operation", "bad", True, True)]
    assert await pipeline.rows("SELECT state, due_at FROM operation WHERE order_id = 'bad'") == [("open", None)]
    ((detail, trace),) = await pipeline.rows("SELECT detail, trace FROM quarantine")
    assert detail.startswith("BrokenError: no luck")
    assert "in settle" in trace
    (alarm,) = [line for line in log if line.get("reason") == "quarantined"]
    assert (alarm["alarm"], alarm["order_id"]) == (True, "bad")
    assert alarm["exc_info"].__traceback__ is not None
    await pipeline.until_quiet()
    report = await waiting(pipeline)
    assert any("for an operator to settle" in note for i in report.invariants for note in i.notes)
    assert not member.task.done()
    assert await pipeline.effects("bad") == ["authorize"]


async def test_later_messages_of_an_order_whose_answer_raised_wait_behind_it(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline()
    await pipeline.publish(order("bad"))
    await pipeline.join(with_these(settles_badly(authorize_payment, {"bad"})))
    await until_kept(pipeline)
    await pipeline.publish(retry("bad"))
    await pipeline.until_quiet()
    assert await pipeline.rows("SELECT reason, behind FROM dead_letter") == [("quarantined", True)]


@pytest.mark.parametrize("others", [1, 30])
async def test_call_that_raises_keeps_its_operation_and_no_other_is_executed_twice(
    make_pipeline: MakePipeline, others: int
) -> None:
    pipeline = await make_pipeline(topic_partitions=1)
    await pipeline.stock(SKU_1=200, SKU_2=200)
    pipeline.gateway.raises_for.add("bad")
    good = [f"order-{n}" for n in range(others)]
    await pipeline.publish(*map(order, good[1:]), order("bad"), order(good[0]))
    with capture_logs() as log:
        member = await pipeline.join()
        await pipeline.until_status("paid_and_confirmed", *good)
        await until_kept(pipeline)
    assert await pipeline.rows(KEPT) == [("operation", "bad", True, True)]
    assert await pipeline.rows("SELECT state, due_at FROM operation WHERE order_id = 'bad'") == [("open", None)]
    for name in good:
        assert await pipeline.effects(name) == ["authorize", "capture"]
    assert not [line for line in log if "pm_card_visa" in str(line.get("detail"))]
    await pipeline.until_quiet()
    await waiting(pipeline)
    assert not member.task.done()


async def test_adapters_own_time_out_is_no_end_of_the_lease(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline()

    async def late(calls: Sequence[GatewayCall], _: object = None) -> AsyncIterator[Sequence[GatewayAnswer]]:
        if calls:
            raise TimeoutError
        yield ()

    async def no_refunds(_: object) -> AsyncIterator[Sequence[object]]:
        yield ()

    gateway = SimpleNamespace(perform=late, look_up=late, late_refunds=no_refunds)
    await pipeline.publish(order("bad"))
    await pipeline.join(ports={"gateway": gateway})
    await until_kept(pipeline)
    assert await pipeline.value("SELECT detail FROM quarantine") == "TimeoutError"


async def test_hold_whose_expiry_raises_is_passed_over_and_the_others_run_out(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(reservation_ttl_s=0.2)
    await pipeline.stock(SKU_1=50, SKU_2=50, SKU_3=10)
    good = [f"order-{n}" for n in range(5)]
    await pipeline.publish(*map(order, good), rare("bad"))
    first = await pipeline.join([r for r in REACTIONS if r is not capture_payment], sweep=False)
    await pipeline.until_status("items_reserved", *good, "bad")
    await first.leave()
    await pipeline.rows("UPDATE reservation SET expires_at = now() WHERE state = 'held'")
    member = await pipeline.join([], ports={"inventory": BrokenInventory("SKU-3")})
    await pipeline.until(
        lambda: pipeline.has("SELECT 1 FROM reservation WHERE state = 'expired' HAVING count(*) = 5"), "expiry"
    )
    await until_kept(pipeline)
    assert await pipeline.rows(KEPT) == [("order", "bad", False, True)]
    later = order("later")
    await pipeline.publish(later)
    await member.leave()
    again = await pipeline.join(
        [r for r in REACTIONS if r is not capture_payment], ports={"inventory": BrokenInventory("SKU-3")}
    )
    await pipeline.until(
        lambda: pipeline.has("SELECT 1 FROM reservation WHERE state = 'expired' HAVING count(*) = 6"), "expiry"
    )
    assert await pipeline.value("SELECT count(*) FROM quarantine") == 1
    assert not again.task.done()


async def test_order_that_cannot_be_read_does_not_stop_the_revival_of_others(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline()
    await pipeline.stock(SKU_1=50, SKU_2=50)
    good = [f"order-{n}" for n in range(5)]
    await pipeline.publish(*map(order, good), order("bad"))
    first = await pipeline.join([authorize_payment], relay=False, sweep=False)
    await pipeline.until_status("payment_authorized", *good, "bad")
    await first.leave()
    await pipeline.rows("DELETE FROM outbox")
    await pipeline.rows("UPDATE orders SET updated_at = now() - interval '16 minutes'")
    await pipeline.rows("UPDATE orders SET lines = '[[1]]' WHERE order_id = 'bad'")
    member = await pipeline.join()
    await pipeline.until_status("paid_and_confirmed", *good)
    await until_kept(pipeline)
    assert await pipeline.rows(KEPT) == [("order", "bad", False, True)]
    assert not member.task.done()


async def test_message_of_an_order_that_cannot_be_read_waits_alone(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(topic_partitions=1)
    await pipeline.stock(SKU_1=50, SKU_2=50)
    good = [f"order-{n}" for n in range(5)]
    await pipeline.publish(*map(order, good), order("bad"))
    first = await pipeline.join([authorize_payment], relay=False, sweep=False)
    await pipeline.until_status("payment_authorized", *good, "bad")
    await first.leave()
    await pipeline.rows("UPDATE orders SET lines = '[[1]]' WHERE order_id = 'bad'")
    await pipeline.join()
    await pipeline.until_status("paid_and_confirmed", *good)
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM dead_letter"), "the quarantine")
    assert await pipeline.rows("SELECT consumer_group, order_id, own_inbox, behind FROM dead_letter") == [
        ("payments.reserve_items", "bad", True, False)
    ]


async def test_order_in_quarantine_is_not_revived_and_its_goods_run_out(make_pipeline: MakePipeline) -> None:
    from tests.consumers.broken import plans_badly

    pipeline = await make_pipeline(reservation_ttl_s=0.2)
    await pipeline.stock(SKU_1=10, SKU_2=10)
    await pipeline.publish(order("bad"))
    await pipeline.join(with_these(plans_badly(capture_payment, {"bad"})))
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM dead_letter"), "the quarantine")
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM reservation WHERE state = 'expired'"), "expiry")
    assert await pipeline.shelf("SKU-1") == (10, 0, 0)
    await pipeline.rows("UPDATE orders SET updated_at = now() - interval '16 minutes'")
    store = pipeline.store()
    assert await store.stuck_orders(timedelta(minutes=15).total_seconds(), 10) == []
    await pipeline.rows("UPDATE dead_letter SET waits = false")
    assert await store.stuck_orders(timedelta(minutes=15).total_seconds(), 10) == ["bad"]


async def test_operations_and_messages_count_together_for_the_limit(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(topic_partitions=1, quarantine_max=2)
    bad = {f"bad-{n}" for n in range(3)}
    await pipeline.publish(*map(order, sorted(bad)))
    member = await pipeline.join(with_these(settles_badly(authorize_payment, bad)))
    with pytest.raises(BaseExceptionGroup) as raised:
        await member.task
    await member.crash()
    pipeline.members.remove(member)
    assert raised.group_contains(TooManyQuarantined, depth=None)
    assert await pipeline.value("SELECT count(*) FROM quarantine") == 2
    assert await pipeline.value("SELECT count(*) FROM operation WHERE due_at IS NOT NULL") == 1
    assert not [secret for secret in SECRETS if secret in str(raised.value.exceptions)]
