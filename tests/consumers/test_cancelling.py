"""A cancel at every point of an order's life, on real servers: it ends cancelled with the money back, or refused."""

from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from consumers.items_reserved import capture_payment
from consumers.payment_authorized import reserve_items
from consumers.reactions import REACTIONS
from deploy.views.early_text import early_documents, early_lines, not_come
from domain.failure_codes import FailureCode
from domain.ids import OrderId
from domain.operation import OperationKind
from domain.outcome import Declined, Unknown
from domain.ruling import No, Ruling, Word
from outbox.operators.early_list import early_list
from outbox.operators.queries import snapshot
from schemas.events import Line
from tests.consumers.claims import assert_all_is_well
from tests.consumers.conftest import MakePipeline
from tests.consumers.gateway import Said
from tests.consumers.harness import Pipeline
from tests.consumers.orders import FREE, TOTAL_MINOR, cancel, order, preparation, retry
from tests.schemas.builders import event_id

pytestmark = pytest.mark.integration

K = OperationKind
NOWHERE: Final = (Line(sku="SKU-9", quantity=1, unit_price_minor=3_000),)
RETURN_URL: Final = "https://shop.example/back/{order_id}"
OUTSIDE: Final = "outside:SEPA-7"


async def told(pipeline: Pipeline, order_id: str = "order-1") -> list[str]:
    """Return what the customer was told, in order."""
    query = "SELECT kind FROM notification WHERE order_id = %s ORDER BY occurred_at, recorded_at, kind"
    return [kind for (kind,) in await pipeline.rows(query, order_id)]


async def outcome(pipeline: Pipeline, order_id: str = "order-1") -> tuple[str, int]:
    """Return money and amount of OrderCancelled, told once."""
    (event,) = await pipeline.events(order_id, "OrderCancelled")
    return str(event.money), event.amount_minor


async def refusals(pipeline: Pipeline, order_id: str = "order-1") -> list[tuple[str, str]]:
    return [(e.request_id, str(e.reason)) for e in await pipeline.events(order_id, "CancellationRefused")]


async def states(pipeline: Pipeline, order_id: str = "order-1") -> list[tuple[str, str, str | None]]:
    query = "SELECT request_id, state, refused FROM order_request WHERE order_id = %s ORDER BY arrival"
    return [(name, state, refused) for name, state, refused in await pipeline.rows(query, order_id)]


async def until_noted(pipeline: Pipeline, *order_ids: str) -> None:
    async def noted() -> bool:
        query = "SELECT count(*) FROM order_request WHERE order_id = ANY(%s) AND state IN ('waiting', 'taken')"
        return bool(await pipeline.value(query, list(order_ids)) == len(order_ids))

    await pipeline.until(noted, f"cancels of {order_ids} noted")


async def without(make_pipeline: MakePipeline, *left_out: Any, **settings: Any) -> Pipeline:
    """Make a pipeline in which these reactions do not run yet."""
    pipeline = await make_pipeline(**settings)
    await pipeline.stock(SKU_1=10, SKU_2=10)
    await pipeline.join([reaction for reaction in REACTIONS if reaction not in left_out])
    return pipeline


@pytest.mark.parametrize(
    ("left_out", "status", "effects"),
    [
        (reserve_items, "payment_authorized", ["authorize", "cancel"]),
        (capture_payment, "items_reserved", ["authorize", "cancel"]),
    ],
    ids=["authorized", "reserved"],
)
async def test_before_the_money_is_taken_it_is_voided_and_goods_are_free(
    make_pipeline: MakePipeline, left_out: Any, status: str, effects: list[str]
) -> None:
    pipeline = await without(make_pipeline, left_out)
    await pipeline.publish(order())
    await pipeline.until_status(status, "order-1")
    await pipeline.publish(cancel())
    await pipeline.until_status("cancelled", "order-1")
    await pipeline.join([left_out])
    await assert_all_is_well(pipeline)

    assert await pipeline.effects("order-1") == effects
    assert await outcome(pipeline) == ("NONE", TOTAL_MINOR)
    assert await told(pipeline) == ["CANCELLED"]
    assert await pipeline.shelf("SKU-1") == (10, 0, 0)
    assert await states(pipeline) == [("C-1", "done", None)]


@pytest.mark.parametrize(
    ("kind", "executed", "effects", "money"),
    [
        (K.AUTHORIZE, True, ["authorize", "cancel"], "NONE"),
        (K.AUTHORIZE, False, ["authorize", "cancel"], "NONE"),
        (K.CAPTURE, True, ["authorize", "capture", "refund"], "RETURNED"),
        (K.CAPTURE, False, ["authorize", "capture", "refund"], "RETURNED"),
    ],
    ids=["authorized", "not authorized", "captured", "not captured"],
)
async def test_while_a_call_is_unknown_the_cancel_waits_for_what_came_of_it(
    pipeline: Pipeline, kind: OperationKind, *, executed: bool, effects: list[str], money: str
) -> None:
    # What was not executed is sent again with its key by the look-up that finds nothing, and then given back.
    pipeline.gateway.says["order-1"] = Said(kind, Unknown("time-out"), executed)
    await pipeline.publish(order())

    async def unknown() -> bool:
        return await pipeline.has("SELECT 1 FROM operation WHERE kind = %s AND state = 'unknown'", str(kind))

    await pipeline.until(unknown, "unknown")
    await pipeline.publish(cancel())
    await until_noted(pipeline, "order-1")
    del pipeline.gateway.says["order-1"]
    await pipeline.until_status("cancelled", "order-1")
    await assert_all_is_well(pipeline)

    assert await pipeline.effects("order-1") == effects
    assert await outcome(pipeline) == (money, TOTAL_MINOR)
    assert "PaidAndConfirmed" not in await pipeline.story("order-1")
    assert await told(pipeline) == ["CANCELLED"]


async def test_a_paid_order_is_refunded_within_its_time_and_refused_afterwards(make_pipeline: MakePipeline) -> None:
    pipeline = await without(make_pipeline, cancel_window_s=60)
    await pipeline.publish(order(), order("order-2"), order("free", **FREE))
    await pipeline.until_status("paid_and_confirmed", "order-1", "order-2", "free")
    await pipeline.rows("UPDATE orders SET paid_at = paid_at - interval '61 s' WHERE order_id = 'order-2'")
    await pipeline.publish(cancel(), cancel(), cancel("order-2"), cancel("free"))
    await pipeline.until_status("cancelled", "order-1", "free")
    await assert_all_is_well(pipeline)

    assert await pipeline.effects("order-1") == ["authorize", "capture", "refund"]
    assert await outcome(pipeline) == ("RETURNED", TOTAL_MINOR)
    assert await outcome(pipeline, "free") == ("NONE", 0)
    assert await refusals(pipeline, "order-2") == [("C-1", "TOO_LATE")]
    assert await told(pipeline) == ["CANCELLED"]
    assert await told(pipeline, "order-2") == ["CANCELLATION_REFUSED"]
    assert await pipeline.status("order-2") == "paid_and_confirmed"


async def test_preparation_ends_the_time_and_a_second_cancel_is_refused(pipeline: Pipeline) -> None:
    await pipeline.publish(order(), order("order-2"))
    await pipeline.until_status("paid_and_confirmed", "order-1", "order-2")
    await pipeline.publish(preparation())
    await pipeline.until_quiet()
    await pipeline.publish(cancel(), cancel("order-2"))
    await pipeline.until_status("cancelled", "order-2")
    with capture_logs() as log:
        await pipeline.publish(cancel("order-2", "C-2"), cancel("order-2", reason="another"), preparation("order-2"))
        await assert_all_is_well(pipeline)

    assert await refusals(pipeline) == [("C-1", "PREPARATION_STARTED")]
    assert await refusals(pipeline, "order-2") == [("C-2", "ALREADY_CANCELLED")]
    assert [line["order_id"] for line in log if line.get("reason") == "preparation_of_cancelled"] == ["order-2"]
    assert [reason for _, reason in await pipeline.dead_letters()] == ["conflict"]


async def test_the_same_request_from_two_publishers_is_one_and_with_other_content_a_conflict(
    pipeline: Pipeline,
) -> None:
    await pipeline.publish(order())
    await pipeline.until_status("paid_and_confirmed", "order-1")
    await pipeline.publish(cancel(), cancel(event_id=event_id("again")), cancel(event_id=event_id("x"), reason="other"))
    await pipeline.until_status("cancelled", "order-1")
    await assert_all_is_well(pipeline)
    assert await states(pipeline) == [("C-1", "done", None)]
    assert [reason for _, reason in await pipeline.dead_letters()] == ["conflict"]
    assert await pipeline.effects("order-1") == ["authorize", "capture", "refund"]


async def test_a_failed_order_is_cancelled_if_it_could_be_paid_again_and_then_it_cannot(pipeline: Pipeline) -> None:
    await pipeline.publish(order(token="pm_card_chargeDeclined"), order("order-2", lines=NOWHERE))
    await pipeline.until_status("payment_failed", "order-1", "order-2")
    await pipeline.publish(cancel(), cancel("order-2"))
    await pipeline.until_status("cancelled", "order-1")
    await pipeline.publish(retry())
    await assert_all_is_well(pipeline)

    assert await outcome(pipeline) == ("NONE", TOTAL_MINOR)
    assert await told(pipeline) == ["PAYMENT_FAILED", "CANCELLED", "RETRY_REFUSED"]
    code = "SELECT count(*) FROM notification WHERE text = 'Your order is cancelled. Please order again.'"
    assert await pipeline.value(code) == 1
    assert await refusals(pipeline, "order-2") == [("C-1", "PAYMENT_FAILED")]


async def test_what_its_customer_has_still_to_confirm_is_cancelled_at_the_gateway(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline()
    await pipeline.stock(SKU_1=10, SKU_2=10)
    await pipeline.join(return_url=RETURN_URL, pending_poll_s=3_600)
    await pipeline.publish(order(token="pm_card_authenticationRequired"))
    await pipeline.until_status("action_required", "order-1")
    await pipeline.publish(cancel())
    await pipeline.until_status("cancelled", "order-1")
    await assert_all_is_well(pipeline)

    assert await outcome(pipeline) == ("NONE", TOTAL_MINOR)
    assert await pipeline.effects("order-1") == ["cancel"]
    (transaction,) = [entry.transaction_id for entry in await pipeline.ledger("order-1")]
    assert not pipeline.gateway.act_for_customer(str(transaction), confirms=True), "it is over there"


async def test_a_refund_that_takes_time_cancels_the_order_at_once(make_pipeline: MakePipeline) -> None:
    pipeline = await without(make_pipeline, sandbox_pending_s=3_600)
    await pipeline.publish(order(token="pm_fault_refund_pending"))
    await pipeline.until_status("paid_and_confirmed", "order-1")
    await pipeline.publish(cancel())
    await pipeline.until_status("cancelled", "order-1")
    await pipeline.until_told("CANCELLED")
    assert await outcome(pipeline) == ("RETURNING", TOTAL_MINOR)


async def test_a_refused_refund_is_a_review_whose_end_is_the_cancel(pipeline: Pipeline) -> None:
    await pipeline.publish(order())
    await pipeline.until_status("paid_and_confirmed", "order-1")
    pipeline.gateway.says["order-1"] = Said(K.REFUND, Declined(FailureCode.GATEWAY_REFUSED), executed=False)
    await pipeline.publish(cancel())
    await pipeline.until_status("manual_review", "order-1")
    assert await states(pipeline) == [("C-1", "taken", None)]
    del pipeline.gateway.says["order-1"]

    settled = await pipeline.resolver().resolve(OrderId("order-1"), Ruling(Word.NOT_EXECUTED, "try again", "alice"))
    assert not isinstance(settled, No)
    await pipeline.until_status("cancelled", "order-1")
    await assert_all_is_well(pipeline)
    assert await outcome(pipeline) == ("RETURNED", TOTAL_MINOR)


async def test_a_cancel_in_a_review_is_noted_and_carried_out_when_it_ends(make_pipeline: MakePipeline) -> None:
    pipeline = await without(make_pipeline, unknown_give_up_s=0.3)
    for n, kind in enumerate((K.AUTHORIZE, K.CAPTURE)):
        pipeline.gateway.says[f"order-{n}"] = Said(kind, Unknown("time-out"), executed=True)
    await pipeline.publish(order("order-0"), order("order-1"))
    await pipeline.until_status("manual_review", "order-0", "order-1")
    await pipeline.publish(cancel("order-0"), cancel("order-1"))
    await until_noted(pipeline, "order-0", "order-1")
    pipeline.gateway.says.clear()

    (entry,) = await pipeline.ledger("order-0")
    found = Ruling(Word.EXECUTED, "it is there", "alice", entry.transaction_id)
    assert not isinstance(await pipeline.resolver().resolve(OrderId("order-0"), found), No)
    captured = Ruling(Word.EXECUTED, "it is there", "alice")
    assert not isinstance(await pipeline.resolver().resolve(OrderId("order-1"), captured), No)
    await pipeline.until_status("cancelled", "order-0", "order-1")
    await assert_all_is_well(pipeline)
    assert await pipeline.effects("order-0") == ["authorize", "cancel"]
    assert await pipeline.effects("order-1") == ["authorize", "capture", "refund"]
    assert "PaidAndConfirmed" not in await pipeline.story("order-1")


async def test_before_its_order_nothing_is_called_and_what_has_no_order_is_a_dead_letter(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await without(make_pipeline, early_wait_s=5)
    await pipeline.publish(cancel(), preparation("order-2"), cancel("nobody"), retry("nobody"))

    async def kept() -> bool:
        return bool(await pipeline.value("SELECT count(*) FROM early_message") == 4)

    await pipeline.until(kept, "four early messages")
    with snapshot(str(pipeline.settings.sqlalchemy_url())) as connection:
        waiting, (one,) = early_list(connection), early_list(connection, "order-1")
    assert sorted(row["order_id"] for row in waiting) == ["nobody", "nobody", "order-1", "order-2"]
    prefix = pipeline.settings.topic_prefix
    said = not_come("order-1", [one], prefix, one["received_at"])
    assert said.startswith("order order-1 has not come yet, and this waits for it: OrderCancelRequested (just now; a ")
    assert list(early_lines([one], prefix, one["received_at"]))[1:] == [
        "1 message waits for an order that has not come:",
        f"  order-1: {said.split(': ', 1)[1]}",
    ]
    assert early_documents([one], prefix)[0]["type"] == "OrderCancelRequested"
    await pipeline.publish(order(), order("order-2"))
    await pipeline.until_status("cancelled", "order-1")
    await pipeline.until_status("paid_and_confirmed", "order-2")
    assert await pipeline.ledger("order-1") == []
    assert pipeline.gateway.performed.get("order-1") is None
    await pipeline.publish(cancel("order-2"))

    async def given_up() -> bool:
        return not await pipeline.has("SELECT 1 FROM early_message")

    await pipeline.until(given_up, "given up")
    await assert_all_is_well(pipeline)
    assert await outcome(pipeline) == ("NONE", TOTAL_MINOR)
    assert await refusals(pipeline, "order-2") == [("C-1", "PREPARATION_STARTED")]
    assert sorted(await pipeline.dead_letters()) == [
        ("payments.cancel_order", "unknown_order"),
        ("payments.retry_payment", "unknown_order"),
    ]


async def test_what_missed_its_order_by_a_moment_is_found_by_the_sweep(make_pipeline: MakePipeline) -> None:
    pipeline = await without(make_pipeline, capture_payment, early_wait_s=60)
    await pipeline.publish(cancel())

    async def kept() -> bool:
        return await pipeline.has("SELECT 1 FROM early_message")

    await pipeline.until(kept, "an early message")
    # As if each had been planned before the other was committed: the order does not see the message.
    await pipeline.rows("UPDATE early_message SET order_id = 'order-x'")
    await pipeline.publish(order())
    await pipeline.until_status("items_reserved", "order-1")
    await pipeline.rows("UPDATE early_message SET order_id = 'order-1', look_at = now()")
    await pipeline.until_status("cancelled", "order-1")
    await pipeline.join([capture_payment])
    await assert_all_is_well(pipeline)
    assert await pipeline.effects("order-1") == ["authorize", "cancel"]


async def test_a_disputed_payment_is_not_cancelled(pipeline: Pipeline) -> None:
    await pipeline.publish(order())
    await pipeline.until_status("paid_and_confirmed", "order-1")
    await pipeline.rows("UPDATE orders SET disputed = true")
    await pipeline.publish(cancel())
    await pipeline.until_told("CANCELLATION_REFUSED")
    assert await refusals(pipeline) == [("C-1", "DISPUTED")]


async def test_an_operator_cancels_by_the_same_rules(pipeline: Pipeline) -> None:
    await pipeline.publish(order())
    await pipeline.until_status("paid_and_confirmed", "order-1")
    asker = pipeline.asker()
    assert await asker.ask("cancel_order", cancel("order-9"), "root") is None
    tried = await asker.ask("cancel_order", cancel(), "root", try_only=True)
    assert tried is not None
    assert await states(pipeline) == []
    asked = await asker.ask("cancel_order", cancel(), "root")
    assert asked is not None
    assert asked.new
    again = await asker.ask("cancel_order", cancel(), "root")
    assert again is not None
    assert not again.new
    await pipeline.until_status("cancelled", "order-1")
    await assert_all_is_well(pipeline)
    assert await pipeline.rows("SELECT operator, requested_by FROM order_request") == [("root", "customer-1")]
    other = await asker.ask("cancel_order", cancel(reason="another"), "root")
    assert other is not None
    assert str(other.refused) == "conflict"


@pytest.mark.parametrize(
    ("bank_s", "hold_s", "effects", "money"),
    [(3_600, 2, [], "NONE"), (2, 3_600, ["authorize", "capture", "refund"], "RETURNED")],
    ids=["and never answers", "and takes the money"],
)
async def test_a_bank_that_takes_days_is_asked_to_stop_and_waited_for(
    make_pipeline: MakePipeline, bank_s: float, hold_s: float, effects: list[str], money: str
) -> None:
    pipeline = await make_pipeline(sandbox_pending_s=bank_s)
    await pipeline.stock(SKU_1=10, SKU_2=10)
    await pipeline.join(pending_hold_s=hold_s, pending_poll_s=0.2)
    await pipeline.publish(order(token="pm_debit_days"))

    async def pending() -> bool:
        return await pipeline.has("SELECT 1 FROM operation WHERE state = 'pending'")

    await pipeline.until(pending, "pending")
    await pipeline.publish(cancel())
    await pipeline.until_status("cancelled", "order-1")
    await pipeline.until_told("CANCELLED")
    assert await outcome(pipeline) == (money, TOTAL_MINOR)
    assert await pipeline.effects("order-1") == effects
    closed = "SELECT detail FROM operation WHERE kind = 'authorize' AND state = 'not_executed'"
    assert await pipeline.value(closed) == "cancelled on request"
