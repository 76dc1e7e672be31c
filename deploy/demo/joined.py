"""Whether the consumers have their partitions: only then does the clock start."""

import asyncio
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from consumers.reactions import REACTIONS
from deploy.embedded import EmbeddedError
from deploy.settings import Settings
from producers.connection import admin_client

JOIN_S: Final = 60.0
POLL_S: Final = 0.1
ASK_MS: Final = 40_000
STABLE: Final = "Stable"


async def all_joined(settings: Settings) -> None:
    """Wait until every consumer group has its members and partitions. Raises EmbeddedError after JOIN_S."""
    async with admin_client(settings.kafka_options(), "payments-demo", "about groups", ASK_MS) as admin:
        try:
            async with asyncio.timeout(JOIN_S):
                for reaction in REACTIONS:
                    group = settings.topic_prefix + reaction.group
                    while not await _stable(admin, group):  # noqa: ASYNC110 - Kafka tells nobody when a group is stable
                        await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise EmbeddedError(f"the consumers did not share out their partitions within {JOIN_S:g} s") from None


async def _stable(admin: AIOKafkaAdminClient, group: str) -> bool:
    """Ask for one group at a time: aiokafka misreads an answer about several."""
    try:
        answers = await admin.describe_consumer_groups([group])
    except KafkaError:
        return False  # its coordinator is not there yet
    return any(group == name and state == STABLE for answer in answers for _, name, state, *_ in answer.groups)
