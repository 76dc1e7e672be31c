"""Every codec is read, whoever packs; a batch that unpacks to too much is not."""

from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from confluent_kafka import Producer
from structlog.testing import capture_logs

from consumers.adapters.kafka import unpacking
from schemas.events import OrderConfirmed
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import Pipeline
from tests.consumers.orders import order
from tests.reading.world import committed, publish_batch, topic_of, until_rung

pytestmark = pytest.mark.integration

CODECS = ["gzip", "snappy", "lz4", "zstd"]
PADDED = 40
"""Orders of a batch: enough to shrink, so that a producer sends it packed."""


def publish_packed(pipeline: Pipeline, codec: str, orders: Sequence[OrderConfirmed], partition: int = 0) -> None:
    """Publish these orders with librdkafka, as one packed batch."""
    producer = Producer(
        {
            "bootstrap.servers": pipeline.settings.kafka_bootstrap_servers,
            "compression.type": codec,
            "linger.ms": 200,
            "enable.idempotence": True,
        }
    )
    for said in orders:
        producer.produce(
            topic_of(pipeline),
            key=said.order_id.encode(),
            value=pipeline.codec.encode(said),
            partition=partition,
        )
    assert producer.flush(20) == 0


async def pack_topic(pipeline: Pipeline, codec: str) -> None:
    """Have the broker pack whatever comes, as the topic's owner may."""
    admin = AIOKafkaAdminClient(**pipeline.settings.kafka_options())
    await admin.start()
    try:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic_of(pipeline), {"compression.type": codec})
        (response,) = await admin.alter_configs([resource])
        assert response.resources[0][0] == 0
    finally:
        await admin.close()


def some(prefix: str, count: int = PADDED) -> list[OrderConfirmed]:
    return [order(f"{prefix}-{n}") for n in range(count)]


async def stocked(make_pipeline: MakePipeline, **settings: Any) -> Pipeline:
    pipeline = await make_pipeline(topic_partitions=2, **settings)
    await pipeline.stock(SKU_1=10_000, SKU_2=10_000)
    return pipeline


@pytest.mark.parametrize("codec", CODECS)
async def test_orders_that_librdkafka_packs_are_paid(make_pipeline: MakePipeline, codec: str) -> None:
    pipeline = await stocked(make_pipeline)
    orders = some(codec)
    publish_packed(pipeline, codec, orders)
    await pipeline.join()
    await pipeline.until_status("paid_and_confirmed", *(said.order_id for said in orders))


@pytest.mark.parametrize("codec", CODECS)
async def test_orders_that_the_broker_packs_are_paid(make_pipeline: MakePipeline, codec: str) -> None:
    pipeline = await stocked(make_pipeline)
    await pack_topic(pipeline, codec)
    orders = some(codec)
    await publish_batch(pipeline, 0, orders)
    await pipeline.join()
    await pipeline.until_status("paid_and_confirmed", *(said.order_id for said in orders))


@pytest.mark.parametrize("codec", CODECS)
async def test_batch_that_unpacks_to_too_much_keeps_its_own_partition_only(
    make_pipeline: MakePipeline, codec: str
) -> None:
    pipeline = await stocked(make_pipeline, unpacked_bytes_max=10_000, message_bytes_max=2_000)
    publish_packed(pipeline, codec, some("fits", 20))
    publish_packed(pipeline, codec, some("large", 120))
    with capture_logs() as log:
        await pipeline.join()
        await pipeline.until_status("paid_and_confirmed", "fits-0", "fits-19")
        (alarm, *_) = await until_rung(pipeline, log, "unreadable")
        publish_packed(pipeline, codec, some("elsewhere"), partition=1)
        await pipeline.until_status("paid_and_confirmed", "elsewhere-0", f"elsewhere-{PADDED - 1}")
    assert (alarm["partition"], alarm["offset"], alarm["to_offset"]) == (0, 20, 139)
    assert "unpacks to more than 10,000 bytes (PAYMENTS_UNPACKED_BYTES_MAX)" in alarm["cause"]
    assert (await committed(pipeline))[0] == 20


@pytest.mark.parametrize("codec", [1, 2, 3, 4], ids=CODECS)
def test_bound_is_exact(codec: int) -> None:
    import gzip

    import cramjam

    data = bytes(range(256)) * 40
    pack: dict[int, Any] = {
        1: gzip.compress,
        2: cramjam.snappy.compress_raw,
        3: cramjam.lz4.compress,
        4: cramjam.zstd.compress,
    }
    packed = bytes(pack[codec](data))
    _, unpack = unpacking.UNPACK[codec]
    try:
        unpacking.bound_unpacking(len(data))
        assert unpack(packed) == data
        unpacking.bound_unpacking(len(data) - 1)
        with pytest.raises(unpacking.UnpackedTooLarge):
            unpack(packed)
        with pytest.raises(Exception, match=r"\w"):
            unpack(packed[: len(packed) // 2])
    finally:
        unpacking.bound_unpacking(unpacking.UNPACKED_BYTES_MAX)


def test_snappy_is_read_in_the_framing_of_java_clients() -> None:
    from aiokafka.codec import snappy_encode

    data = bytes(range(256)) * 400
    assert unpacking.snappy(snappy_encode(data, xerial_compatible=True)) == data


def test_gzip_of_several_members_is_read_whole() -> None:
    import gzip

    assert unpacking.gzip(gzip.compress(b"one") + gzip.compress(b"two")) == b"onetwo"
