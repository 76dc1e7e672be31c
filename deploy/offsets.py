"""Committed offsets of our consumer groups: where each stands, and how they are set back to a time."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from consumers.adapters.kafka.group_wire import GroupHasMembers, GroupWire, Member
from consumers.adapters.kafka.unpacking import bound_unpacking
from deploy.consuming import check_remembered, consumed_with
from deploy.failures import WRONG_USAGE, Failure, listed
from deploy.observing.lags import FETCH_BYTES, first_time
from deploy.settings import Settings
from domain.errors import Transient
from schemas.topics import topic_name

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_SHOWN_MAX: Final = 5
LEFT: Final = "at or before that time already"
UNREAD: Final = "nothing is committed: its consumer begins at the first record"
EARLIER_TOPIC: Final = "committed on an earlier topic of this name: its consumer begins at the first record"


class Standing(NamedTuple):
    """Where a group stands on a partition.

    committed: None if the group has committed nothing. first, end: the offset of the partition's first record, and the
    one behind its last. next_at: the time of the next record to be read, None if there is none. earlier_topic: the
    offset was committed on a deleted topic of the same name.
    """

    group: str
    topic: str
    partition: int
    committed: int | None
    first: int
    end: int
    next_at: datetime | None
    earlier_topic: bool

    @property
    def next_offset(self) -> int:
        """Return the offset of the next record that is read."""
        committed = None if self.earlier_topic else self.committed
        return self.first if committed is None else max(committed, self.first)

    @property
    def behind(self) -> int:
        """Count the offsets before it."""
        return max(self.end - self.next_offset, 0)


class Group(NamedTuple):
    """A group on its topic: who is in it, and where it stands on each partition."""

    group: str
    topic: str
    members: Sequence[Member]
    standings: Sequence[Standing]


class Step(NamedTuple):
    """What a rewind does on a partition. to_offset: None if it leaves it, and `left` says why."""

    group: str
    topic: str
    partition: int
    committed: int | None
    to_offset: int | None
    left: str | None

    @property
    def again(self) -> int:
        """Count the offsets that are read once more."""
        return 0 if self.committed is None or self.to_offset is None else self.committed - self.to_offset


class _Move(NamedTuple):
    """What is to be done for a group. topic_id: of the topic that has the name now."""

    group: str
    topic: str
    topic_id: str
    steps: Sequence[Step]


async def show_offsets(settings: Settings) -> list[Group]:
    """Return where every group stands. Raises Transient when Kafka does not answer."""
    bound_unpacking(settings.unpacked_bytes_max)
    groups = []
    for group, topic in _groups(settings).items():
        async with _wire(settings, group, topic) as wire:
            _, standings = await _standings(wire, group, topic, with_times=True)
            groups.append(Group(group, topic, await wire.members(), standings))
    return groups


async def rewind_offsets(
    settings: Settings, since: datetime, chosen: Collection[str], *, now: datetime, dry_run: bool, force: bool
) -> list[Step]:
    """Set the committed offsets of these groups (none: of all) back to the first record of `since` or later.

    An offset is only set back, never on. Raises Failure if a group has members, if the inbox may have forgotten what is
    read again (force: goes on), or if a group is none of ours. Nothing is changed before every group was looked at.
    """
    if not force:
        check_remembered(settings, since, now)
    groups = _chosen(settings, chosen)
    moves: list[_Move] = []
    in_use: dict[str, Sequence[Member]] = {}
    for group, topic in groups.items():
        async with _wire(settings, group, topic) as wire:
            if members := await wire.members():
                in_use[group] = members
            topic_id, standings = await _standings(wire, group, topic, with_times=False)
            # The first whole millisecond that is not before the time: time-stamps of records have no more digits.
            firsts = await wire.first_since([s.partition for s in standings], -((_EPOCH - since) // _MS))
        moves.append(_Move(group, topic, topic_id, [_step(s, firsts.get(s.partition)) for s in standings]))
    if in_use:
        raise _refusal(in_use, "nothing was set back")
    if not dry_run:
        await _move(settings, moves)
    return [step for move in moves for step in move.steps]


async def _move(settings: Settings, moves: Sequence[_Move]) -> None:
    """Set the offsets, a group a request."""
    moved: list[str] = []
    for group, topic, topic_id, steps in moves:
        offsets = {step.partition: step.to_offset for step in steps if step.to_offset is not None}
        if not offsets:
            continue
        async with _wire(settings, group, topic) as wire:
            try:
                await wire.move(offsets, topic_id)
            except GroupHasMembers:
                done = f"only {', '.join(moved)} was set back" if moved else "nothing was set back"
                raise _refusal({group: await wire.members()}, done) from None
        moved.append(group)


def _step(standing: Standing, first: int | None) -> Step:
    """Decide about a partition. first: of the records of that time or later, None if there is none."""
    at = standing.committed
    place = standing.group, standing.topic, standing.partition, at
    if at is None:
        return Step(*place, None, UNREAD)
    if standing.earlier_topic:
        return Step(*place, None, EARLIER_TOPIC)
    if first is None or first >= at:
        return Step(*place, None, LEFT)
    return Step(*place, first, None)


async def _standings(wire: GroupWire, group: str, topic: str, *, with_times: bool) -> tuple[str, list[Standing]]:
    """Return the id of the group's topic, and where the group stands. Raises Transient if there is no topic."""
    found = await wire.topic()
    if found is None:
        raise Transient(f"there is no topic {topic}: `payments topics create` makes it")
    committed = await wire.committed(found.partitions)
    bounds = await wire.all_bounds(found.partitions)
    standings = []
    for partition in sorted(found.partitions):
        stands = committed.get(partition)
        first, end = bounds[partition]
        # As the consumer judges it: an offset without a note counts.
        earlier = (
            stands is not None and "" not in {stands.topic_id, found.topic_id} and stands.topic_id != found.topic_id
        )
        offset = None if stands is None else stands.offset
        standing = Standing(group, topic, partition, offset, first, end, None, earlier)
        if with_times and standing.next_offset < end:
            standing = standing._replace(next_at=await _time_of(wire, partition, standing.next_offset))
        standings.append(standing)
    return found.topic_id, standings


async def _time_of(wire: GroupWire, partition: int, offset: int) -> datetime | None:
    fetched = await wire.fetch(partition, offset, FETCH_BYTES)
    if fetched.error is not None:
        raise Transient(f"Kafka does not send what is at {offset} of partition {partition} ({fetched.error})")
    time_ms = first_time(fetched.raw, offset)
    try:
        return None if time_ms is None else _EPOCH + time_ms * _MS
    except OverflowError:
        return None  # a publisher's time-stamp beyond the calendar


def _chosen(settings: Settings, chosen: Collection[str]) -> dict[str, str]:
    """Return these groups as Kafka names them, with their topics, in our order; all if none is chosen."""
    ours = _groups(settings)
    prefix = settings.topic_prefix
    wanted = {name if name in ours else prefix + name for name in chosen} or set(ours)
    if unknown := sorted(wanted - set(ours)):
        raise Failure(f"there is no group {unknown[0].removeprefix(prefix)}; there are {', '.join(ours)}", WRONG_USAGE)
    return {group: topic for group, topic in ours.items() if group in wanted}


def _refusal(in_use: Mapping[str, Sequence[Member]], done: str) -> Failure:
    """Say who is in which group, and what to do. done: what was set back before."""
    who = sorted({f"{member.client} on {member.host}" for members in in_use.values() for member in members})
    return Failure(
        f"consumers run, so {done}: {listed(list(in_use), _SHOWN_MAX)} have members "
        f"({listed(who, _SHOWN_MAX) if who else 'they have just joined'}). Stop `payments consume` and "
        "`payments up` everywhere; one that was killed counts for 10 s more"
    )


def _groups(settings: Settings) -> dict[str, str]:
    """Return the groups that these settings have work for, each with its topic."""
    prefix = settings.topic_prefix
    return {prefix + r.group: topic_name(prefix, r.trigger.TYPE) for r in consumed_with(settings)}


@asynccontextmanager
async def _wire(settings: Settings, group: str, topic: str) -> AsyncIterator[GroupWire]:
    wire = GroupWire(topic, group, settings.kafka_options())
    try:
        yield wire
    finally:
        await wire.close()
