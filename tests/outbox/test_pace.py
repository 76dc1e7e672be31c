"""The search for orders that stand still takes as much at once as it gets in time, and gets through whatever comes."""

from datetime import timedelta

import pytest

from outbox.store.pace import LIMIT_MAX_S, LIMIT_S, SLICE_LEAST, SLICE_MAX, SLICE_MIN, Pace


def grown() -> Pace:
    """Give the pace behind a long quiet time."""
    pace = Pace()
    for _ in range(20):
        pace.record(0.001)
    assert pace.slice == SLICE_MAX
    return pace


def test_behind_a_quiet_time_the_first_slice_that_takes_too_long_is_followed_by_a_small_one() -> None:
    pace = grown()
    assert not pace.back_off()
    assert (pace.slice, pace.limit_s) == (SLICE_MIN, LIMIT_S)


def test_a_small_slice_that_takes_too_long_gets_more_time_and_then_less_to_read_until_nothing_is_left() -> None:
    pace = Pace()
    tried = [(pace.slice, pace.limit_s)]
    while not pace.back_off():
        tried.append((pace.slice, pace.limit_s))
        assert len(tried) < 30, "turns"
    assert [limit_s for slice_, limit_s in tried if slice_ == SLICE_MIN] == [1, 2, 4, 8, 16, LIMIT_MAX_S]
    assert tried[-1] == (SLICE_LEAST, LIMIT_MAX_S)
    assert pace.back_off(), "and goes on trying"


@pytest.mark.parametrize("took_s", [0.3, 20.0])
def test_a_small_slice_that_is_slow_and_in_time_is_not_cut(took_s: float) -> None:
    pace = Pace()
    pace.record(took_s)
    assert pace.slice == SLICE_MIN


def test_what_gets_quick_again_is_given_as_little_time_as_before() -> None:
    pace = Pace()
    while not pace.back_off():
        pass
    pace.record(8.0)
    assert pace.limit_s == 16.0
    for _ in range(5):
        pace.record(0.01)
    assert (pace.limit_s, pace.slice) == (LIMIT_S, SLICE_LEAST * 8**5)
    assert pace.slice > timedelta(hours=1)
