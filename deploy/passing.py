"""An operator's word to pass over a stretch: held against what Kafka says, then left for the consumer that waits."""

from typing import Any, Final, NamedTuple

import psycopg

from consumers.adapters.kafka.careful import CarefulReader
from consumers.adapters.kafka.unpacking import bound_unpacking
from consumers.adapters.kafka.wire import Wire
from consumers.reactions import REACTIONS
from deploy.cli.failures import Failure
from deploy.settings import Settings
from domain.reaction import Reaction
from outbox.passed import Passed, say_passed, waiting_between
from schemas.topics import topic_name

CONNECT_TIMEOUT_S: Final = 10


class Wish(NamedTuple):
    """What an operator asks for. topic: with or without the prefix. first and last are included."""

    topic: str
    partition: int
    first: int
    last: int
    reason: str
    by: str


async def say_pass(settings: Settings, wish: Wish) -> dict[str, Any]:
    """Write the operator's word down; return it. Raises Failure where it makes no sense, saying why."""
    reaction = _reaction_of(settings, wish.topic)
    topic = topic_name(settings.topic_prefix, reaction.trigger.TYPE)
    if wish.first > wish.last:
        raise Failure(f"--from {wish.first} lies behind --to {wish.last}")
    bound_unpacking(settings.unpacked_bytes_max)
    wire = Wire(topic, settings.topic_prefix + reaction.group, settings.kafka_options())
    try:
        await _check(wire, topic, wish)
    finally:
        await wire.close()
    passed = Passed(reaction.group, topic, wish.partition, wish.first, wish.last, wish.reason, wish.by)
    connection = await psycopg.AsyncConnection.connect(
        settings.psycopg_url(), autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, application_name="payments dlq"
    )
    async with connection:
        earlier = await waiting_between(connection, passed)
        if earlier is not None:
            raise Failure(
                f"{earlier.by} has said so of offsets {earlier.first} to {earlier.last} already, and no consumer "
                f"has come there: is `payments consume {reaction.trigger.TYPE}` running?"
            )
        passed_id = await say_passed(connection, passed)
    return {
        "id": passed_id,
        "topic": topic,
        "partition": wish.partition,
        "from": wish.first,
        "to": wish.last,
        "reason": wish.reason,
        "by": wish.by,
    }


def _reaction_of(settings: Settings, name: str) -> Reaction:
    event_type = name.removeprefix(settings.topic_prefix)
    for reaction in REACTIONS:
        if event_type == reaction.trigger.TYPE:
            return reaction
    known = ", ".join(reaction.trigger.TYPE for reaction in REACTIONS)
    raise Failure(f"nobody here reads a topic {name}; those that are read: {known}")


async def _check(wire: Wire, topic: str, wish: Wish) -> None:
    found = await wire.topic()
    if found is None:
        raise Failure(f"there is no topic {topic}: `payments topics create` makes it")
    if wish.partition not in found.partitions:
        raise Failure(f"{topic} has no partition {wish.partition}; it has {len(found.partitions)}, from 0 on")
    begin, end = await wire.bounds(wish.partition)
    if wish.last >= end:
        raise Failure(f"--to {wish.last} lies behind the last message of {topic}[{wish.partition}], which is {end - 1}")
    stands = (await wire.committed([wish.partition])).get(wish.partition)
    at = begin if stands is None else max(stands.offset, begin)
    if wish.first < at:
        raise Failure(
            f"--from {wish.first} lies before offset {at}, where the consumer stands: say --from {at} or more"
        )
    await _check_unreadable(CarefulReader(wire), wish)


async def _check_unreadable(reader: CarefulReader, wish: Wish) -> None:
    """Raise Failure if a message of the stretch can be read: it would be lost."""
    offset = wish.first
    while offset <= wish.last:
        look = await reader.read(wish.partition, offset, 1)
        if look.records and look.records[0].offset <= wish.last:
            can = look.records[0].offset
            raise Failure(f"the message at offset {can} can be read, and would be lost: leave it out of the stretch")
        if look.fault is None:
            if look.next <= offset:
                return
            offset = look.next
            continue
        last = await reader.last_of(wish.partition, look.fault)
        if last is None:
            return
        offset = last + 1
