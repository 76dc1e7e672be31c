"""What the gateway tells unasked, in the real store: asked about once, booked once, told to others."""

from datetime import timedelta

import psycopg
import pytest
from structlog.testing import capture_logs

from deploy.views.order_json import order_document
from deploy.views.order_text import order_lines
from domain.failure_codes import FailureCode
from domain.operation import OperationKind
from domain.outcome import Declined
from outbox.operators.queries import read_order, snapshot
from tests.consumers.claims import assert_all_is_well
from tests.consumers.gateway import Said
from tests.consumers.harness import Pipeline, now
from tests.consumers.orders import order
from tests.consumers.telling import TOTAL, dispute, join, paid, story, told
from tests.consumers.test_notices import until_fate

pytestmark = pytest.mark.integration


async def test_a_storm_of_notices_of_one_dispute_is_one_question_and_told_once(shop: Pipeline) -> None:
    intent = await paid(shop)
    shop.gateway.tells[intent] = {"disputes": (dispute(intent),)}
    names = ("created", "updated", "funds_withdrawn")
    await shop.store().notices.keep([told(n, f"charge.dispute.{names[n % 3]}", intent) for n in range(300)])

    await until_fate(shop, "applied", *(f"evt_{n}" for n in range(300)))

    assert await story(shop) == ["PaymentDisputed"]
    assert shop.gateway.questions == [intent]
    assert await shop.rows("SELECT order_id, dispute_id, status, amount_minor, funds_withdrawn, told FROM dispute") == [
        ("order-1", "dp_1", "needs_response", TOTAL, True, "WITHDRAWN")
    ]
    assert await shop.status("order-1") == "paid_and_confirmed"
    with snapshot(str(shop.settings.sqlalchemy_url())) as connection:
        stored = read_order(connection, "order-1")
    assert stored is not None
    (shown,) = order_document(stored, [])["disputes"]
    assert shown | {"dispute_id": "dp_1", "status": "needs_response", "refundable": False} == shown
    assert any("dp_1" in line and "withdrawn" in line for line in order_lines(stored, [], now()))
    await assert_all_is_well(shop)


async def test_a_dispute_is_followed_to_its_end_and_opened_again(shop: Pipeline) -> None:
    intent = await paid(shop)
    turns = [
        dispute(intent, "warning_needs_response", withdrawn=False),
        dispute(intent),
        dispute(intent, "won", withdrawn=False),
        dispute(intent, "appeal_under_review"),
        dispute(intent, "lost"),
    ]
    for number, turn in enumerate(turns):
        shop.gateway.tells[intent] = {"disputes": (turn,)}
        await shop.store().notices.keep([told(number, "charge.dispute.updated", intent)])
        await until_fate(shop, "applied", f"evt_{number}")
    opened, closed = "PaymentDisputed", "PaymentDisputeClosed"
    assert await story(shop) == [opened, opened, closed, opened, closed]
    ends = await shop.events("order-1", closed)
    assert [(end.outcome, end.funds_withdrawn) for end in ends] == [("WON", False), ("LOST", True)]
    await assert_all_is_well(shop)


async def test_the_end_of_a_dispute_is_told_though_the_first_answer_about_it_lagged(shop: Pipeline) -> None:
    intent = await paid(shop)
    shop.gateway.tells[intent] = {"disputes": (dispute(intent),)}
    await shop.store().notices.keep([told(1, "charge.dispute.created", intent)])
    await until_fate(shop, "applied", "evt_1")
    asked = len(shop.gateway.questions)
    await shop.store().notices.keep([told(2, "charge.dispute.closed", intent)])

    async def asked_again() -> bool:
        return len(shop.gateway.questions) > asked

    await shop.until(asked_again, "asked, and answered as before")
    shop.gateway.tells[intent] = {"disputes": (dispute(intent, "won", withdrawn=False),)}
    await until_fate(shop, "applied", "evt_2")
    assert await story(shop) == ["PaymentDisputed", "PaymentDisputeClosed"]


async def test_what_is_not_ours_is_dropped_and_an_order_that_is_not_there_is_waited_for(shop: Pipeline) -> None:
    intent = await paid(shop)
    shop.gateway.tells[intent] = {"order_id": None}
    await shop.store().notices.keep([told(1, "charge.dispute.created", intent)])
    await until_fate(shop, "foreign", "evt_1")

    shop.gateway.tells[intent] = {"order_id": "restored-later", "disputes": (dispute(intent),)}
    with capture_logs() as log:
        await shop.store().notices.keep([told(2, "charge.dispute.created", intent)])
        await shop.rows("UPDATE gateway_notice SET received_at = now() - interval '1 day' WHERE notice_id = 'evt_2'")
        await until_fate(shop, "unknown_order", "evt_2")
    assert [line["reason"] for line in log if line.get("alarm")] == ["notice_orphaned"]
    assert await story(shop) == []


async def test_a_transaction_that_the_gateway_does_not_have_rings_once_and_ends(shop: Pipeline) -> None:
    """It is of another account: nobody here can ever do anything about it."""
    with capture_logs() as log:
        await shop.store().notices.keep([told(1, "charge.dispute.created", "pi_of_another_account")])
        await until_fate(shop, "kept", "evt_1")
        await shop.rows("UPDATE gateway_notice SET received_at = now() - interval '1 day', ask_at = now()")
        await until_fate(shop, "unknown_order", "evt_1")
    assert [line["reason"] for line in log if line.get("alarm")] == ["notice_orphaned"]


async def test_a_warning_of_fraud_rings_and_stands_in_the_timeline(shop: Pipeline) -> None:
    intent = await paid(shop)
    with capture_logs() as log:
        await shop.store().notices.keep([told(1, "radar.early_fraud_warning.created", intent, "issfr_1")])
        await until_fate(shop, "applied", "evt_1")
    assert [(line["reason"], line["order_id"]) for line in log if line.get("alarm")] == [("fraud_warning", "order-1")]
    assert await story(shop) == []
    with snapshot(str(shop.settings.sqlalchemy_url())) as connection:
        stored = read_order(connection, "order-1")
    assert stored is not None
    document = order_document(stored, [])
    assert [(each["type"], each["object_id"], each["fate"]) for each in document["told"]] == [
        ("radar.early_fraud_warning.created", "issfr_1", "applied")
    ]
    assert any("radar.early_fraud_warning.created" in line for line in order_lines(stored, [], now()))


async def test_money_captured_for_a_failed_order_goes_back(shop: Pipeline) -> None:
    """The customer's bank said no as far as we know; in the dashboard somebody took the money nevertheless."""
    no = Declined(FailureCode.CARD_DECLINED, "generic_decline")
    shop.gateway.says["order-1"] = Said(OperationKind.AUTHORIZE, no, executed=True)
    await shop.publish(order("order-1", "pm_wallet_captured"))
    await shop.until_status("payment_failed", "order-1")
    ((entry),) = [e for e in await shop.gateway.entries() if e.order_id == "order-1"]
    with capture_logs() as log:
        captured = told(1, "payment_intent.succeeded", entry.transaction_id, entry.transaction_id, "order-1")
        await shop.store().notices.keep([captured])
        await until_fate(shop, "applied", "evt_1")
    assert "money_unwanted" in {line.get("reason") for line in log}

    async def back() -> bool:
        return "PaymentRefunded" in await shop.story("order-1")

    await shop.until(back, "the money is back")
    assert await shop.effects("order-1") == ["authorize", "capture", "refund"]
    assert await shop.status("order-1") == "payment_failed"
    await assert_all_is_well(shop)


async def test_a_gateway_that_says_nothing_is_asked_again_and_nothing_is_lost(shop: Pipeline) -> None:
    intent = await paid(shop)
    shop.gateway.silent = True
    shop.gateway.tells[intent] = {"disputes": (dispute(intent),)}
    await shop.store().notices.keep([told(1, "charge.dispute.created", intent)])

    async def asked() -> bool:
        return bool(shop.gateway.questions)

    await shop.until(asked, "asked")
    await until_fate(shop, "kept", "evt_1")
    shop.gateway.silent = False
    await join(shop)  # the first process waits for half a minute before it asks again
    await until_fate(shop, "applied", "evt_1")


async def test_what_leads_nowhere_rings_after_a_day(shop: Pipeline) -> None:
    intent = await paid(shop)
    shop.gateway.tells[intent] = {"disputes": (dispute("pi_strange"),), "transaction_id": "pi_strange"}
    await shop.store().notices.keep([told(1, "charge.dispute.created", intent)])
    await shop.rows("UPDATE gateway_notice SET received_at = now() - interval '25 hours', ask_at = now()")
    with capture_logs() as log:

        async def rang() -> bool:
            return "notice_kept" in {line.get("reason") for line in log}

        await shop.until(rang, "rang")
    ((ask_at, at),) = await shop.rows("SELECT ask_at, now() FROM gateway_notice")
    assert ask_at - at > timedelta(hours=23)


async def test_what_the_release_before_kept_is_asked_about_too(shop: Pipeline) -> None:
    intent = await paid(shop)
    shop.gateway.tells[intent] = {"disputes": (dispute(intent),)}
    columns = "notice_id, type, occurred_at, object_id, intent_id, fate"
    values = f"'evt_old', 'charge.dispute.created', now() - interval '9 days', 'dp_1', '{intent}', 'kept'"
    await shop.rows(f"INSERT INTO gateway_notice ({columns}) VALUES ({values})")
    await until_fate(shop, "applied", "evt_old")
    assert await story(shop) == ["PaymentDisputed"]


async def test_an_order_that_somebody_holds_holds_up_no_other(shop: Pipeline) -> None:
    intents = {name: await paid(shop, name) for name in ("held", "free")}
    for name, intent in intents.items():
        shop.gateway.tells[intent] = {"disputes": (dispute(intent, name=f"dp_{name}"),)}
    notices = [told(n, "charge.dispute.created", i, f"dp_{n}") for n, i in intents.items()]
    async with await psycopg.AsyncConnection.connect(shop.settings.psycopg_url()) as somebody:
        await somebody.execute("SELECT 1 FROM orders WHERE order_id = 'held' FOR UPDATE")
        await shop.store().notices.keep(notices)
        await until_fate(shop, "applied", "evt_free")
        await until_fate(shop, "kept", "evt_held")
    await until_fate(shop, "applied", "evt_held")
