"""Once all is over no payment token is left: in no table, topic of ours, copy of a dead letter, or log."""

import json
from typing import Any

import pytest
from psycopg import sql
from structlog.testing import capture_logs

from consumers.order_confirmed import authorize_payment
from consumers.runtime.redriving import Outcome
from deploy.redriving import give_up, redrive_letters
from domain.ids import OrderId
from domain.ruling import Ruling, Word
from outbox.operators.letter_list import Selection, letter_list
from outbox.operators.queries import snapshot
from schemas.fields import HIDDEN
from schemas.topics import CONSUMED, TOPICS
from tests.consumers.broken import plans_badly, with_these
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import Pipeline
from tests.consumers.orders import order, other_id, retry

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

TOKEN = b"pm_card_visa"
UPSTREAM = frozenset(name for name, topic in TOPICS.items() if not topic.ours)


async def redrive(pipeline: Pipeline, number: int) -> Outcome:
    with snapshot(pipeline.settings.sqlalchemy_url()) as connection:
        records = letter_list(connection, Selection(ids=[str(number)]))
    (done,) = await redrive_letters(pipeline.settings, records, by="ann", dry_run=False, whole_orders=False)
    return done.outcome


async def holds_token(pipeline: Pipeline) -> list[str]:
    """Return the tables that hold the token: as text, or in bytes."""
    names = await pipeline.rows(
        """SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
            AND NOT relispartition"""
    )
    found = []
    for (name,) in names:
        table = sql.Identifier(name).as_string(None)
        either = " OR ".join(f"position('{text}' IN t::text) > 0" for text in (TOKEN.decode(), TOKEN.hex()))
        if await pipeline.rows(f"SELECT 1 FROM {table} t WHERE {either} LIMIT 1"):
            found.append(name)
    return sorted(found)


async def on_topics(pipeline: Pipeline) -> list[tuple[str, bytes | None]]:
    """Return the messages of ours, copies of dead letters among them, that hold the token."""
    ours = await pipeline.topics(*(name for name in TOPICS if name not in UPSTREAM))
    ours = [read for read in ours if read.key != b"astray"]  # somebody else wrote it there
    copies = await pipeline.topics(*CONSUMED, dead_letters=True)
    return [
        (read.event_type, read.value)
        for read in (*ours, *copies)
        if any(TOKEN in part for part in (read.key, read.value, *read.header.values()) if part is not None)
    ]


async def letters(pipeline: Pipeline) -> dict[str, int]:
    return {key.decode(): number for number, key in await pipeline.rows("SELECT id, key FROM dead_letter")}


async def test_no_table_no_topic_and_no_log_holds_a_token_once_all_is_over(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(topic_partitions=2)
    await pipeline.stock(SKU_1=100, SKU_2=100)
    pipeline.gateway.fails_for = {"doubt"}
    good = pipeline.codec.encode(order("broken"))
    with capture_logs() as log:
        kept = pipeline.operators_store().letters
        await pipeline.join(
            with_these(plans_badly(authorize_payment, {"raises"})), ports={"letters": kept}, unknown_give_up_s=1
        )
        await pipeline.publish(order("paid"), order("doubt"), order("raises"))
        await pipeline.publish(order("declined", "pm_card_chargeDeclined"))
        await pipeline.until_status("payment_failed", "declined")
        await pipeline.publish(
            retry("declined"), retry("nobody"), order("paid", event_id=other_id("paid"), tax_minor=90)
        )
        await pipeline.publish_raw("OrderConfirmed", b"mismatch", good, [("note", b"token " + TOKEN)])
        await pipeline.publish_raw("OrderConfirmed", b"cut", good[:-2])
        await pipeline.publish_raw("OrderConfirmed", b"json", json.dumps({"token": TOKEN.decode()}).encode())
        await pipeline.publish_raw("OrderConfirmed", b"wide", TOKEN.decode().encode("utf-16-le"))
        await pipeline.publish_raw("PaymentFailed", b"astray", good)
        await pipeline.until_status("paid_and_confirmed", "paid", "declined")
        await pipeline.until_status("manual_review", "doubt")
        await pipeline.until_taken()
        early = "SELECT 1 WHERE NOT EXISTS (SELECT FROM early_message)"
        await pipeline.until(lambda: pipeline.has(early), "the retry whose order never came is refused")
        assert await holds_token(pipeline) == ["dead_letter"]
        known = await letters(pipeline)
        assert known.keys() == {"raises", "nobody", "paid", "mismatch", "cut", "json", "wide", "astray"}

        # Whoever is redriven or given up loses the token at once.
        assert (await redrive(pipeline, known["raises"])).result == "done: authorize opened"
        assert (await give_up(pipeline.settings, known["nobody"], "never", by="ann")).done
        assert await pipeline.value("SELECT count(*) FROM dead_letter WHERE original IS NULL") == 2
        await pipeline.until_status("paid_and_confirmed", "raises")

        # The others lose it when their time is over, not before.
        assert await kept.erase_tokens(7, 100) == 0
        await pipeline.rows("UPDATE dead_letter SET first_at = first_at - interval '7 days 1 minute'")
        assert await kept.erase_tokens(7, 4) == 4
        assert await kept.erase_tokens(7, 100) == 2

        ruling = Ruling(Word.NOT_EXECUTED, "the gateway has nothing", "ann")
        await pipeline.resolver().resolve(OrderId("doubt"), ruling)
        await pipeline.until_quiet()

    assert await holds_token(pipeline) == []
    assert await on_topics(pipeline) == []
    assert TOKEN.decode() not in str(log)
    refused = await redrive(pipeline, known["mismatch"])
    assert not refused.done
    assert refused.result.startswith("not redrivable: its payment token was erased on 20")


async def test_a_copy_is_still_the_event_and_publishing_it_again_is_refused(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline()
    await pipeline.join()
    dearer: Any = order("order-1", event_id=other_id("order-1"), tax_minor=90, total_minor=1)
    await pipeline.publish_raw("OrderConfirmed", b"order-1", pipeline.codec.encode(dearer))
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM dead_letter"), "the letter")
    await pipeline.until_quiet()
    (copy,) = await pipeline.topics("OrderConfirmed", dead_letters=True)
    read: Any = pipeline.codec.read("OrderConfirmed", copy.key, copy.value)
    assert read.payment_method.token == HIDDEN
    assert read.model_copy(update={"payment_method": dearer.payment_method}) == dearer
    await pipeline.publish_raw("OrderConfirmed", copy.key, copy.value)
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM dead_letter WHERE reason = 'invalid_field'"), "refused")


async def test_letters_of_an_older_release_are_searched_and_lose_their_tokens_too(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline()
    member = await pipeline.join()
    body = pipeline.codec.encode(order("old", total_minor=1))
    await pipeline.publish_raw("OrderConfirmed", b"old", body)
    await pipeline.publish_raw("OrderConfirmed", b"done", pipeline.codec.encode(order("done", total_minor=1)))
    await pipeline.publish_raw("OrderConfirmed", b"noise", b"garbage")
    await pipeline.until_quiet()
    await member.leave()
    # As the release before wrote them: the token in the body.
    await pipeline.rows(
        """UPDATE dead_letter SET body = coalesce(original, body), original = NULL, masked = false,
                  token_hidden = false, redriven_at = CASE WHEN key = 'done' THEN now() END"""
    )
    await pipeline.join(ports={"letters": pipeline.operators_store().letters})
    await pipeline.until(
        lambda: pipeline.has("SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM dead_letter WHERE NOT token_hidden)"), "searched"
    )
    kept = {
        key: (shown, whole, erased)
        for key, shown, whole, erased in await pipeline.rows(
            "SELECT key, body, original, erased_at IS NOT NULL FROM dead_letter"
        )
    }
    assert TOKEN not in kept[b"old"][0]
    assert kept[b"old"][1:] == (body, False)
    assert TOKEN not in kept[b"done"][0]
    assert kept[b"done"][1:] == (None, True)
    assert kept[b"noise"] == (b"garbage", None, False)


async def test_an_authorize_whose_token_is_erased_is_looked_up_and_never_sent(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline()
    await pipeline.stock(SKU_1=100, SKU_2=100)
    pipeline.gateway.fails_for = {"order-1"}
    member = await pipeline.join(sweep=False)
    await pipeline.publish(order())
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM operation WHERE state = 'unknown'"), "no answer")
    await member.leave()
    await pipeline.rows("UPDATE attempt SET token = NULL")
    await pipeline.rows("UPDATE operation SET due_at = now()")
    await pipeline.rows("UPDATE orders SET updated_at = now()")
    pipeline.gateway.fails_for = set()
    await pipeline.join(unknown_retry_s=0.1, unknown_give_up_s=1)
    await pipeline.until_status("manual_review", "order-1")
    assert await pipeline.gateway.entries() == []
