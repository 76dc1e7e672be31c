"""A batch is cut until those that raise stand alone: every other item is worked on once, in order."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.runtime.cutting import in_pieces, or_cut
from domain.blame import blame
from domain.errors import DownForEverybody, TooMuch
from tests.domain import builders
from tests.schemas.builders import order_confirmed


class Worked:
    """What was worked on and given up, in order. Work on a piece happens wholly or not at all."""

    def __init__(self, bad: set[int], size_max: int = 1_000) -> None:
        self.bad = bad
        self.size_max = size_max
        self.done: list[int] = []
        self.lost: list[int] = []
        self.runs = 0

    async def work(self, piece: Sequence[int]) -> None:
        self.runs += 1
        await or_cut(piece, self._transaction(piece))

    async def give_up(self, item: int, error: Exception) -> None:
        assert isinstance(error, KeyError)
        # What raised is known only once all before it are done.
        assert self.done + self.lost == [] or max(self.done + self.lost) < item
        self.lost.append(item)

    async def _transaction(self, piece: Sequence[int]) -> None:
        if len(piece) > self.size_max:
            raise TooMuch("57014")
        if self.bad & set(piece):
            raise KeyError("one of them")
        self.done += piece


@given(st.integers(1, 200), st.sets(st.integers(0, 199)), st.integers(1, 300))
def test_all_but_the_bad_ones_are_worked_on_once_and_in_order(count: int, bad: set[int], size_max: int) -> None:
    worked = Worked(bad, size_max)
    asyncio.run(in_pieces(range(count), worked.work, worked.give_up))
    assert worked.done == [n for n in range(count) if n not in bad]
    assert worked.lost == [n for n in range(count) if n in bad]


async def test_one_among_a_thousand_is_found_in_some_twenty_transactions() -> None:
    worked = Worked({617})
    await in_pieces(range(1_000), worked.work, worked.give_up)
    assert worked.lost == [617]
    assert worked.runs <= 21


async def test_what_is_down_is_raised_and_what_was_done_before_stays_done() -> None:
    worked = Worked({3})

    async def work(piece: Sequence[int]) -> None:
        if 6 in piece and 3 not in piece:
            raise DownForEverybody("PostgreSQL")
        await worked.work(piece)

    with pytest.raises(DownForEverybody):
        await in_pieces(range(8), work, worked.give_up)
    assert (worked.done, worked.lost) == ([0, 1, 2], [3])


async def test_too_much_of_a_single_item_is_an_outage() -> None:
    worked = Worked(set(), size_max=0)
    with pytest.raises(TooMuch):
        await in_pieces([1], worked.work, worked.give_up)
    assert worked.lost == []


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("unknown SKU SKU-1 of customer-1", "ValueError: unknown SKU ... of ..."),
        ("'pm_card_visa'", "ValueError: ..."),
        ("value out of range: 10000000000", "ValueError: value out of range: ..."),
        ("ann.lee@example.org said {'a': 1}", "ValueError: ... said ..."),
        ("no \0 luck \ud800 today", "ValueError: no \ufffd luck \ufffd today"),
        ("", "ValueError"),
    ],
)
def test_words_of_an_error_are_told_without_values(said: str, told: str) -> None:
    assert blame(ValueError(said), order_confirmed()).detail == told


def test_words_that_stand_in_the_bytes_or_in_the_order_are_hidden() -> None:
    found = blame(ValueError("Miller of Springfield has no credit"), raw=b"\x0cMiller\x16Springfield")
    assert found.detail == "ValueError: ... of ... has no credit"
    order = builders.order(customer_id="Miller")
    assert blame(ValueError("Miller has no credit"), order).detail == "ValueError: ... has no credit"


def test_trace_names_places_of_the_error_and_its_cause_and_no_values() -> None:
    def inner(token: str) -> Any:
        raise KeyError(token)

    try:
        try:
            inner("tok_secret")
        except KeyError as cause:
            raise ValueError("tok_secret") from cause
    except ValueError as error:
        found = blame(error)
    assert "in inner" in found.trace
    assert found.trace.index("KeyError") < found.trace.index("ValueError")
    assert "tok_secret" not in found.trace.replace('inner("tok_secret")', "").replace('ValueError("tok_secret")', "")
