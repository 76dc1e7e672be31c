"""What an audit needs from outside the database: the gateway's books, and everything that stands on the topics."""

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final

import psycopg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from consumers.adapters.gateway.sandbox_ledger import SandboxLedger
from consumers.reactions import REACTIONS
from deploy.cli.common import codec_of
from deploy.composition import all_topics, check_topics
from deploy.settings import Settings, SettingsError
from domain.errors import Transient
from domain.ports.gateway import GatewayLedger
from outbox.audit import Committed, Report, Scope, TopicMessage, audit, wait_until_quiet
from producers.connection import start_failure
from schemas.topics import topic_name

GROUPS: Final = {reaction.trigger.TYPE: reaction.group for reaction in REACTIONS}
REQUEST_TIMEOUT_MS: Final = 30_000
CONNECT_TIMEOUT_S: Final = 10
BATCH: Final = 5_000


async def run_audit(
    settings: Settings,
    *,
    topics: bool = False,
    wait_s: float | None = None,
    ledger: GatewayLedger | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Report:
    """Wait until the pipeline is quiet, at most wait_s (None: not at all), then audit it.

    ledger: the gateway's books, by default those of the sandbox if that is the gateway. Kafka, if it is set, is asked
    whether the consumers have read everything. Raises Transient or psycopg.OperationalError for what does not answer.
    """
    books = ledger or ledger_of(settings)
    reader = KafkaTopics(settings) if topics or settings.kafka_bootstrap_servers is not None else None
    if reader is not None:
        await check_topics(settings)
    scope = Scope(codec_of(settings), GROUPS, settings.topic_prefix)
    lag = reader.lag if reader is not None else None
    connection = await psycopg.AsyncConnection.connect(
        settings.psycopg_url(), autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, application_name="payments audit"
    )
    async with connection:
        if wait_s is not None:
            await wait_until_quiet(connection, scope, wait_s, lag=lag, progress=progress)
        return await audit(connection, scope, ledger=books, topics=reader if topics else None, lag=lag)


def ledger_of(settings: Settings) -> GatewayLedger | None:
    """Return the sandbox's ledger; None for gateways that have none to read from here."""
    if settings.gateway != "sandbox":
        return None
    if settings.stripe_api_base is None:
        raise SettingsError("the sandbox's address is not known: set PAYMENTS_STRIPE_API_BASE to read its ledger")
    return SandboxLedger(settings.stripe_api_base)


class KafkaTopics:
    """outbox.audit.TopicReader over Kafka, as no member of any group; and how far the groups are behind."""

    def __init__(self, settings: Settings) -> None:
        self._kafka = settings.kafka_options()
        self._prefix = settings.topic_prefix

    async def committed(self) -> Committed:
        """Return the committed offsets of all groups, each of its own topic."""
        found: dict[tuple[str, int], int] = {}
        async with self._admin() as admin:
            for event_type, group in GROUPS.items():
                topic = topic_name(self._prefix, event_type)
                offsets = await admin.list_consumer_group_offsets(self._prefix + group)
                found |= {(p.topic, p.partition): at.offset for p, at in offsets.items() if p.topic == topic}
        return found

    async def lag(self) -> Sequence[str]:
        """Say which groups have messages before them."""
        committed = await self.committed()
        topics = [topic_name(self._prefix, event_type) for event_type in GROUPS]
        async with self._consumer(topics) as (consumer, partitions):
            firsts, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        behind: dict[str, int] = {}
        for p in partitions:
            left = ends[p] - max(committed.get((p.topic, p.partition), 0), firsts[p])
            behind[p.topic] = behind.get(p.topic, 0) + max(left, 0)
        return [
            f"{group} has {behind[topic]} messages before it"
            for topic, group in zip(topics, GROUPS.values(), strict=True)
            if behind.get(topic)
        ]

    async def messages(self) -> AsyncIterator[Sequence[TopicMessage]]:
        """Read every topic from its first message to the one that is last now."""
        async with self._consumer(all_topics(self._prefix)) as (consumer, partitions):
            ends: Mapping[TopicPartition, int] = await consumer.end_offsets(partitions)
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            behind = {p: await consumer.position(p) for p in partitions}
            left = {p for p in partitions if ends[p] > behind[p]}
            while left:
                for p, records in (await _read(consumer, left, behind)).items():
                    yield [
                        TopicMessage(r.topic, r.partition, r.offset, r.key, r.value, r.headers, r.timestamp)
                        for r in records
                        if r.offset < ends[p]
                    ]
                    behind[p] = records[-1].offset + 1
                left = {p for p in left if await consumer.position(p) < ends[p]}

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(client_id="payments-audit", request_timeout_ms=REQUEST_TIMEOUT_MS, **self._kafka)
        try:
            await self._start(admin)
            with _asking():
                yield admin
        finally:
            await admin.close()

    @asynccontextmanager
    async def _consumer(self, topics: Sequence[str]) -> AsyncIterator[tuple[AIOKafkaConsumer, list[TopicPartition]]]:
        consumer = AIOKafkaConsumer(
            *topics,
            client_id="payments-audit",
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            check_crcs=True,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            **self._kafka,
        )
        try:
            await self._start(consumer)
            with _asking():
                partitions = [TopicPartition(t, n) for t in topics for n in consumer.partitions_for_topic(t) or ()]
                consumer.unsubscribe()
                yield consumer, partitions
        finally:
            with suppress(KafkaError):
                await consumer.stop()

    async def _start(self, client: Any) -> None:
        try:
            await client.start()
        except (KafkaError, TimeoutError, OSError) as error:
            raise start_failure(self._kafka, error) from error


@contextmanager
def _asking() -> Iterator[None]:
    """Turn what Kafka raises in the middle of a question into Transient."""
    try:
        yield
    except KafkaError as error:
        raise Transient(f"Kafka did not answer the audit ({type(error).__name__}): try again") from error


async def _read(
    consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition], behind: dict[TopicPartition, int]
) -> Mapping[TopicPartition, Sequence[Any]]:
    """Read on; step over records with a header whose name is not UTF-8, which the client cannot read: dead letters."""
    try:
        read: Mapping[TopicPartition, Sequence[Any]] = await consumer.getmany(
            *partitions, timeout_ms=1_000, max_records=BATCH
        )
    except UnicodeDecodeError:
        # The client has moved on behind records that it did not hand out: each partition begins again, one at a time.
        read = {}
        for p in partitions:
            consumer.seek(p, behind[p])
            try:
                read = {**read, **await consumer.getmany(p, timeout_ms=1_000, max_records=1)}
            except UnicodeDecodeError:
                behind[p] = await consumer.position(p) + 1
                consumer.seek(p, behind[p])
    return {p: records for p, records in read.items() if records}
