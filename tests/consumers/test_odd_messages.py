"""Values that no event, table or type of ours can carry: the message is set aside, and the others go their way."""

from contextlib import suppress
from typing import Any, Final

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import InvalidTimestampError

from producers.unchecked import encode_unchecked
from schemas.topics import topic_name
from tests.consumers.claims import assert_all_is_well
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import Pipeline
from tests.consumers.orders import FREE, order

pytestmark = pytest.mark.integration

NANOSECONDS: Final = 1_770_000_000_000_000_000
FAR_PAST: Final = -(2**62)


async def test_lines_of_one_sku_beyond_bounds_are_set_aside_and_the_orders_behind_are_paid(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await make_pipeline(topic_partitions=1)
    await pipeline.stock(SKU_1=10, SKU_2=10)
    line = {"sku": "SKU-1", "quantity": 2_000_000_000, "unit_price_minor": 0}
    said = order("order-1").model_dump(mode="json") | {"lines": [line, line], "payment_method": None}
    nothing: dict[str, Any] = dict.fromkeys(
        ("discount_minor", "delivery_fee_minor", "service_fee_minor", "tax_minor", "total_minor"), 0
    )
    body = encode_unchecked("OrderConfirmed", said | nothing)
    await pipeline.publish_raw("OrderConfirmed", b"order-1", body)
    await pipeline.publish(order("order-2"))
    await pipeline.join()
    await pipeline.until_status("paid_and_confirmed", "order-2")
    await assert_all_is_well(pipeline)

    assert await pipeline.dead_letters() == [("payments.authorize_payment", "invalid_field")]
    assert await pipeline.status("order-1") is None


async def test_an_order_from_before_that_check_comes_to_its_end(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(topic_partitions=1)
    await pipeline.stock(SKU_1=10, SKU_2=10)
    first = await pipeline.join()
    pipeline.gateway.hangs_for = {"order-1"}
    await pipeline.publish(order("order-1"))
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM operation"), "the operation")
    await first.crash()
    # As the release before the check has left it.
    await pipeline.rows("""UPDATE orders SET lines = '[["SKU-1", 4000000000]]'""")
    pipeline.gateway.hangs_for = set()
    await pipeline.end_leases()
    await pipeline.join()
    await pipeline.until_status("payment_failed", "order-1")

    told = await pipeline.events("order-1", "ReservationFailed", "CustomerNotificationRequested")
    assert [event.missing[0].requested for event in told] == [4_000_000_000] * 2


async def test_a_time_stamp_in_nanoseconds_or_before_the_calendar_is_kept_with_its_dead_letter(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await make_pipeline(topic_partitions=1)
    await pipeline.stock(SKU_1=10, SKU_2=10)
    await publish_in_nanoseconds(pipeline, "OrderConfirmed")
    await pipeline.publish_raw("OrderConfirmed", b"order-1", b"garbage", timestamp_ms=FAR_PAST)
    await pipeline.publish(order("order-2"))
    await pipeline.join()
    await pipeline.until_status("paid_and_confirmed", "order-2")
    await assert_all_is_well(pipeline)

    kept = await pipeline.rows("SELECT header_names, header_values FROM dead_letter ORDER BY message_offset")
    named = [dict(zip(names, values, strict=True)) for names, values in kept]
    assert [int(headers["payments_timestamp_ms"]) for headers in named] == [NANOSECONDS, FAR_PAST]
    told = [read.header for read in await pipeline.topics("OrderConfirmed", dead_letters=True)]
    stamps = [int.from_bytes(headers["kafka_dlt-original-timestamp"], "big", signed=True) for headers in told]
    assert stamps == [NANOSECONDS, FAR_PAST]


async def test_a_header_without_a_value_is_kept_with_its_dead_letter(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(topic_partitions=1)
    await pipeline.stock(SKU_1=10, SKU_2=10)
    said = order("order-1").model_dump(mode="json") | {"total_minor": 1}
    body = encode_unchecked("OrderConfirmed", said)
    await pipeline.publish_raw("OrderConfirmed", b"order-1", body, [("ce_id", None), ("other", None)])
    await pipeline.publish(order("order-2", **FREE))
    await pipeline.join()
    await pipeline.until_status("paid_and_confirmed", "order-2")
    await pipeline.until_quiet()

    (told,) = await pipeline.topics("OrderConfirmed", dead_letters=True)
    assert told.headers[:2] == (("ce_id", None), ("other", None))


async def publish_in_nanoseconds(pipeline: Pipeline, event_type: str) -> None:
    """Publish garbage of the far future, once the broker takes it: a topic's owner may allow that."""
    topic = topic_name(pipeline.settings.topic_prefix, event_type)
    admin = AIOKafkaAdminClient(**pipeline.settings.kafka_options())
    await admin.start()
    try:
        settings = {"message.timestamp.after.max.ms": str(2**63 - 1)}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, settings)])
    finally:
        await admin.close()
    async with AIOKafkaProducer(**pipeline.settings.kafka_options()) as producer:

        async def taken() -> bool:
            with suppress(InvalidTimestampError):
                await producer.send_and_wait(topic, b"garbage", key=b"order-1", timestamp_ms=NANOSECONDS)
                return True
            return False

        await pipeline.until(taken, "the topic takes any time-stamp")
