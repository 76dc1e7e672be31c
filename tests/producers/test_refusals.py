"""A broker refuses a whole batch for one record: the one to blame is found, and its neighbours are sent."""

import asyncio
import time
from collections.abc import Iterator, Sequence

import pytest
from aiokafka import errors
from aiokafka.admin import AIOKafkaAdminClient

from deploy.embedded import EmbeddedServers
from domain.alarms import ALARMS
from domain.ports.publisher import Interrupted, OutgoingMessage, Published, Scope
from producers.kafka_publisher import KafkaPublisher
from producers.lanes import IN_A_ROW_MAX
from producers.refusals import Family, family_of, refusal_of
from tests.producers.reading import make_topic, read_all

HOUR_MS = 3_600_000

CODES = {
    -1: Family.RECORD,
    2: Family.RECORD,
    3: Family.PARTITION,
    5: Family.PARTITION,
    6: Family.PARTITION,
    7: Family.PARTITION,
    9: Family.PARTITION,
    10: Family.SIZE,
    17: Family.TOPIC,
    18: Family.SIZE,
    19: Family.PARTITION,
    20: Family.PARTITION,
    21: Family.TOPIC,
    29: Family.TOPIC,
    32: Family.CLOCK,
    43: Family.TOPIC,
    44: Family.RECORD,
    56: Family.PARTITION,
    57: Family.PARTITION,
    72: Family.PARTITION,
    # TOPIC_DELETION_DISABLED, UNSUPPORTED_COMPRESSION_TYPE, INVALID_RECORD, THROTTLING_QUOTA_EXCEEDED and what comes
    # after them: the client cannot name any.
    73: Family.RECORD,
    76: Family.RECORD,
    87: Family.RECORD,
    89: Family.RECORD,
    200: Family.RECORD,
}
"""Every other code of the client is none that a broker answers a produce of one record or topic with."""


def message(number: int, topic: str, key: bytes | None = None, value: bytes = b"body") -> OutgoingMessage:
    return OutgoingMessage(number, topic, key or b"order-%d" % number, value, [("name", b"value")])


async def publish(bootstrap: str, messages: Sequence[OutgoingMessage]) -> Published:
    async with KafkaPublisher({"bootstrap_servers": bootstrap}) as publisher:
        return await publisher.publish(messages)


@pytest.mark.parametrize("code", sorted({*errors.kafka_errors, *CODES} - {0}))
def test_every_code_of_a_broker_has_a_family(code: int) -> None:
    error = errors.for_code(code)()
    assert family_of(error) is CODES.get(code, Family.PRODUCER)
    refusal = refusal_of(error, Scope.MESSAGE)
    assert refusal.why
    assert refusal.alarm in ALARMS


def test_what_the_client_itself_raises_concerns_the_producer() -> None:
    raised = [errors.KafkaConnectionError(), errors.NodeNotReadyError(), errors.ProducerFenced(), TimeoutError()]
    assert {family_of(error) for error in raised} == {Family.PRODUCER}


@pytest.mark.integration
async def test_of_a_thousand_neighbours_only_the_refused_record_and_its_order_wait(
    kafka_bootstrap: str, topic_prefix: str
) -> None:
    compacted = f"{topic_prefix}A"
    await make_topic(kafka_bootstrap, compacted, cleanup_policy="compact")
    messages = [message(number, compacted) for number in range(1_000)]
    # A compacted topic takes no record without a key: INVALID_RECORD.
    messages[400] = OutgoingMessage(400, compacted, None, b"body", [])
    answer = await publish(kafka_bootstrap, messages)
    assert sorted(answer.acknowledged) == [n for n in range(1_000) if n != 400]
    assert set(answer.refused) == {400}
    assert answer.refused[400].scope is Scope.MESSAGE
    assert "cleanup.policy" in answer.refused[400].why
    found = [record.key for record in await read_all(kafka_bootstrap, compacted)]
    assert found == [b"order-%d" % n for n in range(1_000) if n != 400], "in order, and once each"


@pytest.mark.integration
async def test_messages_of_the_refused_one_s_key_wait_and_no_others_of_its_partition(
    kafka_bootstrap: str, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}A"
    await make_topic(kafka_bootstrap, topic, max_message_bytes="5000")
    messages = [message(n, topic, b"order-%d" % (n % 5), b"%d" % n) for n in range(100)]
    messages[22] = message(22, topic, b"order-2", bytes(6_000))
    messages[51] = message(51, topic, b"order-1", bytes(6_000))
    answer = await publish(kafka_bootstrap, messages)
    waiting = {*range(22, 100, 5), *range(51, 100, 5)}
    assert set(answer.refused) == waiting
    blamed = {id_ for id_, refusal in answer.refused.items() if refusal.scope is Scope.MESSAGE}
    assert blamed == {22, 51}
    assert {answer.refused[id_].scope for id_ in waiting - blamed} == {Scope.BEHIND}
    assert sorted(answer.acknowledged) == sorted({*range(100)} - waiting)
    found = [int(record.value) for record in await read_all(kafka_bootstrap, topic)]
    assert found == [n for n in range(100) if n not in waiting]


@pytest.mark.integration
async def test_a_clock_more_than_an_hour_ahead_is_an_alarm_of_its_own_and_holds_all_topics_that_mind(
    kafka_bootstrap: str, topic_prefix: str
) -> None:
    minds, does_not = f"{topic_prefix}A", f"{topic_prefix}B"
    await make_topic(kafka_bootstrap, minds, partitions=3)
    await make_topic(kafka_bootstrap, does_not, message_timestamp_type="LogAppendTime")
    messages = [message(n, (minds, does_not)[n % 2]) for n in range(200)]
    ahead = KafkaPublisher({"bootstrap_servers": kafka_bootstrap}, stamp=lambda: wall_ms() + 2 * HOUR_MS)
    async with ahead as publisher:
        answer = await publisher.publish(messages)
    assert sorted(answer.acknowledged) == [n for n in range(200) if n % 2]
    assert {refusal.alarm for refusal in answer.refused.values() if refusal.scope is not Scope.BEHIND} == {
        "clock_wrong"
    }
    topic_wide = [refusal for refusal in answer.refused.values() if refusal.scope is Scope.TOPIC]
    assert len(topic_wide) >= 100 - 3 * IN_A_ROW_MAX, "it is not looked for record by record"
    assert "clock" in topic_wide[0].why
    again = await publish(kafka_bootstrap, [m for m in messages if m.topic == minds])
    assert (sorted(again.acknowledged), again.refused) == ([n for n in range(200) if n % 2 == 0], {})


@pytest.mark.integration
async def test_a_clock_that_is_set_right_meanwhile_costs_no_message(kafka_bootstrap: str, topic_prefix: str) -> None:
    topic = f"{topic_prefix}A"
    await make_topic(kafka_bootstrap, topic)
    clock = _jumping(wrong=2)
    async with KafkaPublisher({"bootstrap_servers": kafka_bootstrap}, stamp=lambda: next(clock)) as publisher:
        answer = await publisher.publish([message(n, topic) for n in range(100)])
    assert answer == Published(list(range(100)))
    assert [record.key for record in await read_all(kafka_bootstrap, topic)] == [b"order-%d" % n for n in range(100)]


@pytest.mark.integration
async def test_a_partition_that_does_not_answer_holds_its_topic_and_no_other(
    kafka_bootstrap: str, topic_prefix: str
) -> None:
    gone, fine = f"{topic_prefix}A", f"{topic_prefix}B"
    for topic in (gone, fine):
        await make_topic(kafka_bootstrap, topic)
    messages = [message(n, (gone, fine)[n % 2]) for n in range(10)]
    async with KafkaPublisher({"bootstrap_servers": kafka_bootstrap}, deadline_s=2) as publisher:
        assert sorted((await publisher.publish(messages)).acknowledged) == list(range(10))
        # The client still knows the topic; what the broker says of it now the client repeats for ever.
        await delete_topic(kafka_bootstrap, gone)
        answer = await publisher.publish(messages)
        assert answer.acknowledged == [1, 3, 5, 7, 9]
        refused = {id_: (refusal.scope, refusal.alarm) for id_, refusal in answer.refused.items()}
        assert refused == dict.fromkeys([0, 2, 4, 6, 8], (Scope.TOPIC, "topic_stalled"))
        assert "gave no answer" in answer.refused[0].why
        again = await publisher.publish(messages)
    assert again.acknowledged == [1, 3, 5, 7, 9]
    assert "payments topics create" in again.refused[0].why


@pytest.mark.integration
async def test_from_the_first_no_on_nothing_more_is_sent(kafka_bootstrap: str, topic_prefix: str) -> None:
    topic = f"{topic_prefix}A"
    await make_topic(kafka_bootstrap, topic)
    messages = [message(n, topic, b"order", bytes(600_000)) for n in range(4)]
    answers = iter([True, True, False])
    async with KafkaPublisher({"bootstrap_servers": kafka_bootstrap}) as publisher:
        answer = await publisher.publish(messages, allowed=lambda: next(answers))
        assert answer.acknowledged == [0, 1]
        assert {id_: refusal.scope for id_, refusal in answer.refused.items()} == {2: Scope.BEHIND, 3: Scope.BEHIND}
        assert len(await read_all(kafka_bootstrap, topic)) == 2
        assert await publisher.publish(messages[2:]) == Published([2, 3])


@pytest.mark.kill
@pytest.mark.integration
async def test_what_was_acknowledged_before_the_trouble_is_told(
    own_servers: EmbeddedServers, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}A"
    await make_topic(own_servers.kafka_bootstrap, topic)
    messages = [message(n, topic, b"order", bytes(600_000)) for n in range(3)]
    asked = 0

    def allowed() -> bool:
        nonlocal asked
        asked += 1
        if asked == 2:
            own_servers.kafka.stop(immediate=True)
        return True

    async with KafkaPublisher({"bootstrap_servers": own_servers.kafka_bootstrap}, deadline_s=1) as publisher:
        with pytest.raises(Interrupted) as trouble:
            await publisher.publish(messages, allowed=allowed)
    assert trouble.value.published == Published([0])


async def delete_topic(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([topic])
        while topic in await admin.list_topics():  # noqa: ASYNC110 - the broker tells nobody
            await asyncio.sleep(0.01)
    finally:
        await admin.close()


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


def _jumping(wrong: int) -> Iterator[int]:
    """Give the time of a clock that is two hours ahead when it is read so often, and right from then on."""
    for _ in range(wrong):
        yield wall_ms() + 2 * HOUR_MS
    while True:
        yield wall_ms()
