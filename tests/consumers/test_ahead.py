"""What is done behind a message that waits is not done again, and only that."""

from consumers.runtime import ahead
from consumers.runtime.ahead import Ahead
from domain.ports.source import Message


def messages(partition: int, *offsets: int, value: bytes = b"v") -> list[Message]:
    return [Message("topic", partition, offset, b"k", value, (), 0) for offset in offsets]


def test_behind_what_waits_the_done_are_not_fresh_and_before_it_nothing_is_kept() -> None:
    done = Ahead()
    assert not done
    batch = messages(0, 1, 2, 3, 4) + messages(1, 1, 2)

    done.note(batch, {0: 2}, {(0, 2), (0, 4)})

    assert done
    again = messages(0, 2, 3, 4, 5) + messages(1, 3)
    assert done.fresh(again) == messages(0, 2, 4, 5) + messages(1, 3)


def test_another_message_at_the_same_offset_is_fresh() -> None:
    done = Ahead()
    done.note(messages(0, 1, 2), {0: 1}, {(0, 1)})
    other = messages(0, 2, value=b"of a topic that was made anew")
    assert done.fresh(other) == other


def test_a_partition_that_goes_on_is_forgotten_and_another_is_not() -> None:
    done = Ahead()
    done.note(messages(0, 1, 2) + messages(1, 1, 2), {0: 1, 1: 1}, {(0, 1), (1, 1)})
    done.note(messages(0, 1), {}, ())
    assert done.fresh(messages(0, 2) + messages(1, 2)) == messages(0, 2)
    done.note(messages(1, 1), {}, ())
    assert not done


def test_too_many_are_forgotten() -> None:
    done = Ahead()
    done.note(messages(0, *range(ahead.AHEAD_MAX + 2)), {0: 0}, {(0, 0)})
    assert not done
