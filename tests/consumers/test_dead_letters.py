"""What can never be processed is set aside with its reason, and nothing else waits for it."""

import re
from datetime import timedelta
from typing import Any

import pytest

from deploy.kafka_topics import KafkaTopics
from producers.unchecked import encode_unchecked
from schemas.codec import Codec
from schemas.rejection import Reason, Rejected
from schemas.shapes import SHAPES
from tests.consumers.claims import assert_all_is_well
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import Pipeline, now
from tests.consumers.orders import order, other_id, retry
from tests.schemas import wire

pytestmark = pytest.mark.integration

CARD = "4242424242424242"
GROUP = "payments.authorize_payment"
WHOLE = "SELECT message_offset, coalesce(original, body) FROM dead_letter"
TOKEN = b"pm_card_visa"


async def publish_json(pipeline: Pipeline, key: str, **fields: Any) -> None:
    """Publish an order that says what no valid one can say."""
    said = order().model_dump(mode="json") | fields
    await pipeline.publish_raw("OrderConfirmed", key.encode(), encode_unchecked("OrderConfirmed", said))


async def test_each_message_that_can_never_be_processed_is_set_aside_and_the_orders_around_it_are_paid(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await make_pipeline(topic_partitions=1, message_bytes_max=2_000)
    await pipeline.stock(SKU_1=10, SKU_2=10)
    good = pipeline.codec.encode(order("order-2"))
    await pipeline.publish(order("order-1"))
    await pipeline.publish_raw("OrderConfirmed", b"order-2", b"garbage")
    await pipeline.publish_raw("OrderConfirmed", b"order-2", None)
    await pipeline.publish_raw("OrderConfirmed", b"order-2", good + b"\0")
    await pipeline.publish_raw("OrderConfirmed", b"order-2", good[:-3])
    await pipeline.publish_raw("OrderConfirmed", b"order-2", good + bytes(2_000))
    await pipeline.publish_raw("OrderConfirmed", b"order-2", b"\xc3\x01" + bytes(8) + good[10:])
    await pipeline.publish_raw("OrderConfirmed", b"order-2", pipeline.codec.encode(retry("order-2")))
    await pipeline.publish_raw("OrderConfirmed", b"order-3", good)
    await pipeline.publish_raw("OrderConfirmed", None, good)
    await publish_json(pipeline, "order 2", order_id="order 2")
    await publish_json(pipeline, "order-2", order_id="order-2", total_minor=1)
    await publish_json(pipeline, "order-2", order_id="order-2", currency="QQQ")
    await publish_json(pipeline, "order-2", order_id="order-2", tax_minor=10**12, total_minor=10**12 + 3_000)
    await publish_json(pipeline, "order-2", order_id="order-2", payment_method={"kind": "CARD", "token": CARD})
    await pipeline.publish(order("order-2", occurred_at=now() + timedelta(minutes=6)))
    await pipeline.publish(order("order-2", occurred_at=now() + timedelta(days=40)))
    await pipeline.publish(order("order-2", occurred_at=now() - timedelta(days=15)))
    await pipeline.publish(order("order-4"))
    await pipeline.join()
    await pipeline.until_status("paid_and_confirmed", "order-1", "order-4")
    await assert_all_is_well(pipeline)

    reasons = [
        "undecodable",
        "undecodable",
        "not_canonical",
        "undecodable",
        "too_large",
        "unknown_schema",
        "wrong_schema",
        "key_mismatch",
        "key_mismatch",
        "invalid_field",
        "total_mismatch",
        "unknown_currency",
        "amount_limit",
        "card_number",
        "from_the_future",
        "from_the_future",
        "too_old",
    ]
    assert await pipeline.dead_letters() == [(GROUP, reason) for reason in reasons]
    assert await pipeline.value("SELECT count(*) FROM orders") == 2
    assert len(await pipeline.gateway.entries()) == 2
    letters = await pipeline.topics("OrderConfirmed", dead_letters=True)
    copies = {int.from_bytes(r.header["kafka_dlt-original-offset"], "big"): r for r in letters}
    assert [copies[n].header["payments_reason"].decode() for n in sorted(copies)] == reasons
    originals = {r.offset: r for r in await pipeline.topics("OrderConfirmed")}
    with_card = 1 + reasons.index("card_number")
    assert all(copies[n].key == originals[n].key for n in copies)
    assert all(copies[n].value == without_token(originals[n].value) for n in copies if n != with_card)
    kept = dict(await pipeline.rows(WHOLE))
    assert {n: kept[n] for n in copies if n != with_card} == {n: originals[n].value for n in copies if n != with_card}


def without_token(body: bytes | None) -> bytes | None:
    """Return what others may see: an event with asterisks for its token, or else no word as long as a token."""
    if body is None:
        return None
    hidden = body.replace(wire.long(len(TOKEN)) + TOKEN, wire.long(16) + b"*" * 16)
    try:
        Codec(message_bytes_max=2_000).read("OrderConfirmed", b"order-2", hidden)
    except Rejected as rejected:
        if rejected.reason not in {Reason.KEY_MISMATCH, Reason.INVALID_FIELD, Reason.WRONG_SCHEMA}:
            return re.sub(rb"[\w+/=.~%\\-]{8,}", lambda word: b"*" * len(word[0]), body)
    return hidden


async def test_card_number_is_masked_digit_by_digit_in_table_and_topic(pipeline: Pipeline) -> None:
    said = order().model_dump(mode="json") | {"payment_method": {"kind": "CARD", "token": CARD}}
    body = encode_unchecked("OrderConfirmed", said)
    await pipeline.publish_raw("OrderConfirmed", b"order-1", body, [("note", b"pay with 4242 4242 4242 4242 please")])
    await pipeline.publish_raw("OrderConfirmed", b"order-1", b"not Avro: " + CARD.encode())
    method = {"kind": "CARD", "token": "pm_card_visa", "gateway_customer_id": f"cus_{CARD}"}
    saved = encode_unchecked("OrderConfirmed", said | {"payment_method": method})
    await pipeline.publish_raw("OrderConfirmed", b"order-1", saved)
    await assert_all_is_well(pipeline)
    masked = [each.replace(CARD.encode(), b"*" * 16) for each in (body, b"not Avro: " + CARD.encode(), saved)]
    kept = await pipeline.rows(
        "SELECT coalesce(original, body), masked, reason, header_values FROM dead_letter ORDER BY message_offset"
    )
    assert [(row[0], row[1], row[2]) for row in kept] == [
        (masked[0], True, "card_number"),
        (masked[1], True, "undecodable"),
        (masked[2], True, "card_number"),
    ]
    assert kept[0][3] == [b"pay with **** **** **** **** please"]
    copies = await pipeline.topics("OrderConfirmed", dead_letters=True)
    # The gateway's id of the customer, which held the number, is hidden with the token.
    in_copy = masked[2].replace(wire.long(12) + TOKEN, wire.long(16) + b"*" * 16)
    in_copy = in_copy.replace(wire.long(20) + b"cus_" + b"*" * 16, wire.long(16) + b"*" * 16)
    assert [copy.value for copy in copies] == [masked[0], masked[1], in_copy]
    assert copies[0].header["note"] == b"pay with **** **** **** **** please"
    tables = await pipeline.value("SELECT string_agg(d::text || e::text, ' ') FROM dead_letter d, event e")
    assert CARD not in tables
    assert CARD.encode().hex() not in tables


async def test_header_name_with_a_card_number_is_masked_in_table_and_topic(pipeline: Pipeline) -> None:
    await pipeline.publish_raw("OrderConfirmed", b"order-1", b"not Avro", [(f"pay {CARD}", b"1"), ("note", b"2")])
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM dead_letter"), "the letter")
    assert await pipeline.value("SELECT header_names FROM dead_letter") == [f"pay {'*' * 16}", "note"]
    await assert_all_is_well(pipeline)
    (copy,) = await pipeline.topics("OrderConfirmed", dead_letters=True)
    assert copy.header[f"pay {'*' * 16}"] == b"1"


async def test_key_of_a_message_that_cannot_be_read_is_masked_like_its_body(pipeline: Pipeline) -> None:
    await pipeline.publish_raw("OrderConfirmed", CARD.encode(), b"not Avro")
    await assert_all_is_well(pipeline)
    assert await pipeline.rows("SELECT key, masked FROM dead_letter") == [(b"*" * 16, True)]


async def test_order_id_that_looks_like_a_card_number_is_not_masked(pipeline: Pipeline) -> None:
    await pipeline.publish(order(CARD), order(CARD, event_id=other_id(CARD), tax_minor=90))
    await pipeline.until_status("paid_and_confirmed", CARD)
    await assert_all_is_well(pipeline)
    assert await pipeline.rows("SELECT key, masked, reason FROM dead_letter") == [(CARD.encode(), True, "conflict")]
    (copy,) = await pipeline.topics("OrderConfirmed", dead_letters=True)
    assert (copy.key, copy.header["ce_subject"]) == (CARD.encode(), CARD.encode())


async def test_header_that_no_database_can_store_does_not_stop_the_rest(pipeline: Pipeline) -> None:
    await pipeline.publish_raw("OrderConfirmed", b"order-2", b"garbage", [("a\0b", b"\0"), ("c", b"\xff")])
    await pipeline.publish(order())
    await pipeline.until_status("paid_and_confirmed", "order-1")
    await assert_all_is_well(pipeline)
    assert await pipeline.dead_letters() == [(GROUP, "undecodable")]


async def test_large_garbage_is_cut_in_the_copy_and_whole_in_the_table(pipeline: Pipeline) -> None:
    await pipeline.publish_raw("OrderConfirmed", b"order-1", bytes(70_000))
    await assert_all_is_well(pipeline)
    assert await pipeline.value("SELECT length(body) FROM dead_letter") == 70_000
    (copy,) = await pipeline.topics("OrderConfirmed", dead_letters=True)
    assert copy.value == bytes(65_536)
    assert copy.header["payments_length"] == b"70000"
    assert len(copy.header["payments_sha256"]) == 64


async def test_event_of_ours_for_an_order_that_nobody_knows_is_set_aside(pipeline: Pipeline) -> None:
    from tests.schemas.builders import payment_authorized

    await pipeline.publish(payment_authorized(occurred_at=now()))
    await pipeline.until_taken()
    assert await pipeline.dead_letters() == [("payments.reserve_items", "unknown_order")]


async def test_arrays_with_a_byte_size_as_go_writes_them_are_paid(pipeline: Pipeline) -> None:
    lines = wire.long(-2) + wire.long(len(wire.LINE_1 + wire.LINE_2)) + wire.LINE_1 + wire.LINE_2 + wire.long(0)
    at = wire.long(int(now().timestamp() * 1_000_000))
    body = wire.single_object(SHAPES["OrderConfirmed"].schema, wire.order(lines=lines, occurred_at=at))
    await pipeline.publish_raw("OrderConfirmed", b"order-1", body)
    await pipeline.until_status("paid_and_confirmed", "order-1")
    await assert_all_is_well(pipeline)
    assert await pipeline.dead_letters() == []


async def test_header_name_that_nobody_can_read_is_set_aside_and_the_orders_around_it_are_paid(
    pipeline: Pipeline,
) -> None:
    await pipeline.publish(order("before"))
    await pipeline.publish_with_unreadable_header("OrderConfirmed")
    await pipeline.publish(order("after"))
    await pipeline.until_status("paid_and_confirmed", "before", "after")
    await pipeline.until_quiet()
    [(reason, names)] = await pipeline.rows("SELECT reason, header_names FROM dead_letter")
    assert (reason, names) == ("undecodable", ["payments_note"])
    reader = KafkaTopics(pipeline.settings)
    read = [m async for group in reader.messages() for m in group if m.topic.endswith(".OrderConfirmed")]
    assert {m.key for m in read} == {b"before", b"order-x", b"after"}
