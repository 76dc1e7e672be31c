"""Which settings of a topic the pipeline needs, and how severe a difference is. No I/O."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

# For headers, key and the batch's head around the largest event. A dead letter has the original's headers as well.
BATCH_HEADROOM_BYTES: Final = 131_072
DAY_MS: Final = 86_400_000
KEPT_AT_LEAST_MS: Final = 7 * DAY_MS
"""An outage over a weekend, and some days to notice it. What is deleted sooner may be lost unread."""
KEPT_AT_LEAST_BYTES: Final = 2**30
"""A partition: about a million orders."""
FOREVER: Final = "-1"


class Owner(StrEnum):
    """Whose topic it is. Dead letter topics are copies for others: the letters are in the table."""

    OURS = "ours"
    UPSTREAM = "upstream"
    LETTERS = "dead letters"


class Weight(StrEnum):
    """STOPS: no role starts. ALARM: roles start, somebody must act at once. NOTE: for information."""

    STOPS = "stops"
    ALARM = "alarm"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What topics are made with. event_bytes_max: bytes of the largest event's body."""

    partitions: int
    replication_factor: int
    event_bytes_max: int

    @property
    def message_bytes_max(self) -> int:
        """Return the size of the largest batch that a topic must take."""
        return max(1_048_588, self.event_bytes_max + BATCH_HEADROOM_BYTES)

    def configs(self) -> dict[str, str]:
        """Return a topic's settings. Events are kept for ever. With three replicas or more, one may be lost."""
        return {
            "cleanup.policy": "delete",
            "retention.ms": FOREVER,
            "retention.bytes": FOREVER,
            "min.insync.replicas": str(_insync(self.replication_factor)),
            "unclean.leader.election.enable": "false",
            "max.message.bytes": str(self.message_bytes_max),
        }


@dataclass(frozen=True, slots=True)
class Found:
    """A topic as the brokers have it. settings: empty when they may not be read."""

    topic: str
    owner: Owner
    partitions: int
    replicas: int
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting that is not as it should be. mend: the settings that repair it; None: no command of ours does."""

    topic: str
    owner: Owner
    setting: str
    found: str
    wanted: str
    weight: Weight
    why: str
    mend: Mapping[str, str] | None = None
    mended: bool = False


READ: Final = (
    "cleanup.policy",
    "retention.ms",
    "retention.bytes",
    "max.message.bytes",
    "min.insync.replicas",
    "unclean.leader.election.enable",
    "compression.type",
)
PARTITIONS: Final = "partitions"
REPLICAS: Final = "replication.factor"


def compare(topic: Found, wanted: Wanted) -> list[Difference]:
    """Return every difference of this topic. For topics of others, only what endangers us counts."""
    checks = (_shape, _cleanup, _retention_ms, _retention_bytes, _message_bytes, _in_sync, _unclean, _compression)
    return [difference for check in checks for difference in check(topic, wanted)]


def _insync(replicas: int) -> int:
    return 2 if replicas >= 3 else 1


def _shape(topic: Found, wanted: Wanted) -> Iterator[Difference]:
    if topic.partitions < wanted.partitions:
        why = "so many processes share the work at most; when it is mended, keys move to other partitions"
        mend = {PARTITIONS: str(wanted.partitions)}
        yield _difference(topic, PARTITIONS, topic.partitions, wanted.partitions, Weight.NOTE, why, mend)
    if topic.replicas < wanted.replication_factor:
        why = "fewer lost disks lose events; kafka-reassign-partitions.sh adds copies"
        yield _difference(topic, REPLICAS, topic.replicas, wanted.replication_factor, Weight.WARNING, why, None)


def _cleanup(topic: Found, _: Wanted) -> Iterator[Difference]:
    policies = topic.settings.get("cleanup.policy", "delete").replace(" ", "").split(",")
    if "compact" not in policies:
        return
    mend = {"cleanup.policy": "delete"}
    if "delete" not in policies:
        # A topic that is only compacted deletes nothing by age or size. The new policy alone would delete old events.
        mend |= {name: FOREVER for name in ("retention.ms", "retention.bytes") if _limit(topic, name) is not None}
    why = "compaction drops all but the last event of an order"
    weight = Weight.WARNING if topic.owner is Owner.LETTERS else Weight.STOPS
    yield _difference(topic, "cleanup.policy", ",".join(policies), "delete", weight, why, mend)


def _retention_ms(topic: Found, _: Wanted) -> Iterator[Difference]:
    kept_ms = _limit(topic, "retention.ms")
    upstream = topic.owner is Owner.UPSTREAM
    if kept_ms is None or (upstream and kept_ms >= KEPT_AT_LEAST_MS):
        return
    if kept_ms >= KEPT_AT_LEAST_MS:
        weight, why = Weight.NOTE, "history ends there: events cannot be replayed for analytics afterwards"
    else:
        why = "what is not read in time is lost"
        weight = _weigh_loss(topic.owner) if kept_ms < DAY_MS else Weight.WARNING
    target = str(KEPT_AT_LEAST_MS) if upstream else FOREVER
    shown = f"{target} or more" if upstream else target
    yield _difference(topic, "retention.ms", kept_ms, shown, weight, why, {"retention.ms": target})


def _weigh_loss(owner: Owner) -> Weight:
    """Return the weight when messages may be deleted unread. We stop only if one command of ours can repair it."""
    return {Owner.OURS: Weight.STOPS, Owner.UPSTREAM: Weight.ALARM}.get(owner, Weight.WARNING)


def _retention_bytes(topic: Found, _: Wanted) -> Iterator[Difference]:
    kept = _limit(topic, "retention.bytes")
    if kept is None:
        return
    weight = _weigh_loss(topic.owner) if kept < KEPT_AT_LEAST_BYTES else Weight.NOTE
    why = "what is not read before the partition is full is lost"
    yield _difference(topic, "retention.bytes", kept, FOREVER, weight, why, {"retention.bytes": FOREVER})


def _message_bytes(topic: Found, wanted: Wanted) -> Iterator[Difference]:
    allowed = _number(topic, "max.message.bytes")
    if allowed is None or allowed >= wanted.message_bytes_max or topic.owner is Owner.UPSTREAM:
        return
    why = "the broker refuses larger events, and they wait in the outbox"
    mend = {"max.message.bytes": str(wanted.message_bytes_max)}
    yield _difference(
        topic, "max.message.bytes", allowed, f"{wanted.message_bytes_max} or more", Weight.WARNING, why, mend
    )


def _in_sync(topic: Found, _: Wanted) -> Iterator[Difference]:
    found = _number(topic, "min.insync.replicas")
    if found is None:
        return
    target = _insync(topic.replicas)
    mend = {"min.insync.replicas": str(target)}
    if found > topic.replicas and topic.owner is not Owner.UPSTREAM:
        why = f"there are {topic.replicas} copies: the brokers refuse every event"
        yield _difference(topic, "min.insync.replicas", found, target, Weight.STOPS, why, mend)
    elif found < target:
        why = "one broker that fails takes acknowledged events with it"
        yield _difference(topic, "min.insync.replicas", found, target, Weight.WARNING, why, mend)


def _unclean(topic: Found, _: Wanted) -> Iterator[Difference]:
    name = "unclean.leader.election.enable"
    if topic.settings.get(name) == "true":
        why = "a broker that lags behind may become leader, and acknowledged events are lost"
        yield _difference(topic, name, "true", "false", Weight.WARNING, why, {name: "false"})


def _compression(topic: Found, _: Wanted) -> Iterator[Difference]:
    found = topic.settings.get("compression.type", "producer")
    if found != "producer":
        why = "allowed; the broker packs every batch anew"
        yield _difference(topic, "compression.type", found, "producer", Weight.NOTE, why, None)


def _difference(
    topic: Found,
    setting: str,
    found: object,
    wanted: object,
    weight: Weight,
    why: str,
    mend: Mapping[str, str] | None,
) -> Difference:
    return Difference(topic.topic, topic.owner, setting, str(found), str(wanted), weight, why, mend)


def _number(topic: Found, name: str) -> int | None:
    value = topic.settings.get(name)
    return None if value is None else int(value)


def _limit(topic: Found, name: str) -> int | None:
    """Return a bound; None when there is none, which Kafka writes as -1."""
    number = _number(topic, name)
    return None if number is None or number < 0 else number
