"""Makes what a role needs: the database's schema, the inbox's partitions, topics and stock.

All of it may be repeated, also by several processes at a time: what is there stays as it is.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from deploy.running import run
from deploy.settings import Settings
from deploy.topics import owners_of, wanted_of
from deploy.wiring import store_of
from domain.errors import Busy
from domain.ports.upkeep import InboxUpkeep
from outbox.operators.stock import StockChange, StockSet, change_stock
from outbox.schema.erasing import erase_spent_tokens
from outbox.schema.listing import keep_list_index
from outbox.schema.migrations import expansion, upgrade
from outbox.schema.migrations.run import Target
from outbox.schema.state import SchemaState, schema_state
from outbox.schema.undisputing import count_disputes_anew
from producers.topic_settings import Difference, Owner
from producers.topics import TopicsMade, create_topics, mend_topics, survey_topics

LOOKS_MAX: Final = 20
LOOK_AGAIN_S: Final = 0.25


class Migrated(NamedTuple):
    """The schema before and after, and what was done to the inbox's partitions."""

    before: SchemaState
    after: SchemaState
    inbox: InboxUpkeep


class TopicsPrepared(NamedTuple):
    """Topics that were made; differences, mended ones first; why some topics were not mended or not compared."""

    made: TopicsMade
    differences: Sequence[Difference]
    not_mended: Mapping[str, str]
    not_compared: Mapping[str, str]


def migrate_database(
    settings: Settings, progress: Callable[[str], None] = lambda _: None, target: Target = expansion
) -> Migrated:
    """Migrate past a pooler, as far as target says, and make the inbox's partitions ahead of time.

    A schema of a newer release stays as it is. Raises OperationalError if the database does not answer, Transient if
    its tables are in use for too long, Permanent if it may not be migrated now.
    """
    url = settings.direct_url()
    before = schema_state(url)
    upgrade(url, progress, target=target)
    if erased := erase_spent_tokens(url, progress):
        progress(f"{erased} payment tokens of ended attempts and sent copies erased: an older release had kept them")
    mended, held = count_disputes_anew(url)
    if mended:
        progress(f"{mended} orders may be refunded again: only a payment of an older attempt was disputed")
    if held:
        progress(f"{held} orders more are in use now: run `payments migrate` once more")
    inbox = run(_maintain(settings))
    # Last, for nothing needs it. With new tables it is no news.
    if not keep_list_index(url, progress if before.revision is not None else lambda _: None):
        progress(
            "the index for lists of orders is left for later, others are in the way: run `payments migrate` once more"
        )
    return Migrated(before, schema_state(url), inbox)


async def make_topics(settings: Settings) -> TopicsMade:
    """Make the topics that are missing, as the settings say."""
    wanted = wanted_of(settings)
    return await create_topics(
        settings.kafka_options(),
        owners_of(settings.topic_prefix),
        partitions=wanted.partitions,
        replication_factor=wanted.replication_factor,
        event_bytes_max=wanted.event_bytes_max,
    )


async def prepare_topics(settings: Settings, mended: Collection[Owner]) -> TopicsPrepared:
    """Make missing topics, compare the others, mend those of these owners, and compare again."""
    kafka, owners, wanted = settings.kafka_options(), owners_of(settings.topic_prefix), wanted_of(settings)
    made = await make_topics(settings)
    found = {topic: owners[topic] for topic in made.existing}
    survey = await survey_topics(kafka, found, wanted)
    to_mend = [d for d in survey.differences if d.owner in mended and d.mend is not None]
    if not to_mend:
        return TopicsPrepared(made, survey.differences, {}, survey.unread)
    refused = await mend_topics(kafka, to_mend)
    asked = {(d.topic, d.setting) for d in to_mend if d.topic not in refused}
    for _ in range(LOOKS_MAX):
        after = await survey_topics(kafka, found, wanted)
        left = {(d.topic, d.setting) for d in after.differences}
        if not asked & left:
            break
        # A broker shows a change a moment after the controller made it.
        await asyncio.sleep(LOOK_AGAIN_S)
    done = [replace(d, mended=True) for d in to_mend if (d.topic, d.setting) not in left]
    return TopicsPrepared(made, [*done, *after.differences], refused, after.unread)


async def set_stock(settings: Settings, quantities: Mapping[str, int], by: str) -> list[StockSet]:
    """Set how many units of each SKU are free to reserve. Raises StockRefused."""
    return await change_stocks(settings, [StockChange(sku, quantity) for sku, quantity in quantities.items()], by)


async def change_stocks(
    settings: Settings, changes: Sequence[StockChange], by: str, progress: Callable[[int], None] = lambda _: None
) -> list[StockSet]:
    """Change the stock of many SKUs in one transaction, as change_stock does. Raises StockRefused."""
    async with store_of(settings) as store:
        try:
            async with store.transaction() as transaction:
                return await change_stock(transaction, changes, by, progress)
        except Busy as busy:
            raise await store.with_holder(busy) from busy


async def _maintain(settings: Settings) -> InboxUpkeep:
    async with store_of(settings) as store:
        return await store.maintain()
