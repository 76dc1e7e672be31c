"""Topics: made with the settings that the pipeline's promises rest on, and looked for at start."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, NotControllerError, TopicAlreadyExistsError, for_code

from domain.errors import Transient
from producers.connection import start_failure

# Headers, key and the batch's frame around the largest event; a dead letter carries the original's headers as well.
BATCH_HEADROOM_BYTES = 131_072
REQUEST_TIMEOUT_MS = 30_000


class TopicsRefused(Exception):  # noqa: N818 - an answer, not a fault of ours
    """Topics could not be made as asked. The text says which, why, and what to change."""


@dataclass(frozen=True, slots=True)
class TopicsMade:
    """Names of topics: made now, and found there already (their settings are left as they are)."""

    created: Sequence[str]
    existing: Sequence[str]


def topic_configs(replication_factor: int, event_bytes_max: int) -> dict[str, str]:
    """State a topic's settings. Events are kept for good; from three replicas on one may be lost without stopping.

    event_bytes_max: bytes of the largest event's body.
    """
    return {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "min.insync.replicas": "2" if replication_factor >= 3 else "1",
        "unclean.leader.election.enable": "false",
        "max.message.bytes": str(max(1_048_588, event_bytes_max + BATCH_HEADROOM_BYTES)),
    }


async def create_topics(
    kafka: Mapping[str, Any],
    names: Collection[str],
    *,
    partitions: int,
    replication_factor: int,
    event_bytes_max: int,
) -> TopicsMade:
    """Make the topics that are not there. Calling it again is safe: topics that exist are left as they are.

    kafka: connection options of aiokafka. Raises TopicsRefused when the brokers will not make them (more replicas than
    brokers, a name that is not allowed, no permission), DownForEverybody when no broker answers, Transient otherwise.
    """
    configs = topic_configs(replication_factor, event_bytes_max)
    async with _admin(kafka) as admin:
        existing = set(await admin.list_topics())
        wanted = [name for name in dict.fromkeys(names) if name not in existing]
        if wanted:
            brokers = len((await admin.describe_cluster())["brokers"])
            if replication_factor > brokers:
                raise TopicsRefused(
                    f"{replication_factor} copies of a topic need as many brokers, and there are {brokers}: "
                    f"start more, or set PAYMENTS_TOPIC_REPLICATION_FACTOR={brokers}"
                )
            new = [NewTopic(name, partitions, replication_factor, topic_configs=configs) for name in wanted]
            lost_race = _check(await admin.create_topics(new, timeout_ms=REQUEST_TIMEOUT_MS))
            wanted = [name for name in wanted if name not in lost_race]
        return TopicsMade(wanted, [name for name in dict.fromkeys(names) if name not in wanted])


async def missing_topics(kafka: Mapping[str, Any], names: Collection[str]) -> list[str]:
    """List those that do not exist, sorted: the check of every process at its start.

    Raises DownForEverybody when no broker answers, Transient otherwise.
    """
    async with _admin(kafka) as admin:
        return sorted(set(names) - set(await admin.list_topics()))


@asynccontextmanager
async def _admin(kafka: Mapping[str, Any]) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(client_id="payments-topics", request_timeout_ms=REQUEST_TIMEOUT_MS, **kafka)
    try:
        try:
            await admin.start()
        except (KafkaError, TimeoutError, OSError) as error:
            raise start_failure(kafka, error) from error
        try:
            yield admin
        except (KafkaError, TimeoutError, OSError) as error:
            raise Transient(f"Kafka did not answer about topics ({type(error).__name__}): try again") from error
    finally:
        await admin.close()


def _check(response: Any) -> set[str]:
    """Return topics that somebody else made meanwhile. Raises TopicsRefused for those that were not made."""
    existing = set()
    problems = []
    for name, code, *message in response.topic_errors:
        if code == 0:
            continue
        if code == TopicAlreadyExistsError.errno:
            existing.add(name)
            continue
        error = for_code(code)
        if error is NotControllerError:
            raise NotControllerError(name)
        problems.append(f"{name}: {(message[0] if message else None) or error.description or error.__name__}")
    if problems:
        raise TopicsRefused("Kafka did not make " + "; ".join(problems).replace("\n", " ") + ": mend that and repeat")
    return existing
