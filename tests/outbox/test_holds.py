"""What is held: a refused message with those behind it, or its topic; for longer each time, and never for good."""

from collections.abc import Sequence

import pytest

from domain.ports.publisher import OutgoingMessage, Published, Refusal, Scope
from outbox.relay.held import (
    KEYS_MAX,
    PAUSE_MAX_S,
    PAUSE_S,
    STALLED_PAUSE_MAX_S,
    STALLED_PAUSE_S,
    HeldFilter,
    HeldMessages,
    Place,
)

NOTHING = HeldFilter([], [], [], [])
BAD = Refusal("bad", Scope.MESSAGE)
BEHIND = Refusal("behind", Scope.BEHIND)
CLOSED = Refusal("closed", Scope.TOPIC)


def message(number: int, topic: str = "a", key: bytes | None = b"k") -> OutgoingMessage:
    return OutgoingMessage(number, topic, key, b"", [])


def pauses(held: HeldMessages, refusal: Refusal, count: int) -> Sequence[float]:
    """Refuse a message again as soon as it is tried again; return how long it was held each time."""
    now, found = 0.0, []
    for _ in range(count):
        held.record([message(1)], Published([], {1: refusal}), now)
        begun = now
        while held.filter_at(now):
            now += 1.0
        found.append(now - begun)
    return found


def test_nothing_is_held_while_nothing_is_refused() -> None:
    held = HeldMessages()
    assert held.record([message(1)], Published([1]), 0) == []
    assert held.filter_at(0) == NOTHING
    assert not held.filter_at(0)


def test_a_refused_message_holds_its_key_on_its_topic_and_who_is_behind_is_no_news() -> None:
    held = HeldMessages()
    messages = [message(1), message(2), message(3, "a", None), message(4, "b")]
    published = Published([4], {1: BAD, 2: BEHIND, 3: BAD})
    assert held.record(messages, published, 0) == [(messages[0], BAD), (messages[2], BAD)]
    assert held.filter_at(0) == HeldFilter([], ["a"], [b"k"], [3])


def test_a_refused_topic_is_held_whole_and_told_once() -> None:
    held = HeldMessages()
    messages = [message(1), message(2), message(3, "b")]
    assert held.record(messages, Published([3], {1: CLOSED, 2: CLOSED}), 0) == [(messages[0], CLOSED)]
    assert held.filter_at(0) == HeldFilter(["a"], [], [], [])


@pytest.mark.parametrize("refusal", [BAD, CLOSED])
def test_each_further_refusal_holds_for_longer_up_to_a_bound(refusal: Refusal) -> None:
    assert pauses(HeldMessages(), refusal, 6) == [PAUSE_S, 60, 120, 240, PAUSE_MAX_S, PAUSE_MAX_S]


def test_a_partition_without_a_leader_is_looked_at_again_soon() -> None:
    found = pauses(HeldMessages(), Refusal("late", Scope.TOPIC, "topic_stalled"), 7)
    assert found == [STALLED_PAUSE_S, 4, 8, 16, 32, STALLED_PAUSE_MAX_S, STALLED_PAUSE_MAX_S]


@pytest.mark.parametrize("refusal", [BAD, CLOSED])
def test_what_went_is_held_no_more_and_a_new_refusal_begins_anew(refusal: Refusal) -> None:
    held = HeldMessages()
    pauses(held, refusal, 3)
    held.record([message(1)], Published([1]), 1_000)
    assert pauses(held, refusal, 1) == [PAUSE_S]


def test_what_waits_for_an_operator_is_held_until_it_is_released() -> None:
    held = HeldMessages()
    held.quarantined = {Place.of("a", b"k", 1), Place.of("a", None, 2)}
    assert held.filter_at(1e9) == HeldFilter([], ["a"], [b"k"], [2])
    held.quarantined = set()
    assert held.filter_at(1e9) == NOTHING


def test_more_keys_than_can_be_held_one_by_one_hold_their_topic() -> None:
    held = HeldMessages()
    messages = [message(n, "a", b"%d" % n) for n in range(KEYS_MAX + 1)]
    blamed = held.record(messages, Published([], dict.fromkeys(range(KEYS_MAX + 1), BAD)), 0)
    assert len(blamed) == KEYS_MAX + 1
    found = held.filter_at(0)
    assert (found.topics, len(found.keys)) == (["a"], KEYS_MAX)


def test_a_partition_that_stays_silent_is_held_for_longer_though_its_topic_takes_others() -> None:
    held, silent = HeldMessages(), Refusal("late", Scope.TOPIC, "topic_stalled")
    now, found = 0.0, []
    for _ in range(3):
        held.record([message(1), message(2, key=b"other")], Published([2], {1: silent}), now)
        begun = now
        while held.filter_at(now):
            now += 1.0
        found.append(now - begun)
    assert found == [STALLED_PAUSE_S, 2 * STALLED_PAUSE_S, 4 * STALLED_PAUSE_S]
