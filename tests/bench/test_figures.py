import math

from hypothesis import given
from hypothesis import strategies as st

from tests.bench.figures import Spread, part_costs, percentile, ratio, spread, window_costs

VALUES = st.lists(st.floats(0, 1e6), min_size=1, max_size=50)


def test_percentiles_are_by_nearest_rank() -> None:
    values = list(range(1, 101))
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1.0)) == (50, 99, 100)
    assert percentile([7.0], 0.99) == 7.0


def test_nothing_has_no_percentile() -> None:
    assert math.isnan(percentile([], 0.5))


@given(VALUES, st.floats(0, 1))
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)


@given(VALUES)
def test_a_spread_keeps_its_median_between_least_and_most(values: list[float]) -> None:
    found = spread(values)
    assert found.least <= found.median <= found.most


def test_ratios_compare_the_same_round_and_skip_what_one_of_them_missed() -> None:
    ours, theirs = {0: 10.0, 1: 30.0, 2: 50.0}, {0: 5.0, 1: 10.0, 3: 1.0}
    assert ratio(ours, theirs) == Spread(2.5, 2.0, 3.0)
    assert ratio(ours, {9: 1.0}) is None


def test_costs_are_of_the_window_between_two_readings() -> None:
    assert window_costs([(0, 1.0), (2000, 2.0), (2000, 2.5), (3000, 4.5)]) == [0.5, 2.0]


def test_costs_of_parts_are_means_from_reading_to_reading() -> None:
    samples = [(0, 0.0), (1000, 1.0), (2000, 3.0), (3500, 9.0), (4000, 11.0)]
    assert part_costs(samples, 2) == [1.5, 4.0]
    assert part_costs(samples, 4) == [1.0, 2.0, 4.0, 4.0]
    assert part_costs(samples, 1) == [2.75]
    assert part_costs([], 4) == []
