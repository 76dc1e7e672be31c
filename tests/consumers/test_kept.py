"""What waits for a row is kept in the order of each order, tried in turn, and forgotten where it comes again."""

from collections import Counter

from consumers.runtime.kept import Kept
from consumers.runtime.locks import RETRY_S
from consumers.runtime.reading import Taken
from domain.ports.source import Message
from tests.consumers.orders import order


def read(name: str, offset: int, partition: int = 0) -> Taken:
    return Taken(Message("topic", partition, offset, name.encode(), b"v", (), 0), order(name), b"")


def test_what_comes_behind_a_message_that_waits_waits_behind_it_and_others_do_not() -> None:
    kept = Kept(Counter[int]().__getitem__)
    assert not kept
    a, b, again = read("a", 3), read("b", 4), read("a", 5)
    kept.keep([a], 0)
    assert kept.without_waiting([b, again]) == [b]
    assert kept.first() == {0: 3}
    assert not kept.is_due(RETRY_S - 0.1)
    assert kept.is_due(RETRY_S)
    assert kept.take(1_000, 0) == [a, again]
    assert not kept


def test_all_that_wait_are_tried_in_turn() -> None:
    kept = Kept(Counter[int]().__getitem__)
    waiting = [read(name, offset) for offset, name in enumerate("abcda")]
    kept.keep(waiting, 0)
    first = kept.take(3, 0)
    assert first == [waiting[0], waiting[4], waiting[1]]
    kept.keep(first, 0)
    assert kept.take(2, 0) == [waiting[2], waiting[3]]


def test_what_waits_on_a_partition_that_began_anew_is_forgotten_for_it_comes_again() -> None:
    begun: Counter[int] = Counter()
    kept = Kept(begun.__getitem__)
    one, other = read("a", 3, partition=1), read("b", 4, partition=2)
    kept.keep([one, other], 0)
    kept.forget()
    assert kept.first() == {1: 3, 2: 4}
    begun[1] += 1
    kept.forget()
    assert kept.first() == {2: 4}
    kept.keep([one], 0)
    kept.forget()
    assert kept.first() == {1: 3, 2: 4}, "what is kept since then stays"


def test_when_too_many_wait_no_more_is_to_be_taken() -> None:
    kept = Kept(Counter[int]().__getitem__, most=2)
    kept.keep([read("a", 1)], 0)
    assert not kept.is_full
    kept.keep([read("a", 2)], 0)
    assert kept.is_full


def test_after_a_try_that_took_long_others_have_as_much_time() -> None:
    kept = Kept(Counter[int]().__getitem__)
    kept.keep([read("a", 1)], 0)
    kept.keep(kept.take(10, 100), 112)
    assert not kept.is_due(123.9)
    assert kept.is_due(124)
