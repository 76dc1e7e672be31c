"""Consumer groups as the broker sees them."""

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CommitFailedError, GroupCoordinatorNotAvailableError

from consumers.order_confirmed import authorize_payment
from consumers.reactions import REACTIONS
from domain.reaction import Reaction
from tests.e2e.deployment import PARTITIONS, Deployment
from tests.eventually import eventually


def await_members(shop: Deployment, count: int) -> None:
    """Wait until the partitions of OrderConfirmed are shared out among so many members."""
    eventually(lambda: asyncio.run(_sharers(shop)) == count, f"{count} members of the group have partitions")


async def _sharers(shop: Deployment) -> int:
    admin = AIOKafkaAdminClient(**shop.kafka)
    await admin.start()
    try:
        (answer,) = await admin.describe_consumer_groups([shop.prefix + authorize_payment.group])
    except GroupCoordinatorNotAvailableError:
        return 0
    finally:
        await admin.close()
    _, _, state, _, _, members, *_ = answer.groups[0]
    return len([member for member in members if member[-1]]) if state == "Stable" else 0


def rewind(shop: Deployment) -> None:
    """Have every group begin at its topic's first message again, as soon as the broker has missed the dead members."""
    eventually(lambda: all(asyncio.run(_rewound(shop, reaction)) for reaction in REACTIONS), "all groups are empty")


async def _rewound(shop: Deployment, reaction: Reaction) -> bool:
    topic = shop.prefix + reaction.trigger.TYPE
    consumer = AIOKafkaConsumer(group_id=shop.prefix + reaction.group, enable_auto_commit=False, **shop.kafka)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, n) for n in range(PARTITIONS)]
        consumer.assign(partitions)
        await consumer.commit(dict.fromkeys(partitions, 0))
    except CommitFailedError:
        return False
    finally:
        await consumer.stop()
    return True
