"""Customers who confirm a payment with their bank, fail to, or never come; and banks that take days."""

from random import Random
from typing import Any, Final

import psycopg
import pytest

from consumers.reactions import REACTIONS
from domain.operation import OperationKind
from domain.outcome import CustomerMustAct, Pending
from outbox.audit import Scope, audit
from outbox.audit.report import Report
from tests.consumers.claims import assert_all_is_well
from tests.consumers.conftest import MakePipeline
from tests.consumers.gateway import Said
from tests.consumers.harness import Pipeline
from tests.consumers.orders import order, retry
from tests.consumers.test_notices import LONG_S, notice

pytestmark = pytest.mark.integration

RETURN_URL: Final = "https://shop.example/back/{order_id}"
ASKS: Final = "pm_card_authenticationRequired"
DECLINES: Final = "pm_card_threeDSecureRequiredChargeDeclined"
AT_ONCE: Final = "pm_wallet_captured"
SOON_S: Final = 0.4


async def begun(
    make_pipeline: MakePipeline, *order_ids: str, token: str = ASKS, poll_s: float = 0.1, **settings: Any
) -> Pipeline:
    """Have orders authorized; what is pending is looked up every poll_s."""
    pipeline = await make_pipeline(**settings)
    await pipeline.stock(SKU_1=1_000, SKU_2=1_000)
    notices = pipeline.store().notices
    await pipeline.join(return_url=RETURN_URL, pending_poll_s=poll_s, ports={"notices": notices})
    await pipeline.publish(*(order(order_id, token) for order_id in order_ids))
    return pipeline


async def transactions(pipeline: Pipeline) -> dict[str, str]:
    return dict(await pipeline.rows("SELECT order_id, transaction_id FROM attempt ORDER BY attempt"))


async def until_failed(pipeline: Pipeline, code: str, *order_ids: str) -> None:
    async def all_failed() -> bool:
        query = """SELECT count(*) FROM attempt JOIN orders USING (order_id, attempt)
                    WHERE failure_code = %s AND order_id = ANY(%s)"""
        return bool(await pipeline.value(query, code, list(order_ids)) == len(order_ids))

    await pipeline.until_status("payment_failed", *order_ids)
    await pipeline.until(all_failed, code)


IDS: Final = tuple(f"asked-{n}" for n in range(4))


async def test_a_payment_that_its_customer_confirms_is_paid_and_another_method_is_refused_meanwhile(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await begun(make_pipeline, *IDS)
    await pipeline.until_status("action_required", *IDS)
    intents = await transactions(pipeline)
    await pipeline.publish(*(retry(order_id, after_attempt=1) for order_id in IDS))
    await pipeline.until_told("RETRY_REFUSED")

    for order_id in IDS:
        assert pipeline.gateway.act_for_customer(intents[order_id], confirms=True)

    await pipeline.until_status("paid_and_confirmed", *IDS)
    await assert_all_is_well(pipeline)
    for order_id in IDS:
        assert await pipeline.effects(order_id) == ["authorize", "capture"]
        (asked,) = await pipeline.events(order_id, "CustomerActionRequired")
        assert (asked.transaction_id, asked.kind, asked.amount_minor) == (intents[order_id], "REDIRECT", 3_080)
        told = "SELECT kind FROM notification WHERE order_id = %s ORDER BY kind"
        assert await pipeline.rows(told, order_id) == [("ACTION_REQUIRED",), ("RETRY_REFUSED",)]


async def test_what_the_gateway_tells_of_the_customer_is_asked_for_at_once(make_pipeline: MakePipeline) -> None:
    pipeline = await begun(make_pipeline, *IDS, poll_s=LONG_S, unknown_retry_s=LONG_S)
    await pipeline.until_status("action_required", *IDS)
    intents = await transactions(pipeline)
    for order_id in IDS:
        assert pipeline.gateway.act_for_customer(intents[order_id], confirms=True)

    await pipeline.store().notices.keep([notice(order_id, order_id, intents[order_id]) for order_id in IDS[1:]])

    await pipeline.until_status("paid_and_confirmed", *IDS[1:])
    assert await pipeline.status(IDS[0]) == "action_required", "nobody told of it"
    await pipeline.members[0].leave()


async def test_nobody_looks_for_a_delay_while_the_customer_has_time(make_pipeline: MakePipeline) -> None:
    pipeline = await begun(make_pipeline, *IDS, poll_s=LONG_S, unknown_retry_s=LONG_S)
    await pipeline.until_status("action_required", *IDS)
    store = pipeline.store()
    assert await store.delayed_orders(0, 10) == []

    await pipeline.rows("UPDATE attempt SET action_expires_at = now() WHERE order_id = %s", IDS[0])

    assert await store.delayed_orders(0, 10) == [IDS[0]]
    await pipeline.members[0].leave()


@pytest.mark.parametrize(
    ("token", "confirms", "code"), [(ASKS, False, "authentication_failed"), (DECLINES, True, "card_declined")]
)
async def test_what_fails_after_the_customer_was_asked_is_cancelled_and_another_method_pays(
    make_pipeline: MakePipeline,
    token: str,
    confirms: bool,  # noqa: FBT001
    code: str,
) -> None:
    pipeline = await begun(make_pipeline, *IDS, token=token)
    await pipeline.until_status("action_required", *IDS)
    for intent in (await transactions(pipeline)).values():
        assert pipeline.gateway.act_for_customer(intent, confirms=confirms)

    await until_failed(pipeline, code, *IDS)
    for order_id in IDS:
        assert await pipeline.effects(order_id) == ["cancel"]
    await pipeline.publish(*(retry(order_id, after_attempt=1) for order_id in IDS))
    await pipeline.until_status("paid_and_confirmed", *IDS)
    await assert_all_is_well(pipeline)


async def test_what_is_not_confirmed_in_time_is_cancelled_and_another_method_pays(make_pipeline: MakePipeline) -> None:
    pipeline = await begun(make_pipeline, *IDS, action_timeout_s=SOON_S)
    await until_failed(pipeline, "action_expired", *IDS)
    intents = await transactions(pipeline)
    for order_id in IDS:
        assert await pipeline.effects(order_id) == ["cancel"]
        assert not pipeline.gateway.act_for_customer(intents[order_id], confirms=True), "it is too late"

    await pipeline.publish(*(retry(order_id, after_attempt=1) for order_id in IDS))
    await pipeline.until_status("paid_and_confirmed", *IDS)
    await assert_all_is_well(pipeline)


async def test_what_is_confirmed_at_the_last_moment_is_freed_or_paid(make_pipeline: MakePipeline) -> None:
    """The void finds the payment authorized, or captured: nobody had looked it up since the customer confirmed it."""
    held, taken = ("held-1", "held-2"), ("taken-1", "taken-2")
    pipeline = await begun(make_pipeline, action_timeout_s=SOON_S)
    asks = Said(OperationKind.AUTHORIZE, CustomerMustAct("pi_3simulated_0"), executed=True)
    for n, order_id in enumerate((*held, *taken)):
        told = CustomerMustAct(f"pi_3simulated_{n}")
        pipeline.gateway.says[order_id] = asks._replace(outcome=told)
        await pipeline.publish(order(order_id, AT_ONCE if order_id in taken else "pm_card_visa"))

        async def asked(order_id: str = order_id) -> bool:
            return bool(await pipeline.ledger(order_id))

        await pipeline.until(asked, "executed")

    await until_failed(pipeline, "action_expired", *held)
    await pipeline.until_status("paid_and_confirmed", *taken)
    pipeline.gateway.says.clear()
    for order_id in held:
        assert await pipeline.effects(order_id) == ["authorize", "cancel"]
        assert "PaymentVoided" not in await pipeline.story(order_id)
    for order_id in taken:
        assert await pipeline.effects(order_id) == ["authorize", "capture"]
    await assert_all_is_well(pipeline)


async def audited(pipeline: Pipeline) -> Report:
    """Audit the database alone."""
    scope = Scope(pipeline.codec, {r.trigger.TYPE: r.group for r in REACTIONS}, pipeline.settings.topic_prefix)
    async with await psycopg.AsyncConnection.connect(pipeline.settings.psycopg_url(), autocommit=True) as connection:
        return await audit(connection, scope)


async def test_a_bank_that_takes_too_long_fails_the_order_and_its_late_money_goes_back(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await begun(make_pipeline, pending_hold_s=SOON_S, delayed_notice_s=0.1)
    processing = Said(OperationKind.AUTHORIZE, Pending(None, None, "processing"), executed=True)
    pipeline.gateway.says = dict.fromkeys(IDS, processing)
    await pipeline.publish(*(order(order_id, AT_ONCE) for order_id in IDS))

    await until_failed(pipeline, "payment_overdue", *IDS)
    await pipeline.publish(*(retry(order_id, after_attempt=1) for order_id in IDS))
    await pipeline.until_told("RETRY_REFUSED")

    async def quiescent() -> bool:
        return (await audited(pipeline)).quiescent

    await pipeline.until(quiescent, "quiescent")
    report = await audited(pipeline)
    assert [(i.id, i.violations) for i in report.invariants if i.holds is not True] == []
    (sums,) = [note for i in report.invariants if i.id == 8 for note in i.notes if "pending authorizes" in note]
    assert sums.endswith(f"; pending authorizes of failed orders {len(IDS) * 3_080}")

    pipeline.gateway.says = {}

    async def refunded() -> bool:
        return bool(await pipeline.value("SELECT bool_and(refunded_minor = 3080) FROM attempt"))

    await pipeline.until(refunded, "refunded")
    await assert_all_is_well(pipeline)
    for order_id in IDS:
        assert await pipeline.effects(order_id) == ["authorize", "capture", "refund"]
        assert await pipeline.status(order_id) == "payment_failed"
        told = [kind for (kind,) in await pipeline.rows("SELECT kind FROM notification WHERE order_id = %s", order_id)]
        assert sorted(told) == ["PAYMENT_DELAYED", "PAYMENT_FAILED", "REFUNDED", "RETRY_REFUSED"]


async def test_whatever_customers_do_every_order_has_one_outcome(make_pipeline: MakePipeline) -> None:
    rng = Random(14)
    tokens = {f"any-{n}": rng.choice((ASKS, ASKS, DECLINES, "pm_card_visa", AT_ONCE)) for n in range(60)}
    pipeline = await begun(make_pipeline, action_timeout_s=2)
    await pipeline.publish(*(order(order_id, token) for order_id, token in tokens.items()))

    async def all_begun() -> bool:
        return bool(
            await pipeline.value("SELECT count(*) FROM attempt WHERE transaction_id IS NOT NULL") == len(tokens)
        )

    await pipeline.until(all_begun, "begun")
    for order_id, intent in sorted((await transactions(pipeline)).items()):
        what = rng.choice(("confirms", "fails", "never comes", "clicks again"))
        if what == "clicks again":
            await pipeline.publish(retry(order_id, after_attempt=1))
        elif what != "never comes":
            pipeline.gateway.act_for_customer(intent, confirms=what == "confirms")

    await assert_all_is_well(pipeline)
    outcomes = dict(
        await pipeline.rows(
            """SELECT coalesce(failure_code, status), count(*)
                 FROM orders JOIN attempt USING (order_id, attempt) GROUP BY 1"""
        )
    )
    assert outcomes.keys() == {"paid_and_confirmed", "action_expired", "authentication_failed", "card_declined"}
