"""The publisher on a real Kafka: order, acknowledgements, refusals, and its end."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

import psutil
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from deploy.embedded import EmbeddedServers
from domain.errors import DownForEverybody, Transient
from domain.ports.publisher import OutgoingMessage, Published
from producers import partitioning, waves
from producers.connection import producer_options, start_producer, stop_producer
from producers.kafka_publisher import KafkaPublisher
from producers.lanes import RECORD_BYTES_MAX
from tests.eventually import EVENTUALLY_S
from tests.producers.reading import make_topic, read_all

pytestmark = pytest.mark.integration
HEADERS = (("ce_type", b"PaymentAuthorized"), ("content-type", b"application/avro"))


def message(number: int, topic: str, key: bytes | None = b"order-1", value: bytes | None = b"body") -> OutgoingMessage:
    return OutgoingMessage(id=number, topic=topic, key=key, value=value, headers=HEADERS)


def suspend(process: psutil.Process) -> None:
    """Stop a process; the signal alone is still on its way when it was sent, and a thread could answer meanwhile."""
    process.suspend()
    while process.status() != psutil.STATUS_STOPPED:
        pass


async def publish(bootstrap: str, messages: Sequence[OutgoingMessage]) -> Published:
    async with KafkaPublisher({"bootstrap_servers": bootstrap}) as publisher:
        return await publisher.publish(messages)


async def test_every_message_arrives_once_and_in_order_per_key(kafka_bootstrap: str, topic_prefix: str) -> None:
    topics = [f"{topic_prefix}A", f"{topic_prefix}B"]
    for topic in topics:
        await make_topic(kafka_bootstrap, topic, partitions=4)
    messages = [
        message(number, topics[number % 2], b"order-%d" % (number // 2 % 50), b"%d" % number + b"." * 400)
        for number in range(12_000)
    ]
    async with KafkaPublisher({"bootstrap_servers": kafka_bootstrap}) as publisher:
        answers = [await publisher.publish(messages[start : start + 5000]) for start in range(0, 12_000, 5000)]
    assert sorted(id_ for answer in answers for id_ in answer.acknowledged) == list(range(12_000))
    assert all(not answer.refused for answer in answers)
    for topic in topics:
        expected, found = defaultdict(list), defaultdict(list)
        for each in messages:
            if each.topic == topic:
                expected[each.key].append(each.value)
        for record in await read_all(kafka_bootstrap, topic):
            found[record.key].append(record.value)
            assert record.headers == HEADERS
        assert found == expected


async def test_a_key_has_the_partition_that_every_client_gives_it(kafka_bootstrap: str, topic_prefix: str) -> None:
    topic = f"{topic_prefix}A"
    await make_topic(kafka_bootstrap, topic, partitions=12)
    keys = [b"", b"a", b"order-1", b"order-12345678", "\xe9".encode()]
    await publish(kafka_bootstrap, [message(number, topic, key) for number, key in enumerate(keys)])
    # From org.apache.kafka.common.utils.Utils.murmur2, by way of librdkafka's murmur2 partitioner.
    from confluent_kafka import Producer

    theirs = {}
    producer = Producer({"bootstrap.servers": kafka_bootstrap, "partitioner": "murmur2"})
    for key in keys:
        producer.produce(topic, key=key, value=b"x", callback=lambda _, sent: theirs.update({sent.key(): sent}))
    assert producer.flush(20) == 0
    ours = {record.key: record.partition for record in await read_all(kafka_bootstrap, topic) if record.value != b"x"}
    assert ours == {key: sent.partition() for key, sent in theirs.items()}


async def test_a_message_without_key_and_body_is_published_as_it_is(kafka_bootstrap: str, topic_prefix: str) -> None:
    topic = f"{topic_prefix}A.dlt"
    await make_topic(kafka_bootstrap, topic)
    answer = await publish(kafka_bootstrap, [message(1, topic, None, None), message(2, topic, None, b"")])
    assert answer == Published([1, 2])
    records = await read_all(kafka_bootstrap, topic)
    assert [(record.key, record.value) for record in records] == [(None, None), (None, b"")]


async def test_nothing_to_publish_is_no_question_to_kafka(kafka_bootstrap: str) -> None:
    assert await publish(kafka_bootstrap, []) == Published([])


async def test_a_missing_topic_is_refused_and_others_go_on(
    kafka_bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitioning, "TOPIC_WAIT_S", 0.2)
    there, missing, invalid = f"{topic_prefix}A", f"{topic_prefix}B", f"{topic_prefix} /"
    await make_topic(kafka_bootstrap, there)
    async with KafkaPublisher({"bootstrap_servers": kafka_bootstrap}) as publisher:
        answer = await publisher.publish([message(1, missing), message(2, there), message(3, invalid)])
        assert answer.acknowledged == [2]
        assert set(answer.refused) == {1, 3}
        assert "payments topics create" in answer.refused[1].why
        await make_topic(kafka_bootstrap, missing)
        assert await publisher.publish([message(1, missing)]) == Published([1])


async def test_a_message_too_large_is_refused_and_nothing_overtakes_it(kafka_bootstrap: str, topic_prefix: str) -> None:
    small, other = f"{topic_prefix}A", f"{topic_prefix}B"
    await make_topic(kafka_bootstrap, small, max_message_bytes="5000")
    await make_topic(kafka_bootstrap, other)
    messages = [message(number, small, value=b"%d" % number * 300) for number in range(20)]
    messages.insert(10, message(100, small, value=b"x" * 6000))
    messages.append(message(200, other))
    async with KafkaPublisher({"bootstrap_servers": kafka_bootstrap}) as publisher:
        answer = await publisher.publish(messages)
        assert sorted(answer.acknowledged) == [*range(10), 200]
        assert set(answer.refused) == {100, *range(10, 20)}
        assert "max.message.bytes" in answer.refused[100].why
        assert "behind message 100" in answer.refused[10].why
        assert (await publisher.publish(messages[11:21])).acknowledged == [*range(10, 20)]
    records = await read_all(kafka_bootstrap, small)
    assert [record.value for record in records] == [b"%d" % number * 300 for number in range(20)]


async def test_a_message_that_no_broker_takes_is_refused_before_it_is_sent(
    kafka_bootstrap: str, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}A"
    await make_topic(kafka_bootstrap, topic)
    huge = message(2, topic, value=bytes(RECORD_BYTES_MAX + 1))
    answer = await publish(kafka_bootstrap, [message(1, topic), huge, message(3, topic)])
    assert answer.acknowledged == [1]
    assert list(answer.refused) == [2, 3]


async def test_large_messages_go_in_several_requests(
    kafka_bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waves, "WAVE_BYTES_MAX", 1_500_000)
    topic = f"{topic_prefix}A"
    await make_topic(kafka_bootstrap, topic, partitions=3)
    messages = [message(number, topic, b"order-%d" % (number % 5), bytes(400_000)) for number in range(20)]
    answer = await publish(kafka_bootstrap, messages)
    assert sorted(answer.acknowledged) == list(range(20))


async def test_nobody_listening_is_said_at_the_start() -> None:
    publisher = KafkaPublisher({"bootstrap_servers": "127.0.0.1:1"})
    with pytest.raises(DownForEverybody, match=r"no Kafka broker answers at 127\.0\.0\.1:1"):
        await publisher.start()
    with pytest.raises(Transient, match="not started"):
        await publisher.publish([])


async def test_new_partitions_are_used_as_soon_as_the_brokers_are_asked_again(
    kafka_bootstrap: str, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}A"
    await make_topic(kafka_bootstrap, topic, partitions=1)
    kafka = {"bootstrap_servers": kafka_bootstrap}
    assert producer_options(kafka)["metadata_max_age_ms"] <= 15_000
    sent = 0
    async with KafkaPublisher({**kafka, "metadata_max_age_ms": 200}) as publisher, asyncio.timeout(30):
        await publisher.publish([message(sent, topic)])
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
        await admin.start()
        await admin.create_partitions({topic: NewPartitions(total_count=8)})
        await admin.close()
        while len({record.partition for record in await read_all(kafka_bootstrap, topic)}) < 8:
            sent += 100
            keys = [b"order-%d" % number for number in range(100)]
            await publisher.publish([message(sent + n, topic, key) for n, key in enumerate(keys)])
    assert sent


@pytest.mark.kill
async def test_when_kafka_goes_away_the_publisher_ends_and_a_new_one_starts_over(
    own_servers: EmbeddedServers, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}A"
    kafka = {"bootstrap_servers": own_servers.kafka_bootstrap}
    await make_topic(own_servers.kafka_bootstrap, topic)
    publisher = KafkaPublisher(kafka, deadline_s=1)
    await publisher.start()
    assert await publisher.publish([message(1, topic)]) == Published([1])
    own_servers.kafka.stop(immediate=True)
    with pytest.raises(Transient):
        await publisher.publish([message(2, topic)])
    with pytest.raises(Transient, match="make a new one"):
        await publisher.publish([message(2, topic)])
    await publisher.close()
    own_servers.kafka.start()
    assert await publish(own_servers.kafka_bootstrap, [message(2, topic)]) == Published([2])
    assert [record.offset for record in await read_all(own_servers.kafka_bootstrap, topic)] == [0, 1]


@pytest.mark.kill
async def test_a_broker_that_hangs_is_given_up_at_the_deadline_and_a_cancelled_publisher_ends(
    own_servers: EmbeddedServers, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}A"
    await make_topic(own_servers.kafka_bootstrap, topic)
    hanging, cancelled = (
        KafkaPublisher({"bootstrap_servers": own_servers.kafka_bootstrap}, deadline_s=d) for d in (1, 60)
    )
    for publisher in (hanging, cancelled):
        await publisher.start()
        assert await publisher.publish([message(1, topic)]) == Published([1])
    broker = psutil.Process(own_servers.kafka.pid)
    suspend(broker)
    try:
        async with asyncio.timeout(EVENTUALLY_S):
            with pytest.raises(Transient):
                await hanging.publish([message(2, topic)])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await cancelled.publish([message(3, topic)])
        with pytest.raises(Transient, match="make a new one"):
            await cancelled.publish([])
    finally:
        broker.resume()
        await hanging.close()
        await cancelled.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_producer_that_is_broken_off_while_it_stops_leaves_no_connection(
    kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer = await start_producer({"bootstrap_servers": kafka_bootstrap})
    connections = list(producer.client._conns.values())
    assert any(each.connected() for each in connections)
    stopping = asyncio.Event()

    async def hanging() -> None:
        stopping.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(producer, "stop", hanging)
    ending = asyncio.ensure_future(stop_producer(producer))
    await stopping.wait()
    ending.cancel()
    await asyncio.gather(ending, return_exceptions=True)
    assert ending.cancelled()
    assert not any(each.connected() for each in connections)
