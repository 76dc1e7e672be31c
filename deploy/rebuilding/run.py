"""The take-over: what the topics say, and a restored database does not know, is brought into that database."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Final
from uuid import UUID

from deploy.consuming import consumed_with
from deploy.contracts import codec_of
from deploy.kafka_topics import KafkaTopics
from deploy.readiness import check_session
from deploy.rebuilding.applying import AT_ONCE, Applier, Recall
from deploy.rebuilding.collecting import Reading, collect, groups_of, oldest_day
from deploy.rebuilding.comparing import Into, naming_into
from deploy.rebuilding.guards import LOCK_NAME, Watch, alone
from deploy.rebuilding.taken import TakenOver
from deploy.running import now
from deploy.settings import Settings
from deploy.topics import check_present
from deploy.wiring import rules_of
from outbox.audit.rebuild import open_scratch
from outbox.audit.rebuild.said import READ
from outbox.driver.connections import Connections
from outbox.driver.conninfo import connect
from outbox.operators.taking_over import take_out, waiting_to_be_sent
from outbox.store import PostgresStore

SENT_AT_ONCE: Final = 5_000
"""Events that are taken out of the outbox at a time."""


async def take_over(settings: Settings, into: Into, progress: Callable[[str], None] = lambda _: None) -> TakenOver:
    """Bring the database to what our topics say of its orders, a batch a transaction. Return what was done.

    into: where messages are kept meanwhile. Raises Failure while anybody else of ours works, or for a schema that is
    not to be used; Transient or psycopg.OperationalError for what does not answer.
    """
    await check_present(settings)
    await check_session(settings, "a take-over")
    codec, prefix = codec_of(settings), settings.topic_prefix
    consumed = consumed_with(settings)
    topics = KafkaTopics(settings, dict.fromkeys([*READ, *(reaction.trigger.TYPE for reaction in consumed)]))
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(
            await connect(settings.direct_url(), name=LOCK_NAME, autocommit=True)
        )
        watch = await stack.enter_async_context(alone(settings, connection))
        with naming_into(into):
            url = into.url or settings.direct_url()
            scratch = await stack.enter_async_context(open_scratch(url, into.schema, connection, keep=into.keep))
        recall = Recall(codec)
        store = _store(settings, recall)
        stack.push_async_callback(store.close)
        await store.maintain()
        oldest = oldest_day(now().date(), settings.inbox_retention_days)
        reading = Reading(topics, codec, prefix, groups_of(consumed), oldest)
        waiting = await waiting_to_be_sent(connection)
        sent = await collect(reading, connection, scratch, await topics.committed(), waiting, progress)
        applier = Applier(store, recall, codec, prefix, rules_of(settings), watch)
        async with aclosing(scratch.kept_orders(AT_ONCE)) as batches:
            async for orders in batches:
                await applier.apply(orders)
                progress(f"{applier.done.orders:,} orders taken over")
        applier.done.outbox = await _forget_sent(store, sorted(sent), watch)
        return applier.done


def _store(settings: Settings, recall: Recall) -> PostgresStore:
    return PostgresStore(
        Connections(settings.direct_url(), 1),
        recall.encode,
        prefix=settings.topic_prefix,
        event_bytes_max=settings.event_bytes_max,
        inbox_retention_days=settings.inbox_retention_days,
        upkeep_url=settings.direct_url(),
    )


async def _forget_sent(store: PostgresStore, sent: Sequence[UUID], watch: Watch) -> int:
    """Take out of the outbox what is on its topic."""
    for begin in range(0, len(sent), SENT_AT_ONCE):
        async with store.transaction(contended=True) as transaction:
            await transaction.load([])
            await take_out(transaction, sent[begin : begin + SENT_AT_ONCE])
            await watch.refuse(await transaction.plain())
    return len(sent)
