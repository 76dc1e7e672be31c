"""An operator's request to pass over messages: checked against Kafka, then stored for the consumer that waits."""

from typing import Any, NamedTuple

from consumers.adapters.kafka.batches import Record
from consumers.adapters.kafka.careful import CarefulReader, Look, TooMuchToTry
from consumers.adapters.kafka.unpacking import bound_unpacking
from consumers.adapters.kafka.wire import Wire
from consumers.reactions import REACTIONS
from deploy.contracts import codec_of
from deploy.failures import Failure
from deploy.settings import Settings
from domain.reaction import Reaction
from outbox.driver.conninfo import connect
from outbox.operators.passed import Passed, say_passed
from schemas.events import OwnEvent
from schemas.registry import SchemaAwaited
from schemas.rejection import Reason, Rejected
from schemas.topics import topic_name


class Wish(NamedTuple):
    """What an operator asks for. topic: with or without the prefix. first and last: offsets, both included."""

    topic: str
    partition: int
    first: int
    last: int
    reason: str
    by: str


async def say_pass(settings: Settings, wish: Wish) -> dict[str, Any]:
    """Store the operator's request and return it. Raises Failure that says why, if it makes no sense."""
    reaction = _reaction_of(settings, wish.topic)
    topic = topic_name(settings.topic_prefix, reaction.trigger.TYPE)
    if wish.first > wish.last:
        raise Failure(f"--from {wish.first} lies behind --to {wish.last}")
    bound_unpacking(settings.unpacked_bytes_max)
    wire = Wire(topic, settings.topic_prefix + reaction.group, settings.kafka_options())
    try:
        topic_id, stands = await _stands(wire, topic, wish)
        await _check(CarefulReader(wire), settings, reaction, wish, stands)
    finally:
        await wire.close()
    passed = Passed(reaction.group, topic, topic_id, wish.partition, wish.first, wish.last, wish.reason, wish.by)
    async with await connect(settings.psycopg_url(), name="payments dlq", autocommit=True) as connection:
        said = await say_passed(connection, passed)
    if isinstance(said, Passed):
        raise Failure(
            f"{said.by} has said so of offsets {said.first} to {said.last} already, and no consumer "
            f"has come there: is `payments consume {reaction.trigger.TYPE}` running?"
        )
    return {
        "id": said,
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


async def _stands(wire: Wire, topic: str, wish: Wish) -> tuple[str, int]:
    """Return the topic's id, and the offset at which its consumer stands. Raises Failure for no such offsets."""
    found = await wire.topic()
    if found is None:
        raise Failure(f"there is no topic {topic}: `payments topics create` makes it")
    if wish.partition not in found.partitions:
        raise Failure(f"{topic} has no partition {wish.partition}; it has {len(found.partitions)}, from 0 on")
    begin, end = await wire.bounds(wish.partition)
    if wish.last >= end:
        raise Failure(f"--to {wish.last} lies behind the last message of {topic}[{wish.partition}], which is {end - 1}")
    stands = (await wire.committed([wish.partition])).get(wish.partition)
    # An offset that was committed on a deleted topic of this name does not count.
    is_known = stands is not None and (stands.topic_id == found.topic_id or "" in {stands.topic_id, found.topic_id})
    at = max(stands.offset, begin) if stands is not None and is_known else begin
    if wish.first < at:
        raise Failure(
            f"--from {wish.first} lies before offset {at}, where the consumer stands: say --from {at} or more"
        )
    return found.topic_id, at


async def _check(reader: CarefulReader, settings: Settings, reaction: Reaction, wish: Wish, stands: int) -> None:
    """Raise Failure unless the consumer stands before exactly these messages, and none of them can be read."""
    look = await _look(reader, wish.partition, stands)
    if not look.records:
        if look.fault is None:
            raise Failure(f"the consumer stands at offset {stands}, and nothing lies before it that cannot be read")
        if look.fault.first != wish.first:
            raise Failure(
                f"the consumer stands before offset {look.fault.first}, which cannot be read: "
                f"say --from {look.fault.first}"
            )
        await _check_unreadable(reader, wish)
        return
    record = look.records[0]
    if _is_held(settings, reaction, record):
        if not wish.first == wish.last == record.offset:
            raise Failure(
                f"the consumer stands before offset {record.offset}, a message of a schema that is not known: "
                f"pass over that one alone (--from {record.offset} --to {record.offset})"
            )
    elif wish.first <= record.offset <= wish.last:
        raise _readable(record.offset)
    else:
        raise Failure(
            f"the consumer stands at offset {stands}, before messages that can be read: "
            f"say so when it has come to offset {wish.first}"
        )


async def _look(reader: CarefulReader, partition: int, offset: int) -> Look:
    """Read the first message from this offset on, past markers of transactions."""
    look = await reader.read(partition, offset, 1)
    while not look.records and look.fault is None and look.next > offset:
        offset = look.next
        look = await reader.read(partition, offset, 1)
    return look


def _is_held(settings: Settings, reaction: Reaction, record: Record) -> bool:
    """Whether consumers wait before this message, because this release does not know its schema."""
    if not issubclass(reaction.trigger, OwnEvent):
        return False
    try:
        codec_of(settings).decode(reaction.trigger.TYPE, record.key, record.value)
    except SchemaAwaited:
        return True
    except Rejected as rejected:
        return rejected.reason is Reason.UNKNOWN_SCHEMA
    return False


async def _check_unreadable(reader: CarefulReader, wish: Wish) -> None:
    """Raise Failure if a message in the stretch can be read: it would be lost."""
    offset = wish.first
    while offset <= wish.last:
        look = await _look(reader, wish.partition, offset)
        if look.records and look.records[0].offset <= wish.last:
            raise _readable(look.records[0].offset)
        if look.fault is None:
            return
        end = await reader.end_of(wish.partition, look.fault)
        if not end.sure:
            last = wish.last if end.last is None else min(end.last, wish.last)
            await _check_one_by_one(reader, wish.partition, offset, last)
        if end.last is None:
            await _check_behind(reader, wish)
            return
        offset = end.last + 1


async def _check_one_by_one(reader: CarefulReader, partition: int, first: int, last: int) -> None:
    try:
        found = await reader.first_readable(partition, first, last)
    except TooMuchToTry as error:
        raise Failure(
            f"offsets {first} to {last} are too many to try each of them, and no other way shows whether one can be "
            "read: say a nearer --to"
        ) from error
    if found is not None:
        raise _readable(found)


async def _check_behind(reader: CarefulReader, wish: Wish) -> None:
    """Raise Failure if the message behind a stretch of unknown end cannot be read either."""
    behind = await _look(reader, wish.partition, wish.last + 1)
    if behind.fault is not None:
        raise Failure(f"offset {wish.last + 1} cannot be read either: say --to {wish.last + 1} or more")


def _readable(offset: int) -> Failure:
    return Failure(f"the message at offset {offset} can be read, and would be lost: leave it out of the stretch")
