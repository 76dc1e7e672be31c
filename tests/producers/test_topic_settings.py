"""What each difference weighs, by whose topic it is, and what sets it right."""

import pytest

from producers.topic_settings import DAY_MS, READ, Difference, Found, Owner, Wanted, Weight, compare

WANTED = Wanted(partitions=12, replication_factor=3, event_bytes_max=1_000_000)
RIGHT = {**WANTED.configs(), "compression.type": "producer"}
OURS, UPSTREAM, LETTERS = Owner.OURS, Owner.UPSTREAM, Owner.LETTERS


def topic(owner: Owner = OURS, *, partitions: int = 12, replicas: int = 3) -> Found:
    return Found("T", owner, partitions, replicas, RIGHT)


def having(owner: Owner = OURS, **settings: str) -> Found:
    """Give a topic these settings, dots written as underscores."""
    given = {name.replace("_", "."): value for name, value in settings.items()}
    return Found("T", owner, 12, 3, RIGHT | given)


def only(found: Found) -> Difference:
    (difference,) = compare(found, WANTED)
    return difference


def weight(found: Found) -> Weight | None:
    differences = compare(found, WANTED)
    return differences[0].weight if differences else None


@pytest.mark.parametrize("owner", Owner)
def test_topics_as_they_are_made_differ_in_nothing(owner: Owner) -> None:
    assert compare(topic(owner), WANTED) == []
    assert RIGHT.keys() == set(READ)


@pytest.mark.parametrize("owner", Owner)
def test_settings_that_may_not_be_read_are_no_difference(owner: Owner) -> None:
    assert compare(Found("T", owner, 12, 3), WANTED) == []


@pytest.mark.parametrize(
    ("setting", "value", "ours", "upstream", "letters"),
    [
        ("cleanup_policy", "compact", "stops", "stops", "warning"),
        ("cleanup_policy", "compact,delete", "stops", "stops", "warning"),
        ("retention_ms", "60000", "stops", "alarm", "warning"),
        ("retention_ms", "0", "stops", "alarm", "warning"),
        ("retention_ms", str(DAY_MS), "warning", "warning", "warning"),
        ("retention_ms", str(7 * DAY_MS - 1), "warning", "warning", "warning"),
        ("retention_ms", str(7 * DAY_MS), "note", None, "note"),
        ("retention_ms", "-1", None, None, None),
        ("retention_bytes", "0", "stops", "alarm", "warning"),
        ("retention_bytes", "1000000", "stops", "alarm", "warning"),
        ("retention_bytes", str(2**30 - 1), "stops", "alarm", "warning"),
        ("retention_bytes", str(2**30), "note", "note", "note"),
        ("retention_bytes", "-1", None, None, None),
        ("retention_bytes", str(2**40), "note", "note", "note"),
        ("max_message_bytes", "1000", "warning", None, "warning"),
        ("max_message_bytes", "9000000", None, None, None),
        ("min_insync_replicas", "1", "warning", "warning", "warning"),
        ("min_insync_replicas", "3", None, None, None),
        ("min_insync_replicas", "4", "stops", None, "stops"),
        ("unclean_leader_election_enable", "true", "warning", "warning", "warning"),
        ("compression_type", "zstd", "note", "note", "note"),
        ("compression_type", "uncompressed", "note", "note", "note"),
    ],
)
def test_the_weight_of_a_difference(
    setting: str, value: str, ours: str | None, upstream: str | None, letters: str | None
) -> None:
    found = [weight(having(owner, **{setting: value})) for owner in (OURS, UPSTREAM, LETTERS)]
    assert found == [ours, upstream, letters]


def test_too_few_partitions_are_a_note_and_too_few_copies_a_warning() -> None:
    partitions, copies = only(topic(partitions=1)), only(topic(replicas=2))
    assert (partitions.weight, partitions.found, partitions.wanted) == (Weight.NOTE, "1", "12")
    assert (copies.weight, copies.found, copies.mend) == (Weight.WARNING, "2", None)
    assert compare(topic(partitions=24), WANTED) == []


def test_one_copy_needs_no_second_in_step() -> None:
    alone = Wanted(partitions=1, replication_factor=1, event_bytes_max=1_000)
    found = Found("T", OURS, 1, 1, {"min.insync.replicas": "1"})
    assert compare(found, alone) == []
    assert compare(Found("T", OURS, 1, 1, {"min.insync.replicas": "2"}), alone)[0].mend == {"min.insync.replicas": "1"}


def test_mending_never_keeps_anything_for_a_shorter_time() -> None:
    assert only(having(retention_ms="60000")).mend == {"retention.ms": "-1"}
    assert only(having(UPSTREAM, retention_ms="60000")).mend == {"retention.ms": str(7 * DAY_MS)}
    assert only(having(retention_bytes="10")).mend == {"retention.bytes": "-1"}
    assert only(having(max_message_bytes="1000")).mend == {"max.message.bytes": str(WANTED.message_bytes_max)}


@pytest.mark.parametrize("owner", [OURS, UPSTREAM])
def test_what_was_only_compacted_is_not_deleted_by_age_once_that_is_mended(owner: Owner) -> None:
    """A compacted topic keeps its old events whatever its retention; with `delete` alone it would drop them at once."""
    cleanup = compare(having(owner, cleanup_policy="compact", retention_ms=str(30 * DAY_MS)), WANTED)[0]
    assert cleanup.mend == {"cleanup.policy": "delete", "retention.ms": "-1"}
    both = compare(having(owner, cleanup_policy="compact, delete", retention_ms=str(30 * DAY_MS)), WANTED)[0]
    assert both.mend == {"cleanup.policy": "delete"}
