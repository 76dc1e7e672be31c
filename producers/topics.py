"""Makes topics with the settings that the pipeline needs, and compares those that exist."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import NotControllerError, TopicAlreadyExistsError, for_code

from producers.connection import admin_client
from producers.topic_admin import add_partitions, read_settings, set_settings
from producers.topic_settings import PARTITIONS, Difference, Found, Owner, Wanted, compare

REQUEST_TIMEOUT_MS = 30_000
SURE_S = 2.0
ASK_AGAIN_S = 0.2

_Answer = TypeVar("_Answer")


class TopicsRefused(Exception):  # noqa: N818 - an answer, not a fault of ours
    """Topics could not be made. The text says which, why, and what to change."""


@dataclass(frozen=True, slots=True)
class TopicsMade:
    """Names of topics: made now, and those that existed (their settings stay)."""

    created: Sequence[str]
    existing: Sequence[str]


@dataclass(frozen=True, slots=True)
class Survey:
    """missing: topics that do not exist. unread: why the settings of these topics were not read, nor compared."""

    missing: Sequence[str]
    differences: Sequence[Difference]
    unread: Mapping[str, str]


async def create_topics(
    kafka: Mapping[str, Any],
    names: Collection[str],
    *,
    partitions: int,
    replication_factor: int,
    event_bytes_max: int,
) -> TopicsMade:
    """Make the topics that do not exist. Calling it again is safe: existing topics stay as they are.

    kafka: connection options of aiokafka. Raises TopicsRefused when the brokers will not make them (more replicas than
    brokers, a name that is not allowed, no permission), DownForEverybody when no broker answers, Transient otherwise.
    """
    configs = Wanted(partitions, replication_factor, event_bytes_max).configs()
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
            lost_race = _find_existing(await admin.create_topics(new, timeout_ms=REQUEST_TIMEOUT_MS))
            wanted = [name for name in wanted if name not in lost_race]
        return TopicsMade(wanted, [name for name in dict.fromkeys(names) if name not in wanted])


async def missing_topics(kafka: Mapping[str, Any], names: Collection[str]) -> list[str]:
    """Return those that do not exist, sorted. Every process checks this at its start.

    Raises DownForEverybody when no broker answers, Transient otherwise.
    """
    async with _admin(kafka) as admin:
        there = await _ask_until_whole(admin.list_topics, lambda found: set(names) <= set(found))
        return sorted(set(names) - set(there))


async def survey_topics(kafka: Mapping[str, Any], owners: Mapping[str, Owner], wanted: Wanted) -> Survey:
    """Compare topics with what they should be. Changes nothing.

    Raises DownForEverybody when no broker answers, Transient otherwise. Settings that we may not read raise nothing.
    """
    async with _admin(kafka) as admin:
        # We ask for all topics: naming one that does not exist could make it, with the broker's settings.
        described = await _ask_until_whole(
            admin.describe_topics, lambda found: owners.keys() <= {t["topic"] for t in found}
        )
        there = {topic["topic"]: topic["partitions"] for topic in described}
        present = [topic for topic in owners if topic in there]
        settings, unread = await read_settings(admin, present)
        differences = []
        for topic in present:
            if not there[topic]:
                continue  # it is just being made: brokers know its name before its partitions
            copies = min(len(partition["replicas"]) for partition in there[topic])
            found = Found(topic, owners[topic], len(there[topic]), copies, settings.get(topic, {}))
            differences += compare(found, wanted)
        return Survey([topic for topic in owners if topic not in there], differences, unread)


async def mend_topics(kafka: Mapping[str, Any], differences: Sequence[Difference]) -> dict[str, str]:
    """Repair what can be repaired, topic by topic, each wholly or not at all. Return why some were not, by topic.

    Partitions are added, never taken away; nothing is kept for a shorter time than before. Raises as survey_topics.
    """
    mends: dict[str, dict[str, str]] = {}
    for difference in differences:
        if difference.mend is not None:
            # The repair of compaction comes first and keeps everything: it overrides what a later difference asks for.
            mends[difference.topic] = {**difference.mend, **mends.get(difference.topic, {})}
    refused = {}
    async with _admin(kafka) as admin:
        for topic, mend in mends.items():
            partitions = mend.pop(PARTITIONS, None)
            why = await set_settings(admin, topic, mend) if mend else None
            if why is None and partitions is not None:
                why = await add_partitions(admin, topic, int(partitions))
            if why is not None:
                refused[topic] = " ".join(why.split())
    return refused


def _admin(kafka: Mapping[str, Any]) -> AbstractAsyncContextManager[AIOKafkaAdminClient]:
    return admin_client(kafka, "payments-topics", "about topics", REQUEST_TIMEOUT_MS)


async def _ask_until_whole(ask: Callable[[], Awaitable[_Answer]], is_whole: Callable[[_Answer], bool]) -> _Answer:
    """Ask again for SURE_S if something is missing: a broker that has just started knows few topics, or none."""
    loop = asyncio.get_running_loop()
    until = loop.time() + SURE_S
    answer = await ask()
    while not is_whole(answer) and loop.time() < until:
        await asyncio.sleep(ASK_AGAIN_S)
        answer = await ask()
    return answer


def _find_existing(response: Any) -> set[str]:
    """Return topics that somebody else made meanwhile. Raises TopicsRefused if any was not made."""
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
