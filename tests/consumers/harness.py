"""A pipeline in the test's process: real Kafka, real PostgreSQL, a simulated gateway that the test can reach.

A `Pipeline` is the world (topics, database, gateway); a `Member` is one process of it, with its own engine and
connections. Waiting is always for a condition, never for time to pass.
"""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Self

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError
from aiokafka.record.util import calc_crc32c

from consumers.adapters.gateway.references import could_name
from consumers.adapters.inventory.http import HttpInventory
from consumers.adapters.notifier import LogNotifier
from consumers.reactions import BY_NAME, REACTIONS
from consumers.runtime.asking import Asker
from consumers.runtime.engine import Engine
from consumers.runtime.guard import Guard
from consumers.runtime.ports import Decode, Local, Ports
from consumers.runtime.resolving import Resolver
from deploy.bounds import bounds_of
from deploy.inventories import local_of, remote_of
from deploy.relaying import relay_of
from deploy.settings import Settings
from deploy.sources import source_maker
from deploy.topics import owners_of
from deploy.wiring import rules_of
from domain.operation import UNFINISHED, OperationKind
from domain.ports.store import Store
from domain.reaction import Reaction
from domain.values import replace
from outbox.driver.connections import Connections
from outbox.schema.privileges import Process
from outbox.store import PostgresStore
from producers.topics import create_topics
from schemas.envelope import headers
from schemas.events import Event
from schemas.topics import CONSUMED, topic_name
from tests.consumers.gateway import MoodyGateway
from tests.consumers.roles import limited_user
from tests.consumers.topics import Read
from tests.consumers.view import View
from tests.eventually import EVENTUALLY_S

WAIT_S = EVENTUALLY_S
POLL_S = 0.02
HELD_S = 2
"""So long messages are waited for that may be held."""

HEADER_NAME = "unreadable"
CRC_AT = 17
"""Where a batch of message format 2 has its checksum, over all that follows it."""

QUICK: dict[str, Any] = {
    "gateway": "simulated",
    "topic_partitions": 2,
    "topic_replication_factor": 1,
    "gateway_connect_timeout_s": 0.1,
    "gateway_timeout_s": 0.2,
    "unknown_retry_s": 0.05,
    "early_wait_s": 1,
    "backoff_min_s": 0.05,
    "backoff_max_s": 0.5,
    "sweep_interval_s": 0.05,
    "relay_poll_s": 0.2,
    "drain_timeout_s": 5,
    "database_pool": 6,
}
"""Settings under which everything that waits waits shortly; leases keep their minute, and tests end them by hand."""


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - upstream's clock


@dataclass(slots=True)
class Member:
    """One process: runs until it leaves, or until it is killed."""

    engine: Engine
    stop: asyncio.Event
    task: "asyncio.Task[None]"
    relays: bool = False

    async def leave(self) -> None:
        """End as SIGTERM ends it: drained."""
        self.stop.set()
        await asyncio.wait_for(self.task, WAIT_S)

    async def crash(self) -> None:
        """End as SIGKILL ends it: nothing is finished, nothing given back."""
        performers = [edge.performer for edge in self.engine.edges.of(OperationKind)]
        running = [self.task, *(task for performer in performers for task in performer._tasks)]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


class Pipeline(View):
    """The world. Open it with `open_pipeline`."""

    def __init__(self, settings: Settings, gateway: MoodyGateway, producer: AIOKafkaProducer, limited: str) -> None:
        """limited: conninfo of a user that may do what a consumer must."""
        super().__init__(settings, gateway)
        self._limited = limited
        self.bounds = bounds_of(settings)
        self.members: list[Member] = []
        self._producer = producer
        self._stores: list[PostgresStore] = []
        self._remotes: list[HttpInventory] = []
        self._published: dict[TopicPartition, int] = {}

    # processes

    async def join(
        self,
        consume: Sequence[Reaction] = REACTIONS,
        *,
        relay: bool = True,
        sweep: bool = True,
        wrap: Callable[[PostgresStore], Store] = lambda store: store,
        decode: Decode | None = None,
        ports: Mapping[str, Any] = MappingProxyType({}),
        **rules: Any,
    ) -> Member:
        """Start a process with these roles. ports: of the test's own making. rules: numbers that no setting governs."""
        stop = asyncio.Event()
        store = self.store()
        engine = self.engine(wrap(store), decode, ports, consume, **rules)
        also = [relay_of(self.settings).run(stop)] if relay else []
        work = engine.run(stop, consume, source_maker(self.settings), sweep=sweep, also=also)
        member = Member(engine, stop, asyncio.ensure_future(_closing(store, work)), relay)
        self.members.append(member)
        return member

    def store(self) -> PostgresStore:
        """Open a consumer's store, of its own connections."""
        return self._store(self._limited)

    def operators_store(self) -> PostgresStore:
        """Open the store of a command that an operator runs."""
        return self._store(self.settings.psycopg_url())

    def _store(self, url: str) -> PostgresStore:
        hot = Connections(url, self.settings.database_pool)
        prefix, owner = self.settings.topic_prefix, self.settings.psycopg_url()
        send = self.settings.notifier != "log"
        made = PostgresStore(hot, self.codec.encode, prefix=prefix, upkeep_url=owner, send_messages=send)
        self._stores.append(made)
        return self._stores[-1]

    def engine(
        self,
        store: Store,
        decode: Decode | None = None,
        ports: Mapping[str, Any] = MappingProxyType({}),
        reactions: Sequence[Reaction] = (),
        **rules: Any,
    ) -> Engine:
        """Make an engine over this store and the world's gateway, not running. reactions: for those of their names."""
        decode = decode or self.codec.decode
        remote = remote_of(self.settings)
        if remote is not None:
            self._remotes.append(remote)
        local = local_of(self.settings)
        every = Ports(store, self.gateway, local, LogNotifier(), decode, self.codec, remote=remote)
        rules_now = replace(rules_of(self.settings), **rules)
        by_name = {**BY_NAME, **{reaction.name: reaction for reaction in reactions}}
        return Engine(dataclasses.replace(every, **ports), by_name, rules_now, self.bounds)

    def resolver(self, **rules: Any) -> Resolver:
        """Make what an operator's word goes through."""
        local = Local(local_of(self.settings), LogNotifier())
        guard = Guard(bounds_of(self.settings))
        return Resolver(
            self.operators_store(), local, BY_NAME, replace(rules_of(self.settings), **rules), guard, could_name
        )

    def asker(self, **rules: Any) -> Asker:
        """Make what an operator's request goes through."""
        local = Local(local_of(self.settings), LogNotifier())
        guard = Guard(bounds_of(self.settings))
        return Asker(self.operators_store(), local, BY_NAME, replace(rules_of(self.settings), **rules), guard)

    # what goes in

    async def publish(self, *events: Event) -> None:
        """Publish events as upstream does, in this order."""
        for event in events:
            await self.publish_raw(event.TYPE, event.subject.encode(), self.codec.encode(event), headers(event))

    async def publish_raw(
        self,
        event_type: str,
        key: bytes | None,
        value: bytes | None,
        with_headers: Sequence[tuple[str, bytes | None]] = (),
        timestamp_ms: int | None = None,
    ) -> None:
        """Publish bytes on the topic of this event type."""
        topic = topic_name(self.settings.topic_prefix, event_type)
        headers = list(with_headers)
        at = await self._producer.send_and_wait(topic, value, key=key, headers=headers, timestamp_ms=timestamp_ms)
        self._published[TopicPartition(topic, at.partition)] = at.offset + 1

    async def publish_with_unreadable_header(self, event_type: str, partition: int = 0) -> None:
        """Publish a record with a header whose name is no UTF-8, as a client in C may: its bytes, checksum included."""
        topic = topic_name(self.settings.topic_prefix, event_type)
        async with AIOKafkaProducer(**self.settings.kafka_options()) as plain:
            batch = plain.create_batch()
            batch.append(key=b"order-x", value=b"v", timestamp=None, headers=[(HEADER_NAME, b"")])
            raw = batch._build()
            at = raw.index(HEADER_NAME.encode())
            raw[at : at + len(HEADER_NAME)] = b"\xff" * len(HEADER_NAME)
            raw[CRC_AT : CRC_AT + 4] = calc_crc32c(bytes(raw[CRC_AT + 4 :])).to_bytes(4, "big")
            sent = await (await plain.send_batch(batch, topic, partition=partition))
        self._published[TopicPartition(topic, partition)] = sent.offset + 1

    # waiting

    async def until(self, holds: Callable[[], Awaitable[bool]], what: str, timeout_s: float = WAIT_S) -> None:
        """Wait until this holds. A process that ends meanwhile ends the wait with what it raised."""
        try:
            async with asyncio.timeout(timeout_s):
                while not await holds():
                    for member in self.members:
                        if member.task.done() and not member.task.cancelled():
                            member.task.result()
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            state = await self.rows("SELECT order_id, status, version, review_reason FROM orders ORDER BY 1 LIMIT 20")
            work = await self.rows("SELECT order_id, kind, state, tries, due_at, detail FROM operation LIMIT 40")
            raise AssertionError(f"not within {timeout_s} s: {what}; orders {state}, operations {work}") from None

    async def until_status(self, status: str, *order_ids: str) -> None:
        """Wait until these orders stand so."""

        async def all_stand_so() -> bool:
            return True is await self.value(
                "SELECT count(*) = %s FROM orders WHERE order_id = ANY(%s) AND status = %s",
                len(order_ids),
                list(order_ids),
                status,
            )

        await self.until(all_stand_so, f"{order_ids} {status}")

    async def until_told(self, kind: str) -> None:
        """Wait until a customer was told this."""

        async def told() -> bool:
            return bool(await self.rows("SELECT 1 FROM notification WHERE kind = %s", kind))

        await self.until(told, kind)

    async def topics(self, *event_types: str, dead_letters: bool = False) -> list[Read]:
        """Read topics once all that is written by now has been sent, if somebody relays. What a relay holds stays."""
        if any(member.relays and not member.task.done() for member in self.members):
            newest = await self.value("SELECT coalesce(max(id), 0) FROM event")

            async def sent() -> bool:
                return not await self.has("SELECT 1 FROM outbox WHERE event_ids[1] <= %s LIMIT 1", newest)

            with suppress(AssertionError):
                await self.until(sent, "sent", HELD_S)
        return await super().topics(*event_types, dead_letters=dead_letters)

    async def until_quiet(self) -> None:
        """Wait until all that was published has been taken, and nothing is under way or still to be sent."""
        await self.until(self._quiet, "quiet")

    async def until_taken(self) -> None:
        """Wait until the offsets behind all that was published are committed."""
        await self.until(self._all_taken, "taken")

    async def _quiet(self) -> bool:
        # In this order: what is taken between two questions the other way round would be in neither.
        if not await self._all_taken():
            return False
        own = [(topic_name(self.settings.topic_prefix, name)) for name in CONSUMED]
        under_way = await self.value(
            """SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM early_message)
                    + (SELECT count(*) FROM operation WHERE state = ANY(%s) AND due_at IS NOT NULL)
                    + (SELECT count(*) FROM event e WHERE e.topic = ANY(%s) AND NOT EXISTS
                        (SELECT FROM inbox i WHERE i.day = (e.occurred_at AT TIME ZONE 'UTC')::date
                                               AND i.event_id = e.event_id))""",
            [str(state) for state in UNFINISHED],
            own,
        )
        return bool(under_way == 0)

    async def _all_taken(self) -> bool:
        admin = AIOKafkaAdminClient(**self.settings.kafka_options())
        await admin.start()
        try:
            taken: dict[TopicPartition, int] = {}
            for reaction in REACTIONS:
                group = self.settings.topic_prefix + reaction.group
                if reaction.trigger.TYPE in {p.topic.removeprefix(self.settings.topic_prefix) for p in self._published}:
                    offsets = await admin.list_consumer_group_offsets(group)
                    taken |= {partition: at.offset for partition, at in offsets.items()}
        except GroupCoordinatorNotAvailableError:
            return False  # the broker has just been started, and makes the topic of the offsets
        finally:
            await admin.close()
        return all(taken.get(partition, 0) >= end for partition, end in self._published.items())

    async def close(self) -> None:
        for member in self.members:
            if not member.task.done():
                await member.crash()
        for store in self._stores:
            await store.close()
        for remote in self._remotes:
            await remote.close()
        await super().close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def _closing(store: PostgresStore, work: Awaitable[None]) -> None:
    try:
        await work
    finally:
        await store.close()


@asynccontextmanager
async def open_pipeline(database_url: str, bootstrap: str, prefix: str, **settings: Any) -> AsyncIterator[Pipeline]:
    """Make topics, gateway and a producer; no process runs yet."""
    chosen = Settings(
        database_url=database_url, kafka_bootstrap_servers=bootstrap, topic_prefix=prefix, **{**QUICK, **settings}
    )
    names = owners_of(prefix)
    await create_topics(
        chosen.kafka_options(), names, partitions=chosen.topic_partitions, replication_factor=1, event_bytes_max=1 << 20
    )
    gateway = MoodyGateway(
        now,
        asyncio.sleep,
        latency_ms=chosen.simulated_latency_ms if "simulated_latency_ms" in settings else 0,
        timeout_s=chosen.gateway_timeout_s,
        pending_s=chosen.sandbox_pending_s,
    )
    producer = AIOKafkaProducer(acks="all", enable_idempotence=True, linger_ms=0, **chosen.kafka_options())
    with limited_user(chosen.psycopg_url(), Process.ENGINE) as limited:
        async with producer, Pipeline(chosen, gateway, producer, limited) as pipeline:
            yield pipeline
    admin = AIOKafkaAdminClient(**chosen.kafka_options())
    await admin.start()
    try:
        await admin.delete_topics(names)
    finally:
        await admin.close()
