import math
from typing import Any

from tests.bench.goals import judge
from tests.bench.sustained import CHAIN, hop_ratios, reading_times, sustained_table

EXPECTED = {"OrderConfirmed": 200, "PaymentAuthorized": 190, "ItemsReserved": 180, "PaidAndConfirmed": 180}


def _counts(*numbers: int) -> dict[str, int]:
    return dict(zip(CHAIN, numbers, strict=True))


def _result(ratios: list[float], *latencies_ms: float, finished: int = 100) -> dict[str, Any]:
    return {
        "contestant": "ours",
        "latency_ms": 0.0,
        "minutes": 10,
        "capacity": 2000.0,
        "rate": 1000.0,
        "orders": 100,
        "finished": finished,
        "latencies_ms": list(latencies_ms),
        "ratios": ratios,
        "ratios_each": [ratios, [1.0, 0.97, 1.01]],
        "cpu_ms_per_order": {"python": 0.5, "postgresql": 0.25, "kafka": 0.125},
        "rss_mb": [100.0, 20.0],
        "failures": [],
    }


def test_topics_are_compared_with_what_the_orders_make_of_them() -> None:
    begin, end = _counts(1000, 950, 900, 900), _counts(1200, 1140, 1080, 1080)
    assert hop_ratios(begin, end, EXPECTED) == [1.0, 1.0, 1.0]


def test_what_is_still_under_way_is_missing_from_the_ratio() -> None:
    assert hop_ratios(_counts(0, 0, 0, 0), _counts(200, 190, 135, 135), EXPECTED) == [1.0, 0.75, 1.0]


def test_a_topic_without_messages_has_no_ratio() -> None:
    first, *others = hop_ratios(_counts(0, 0, 0, 0), _counts(200, 0, 0, 0), EXPECTED)
    assert first == 0
    assert all(math.isnan(ratio) for ratio in others)


def test_topics_are_counted_from_when_orders_flow() -> None:
    assert reading_times(600) == [15.0, *(15.0 + 60 * n for n in range(1, 10))]
    assert reading_times(120) == [15.0, 75.0]
    assert reading_times(20) == [5.0]


def test_p99_rates_and_every_order_are_judged() -> None:
    right = judge("sustained", [_result([1.0004, 0.9996, 1.0], *[10.0] * 90, *[40.0] * 10)])
    assert all(goal.reached for goal in right)
    wrong = judge("sustained", [_result([1.0006, 0.9994, math.nan], *[10.0] * 90, *[40.1] * 10, finished=99)])
    assert not any(goal.reached for goal in wrong)
    assert len(right) == len(wrong) == 5


def test_the_table_shows_the_minute_that_was_furthest_from_one() -> None:
    line = sustained_table([_result([1.0, 1.0, 1.0], 10.0, 20.0)]).splitlines()[-1]
    assert "| 1.000, 1.000, 1.000 | 0.970 |" in line


def test_a_run_that_failed_at_once_is_shown_and_not_judged() -> None:
    failed = {"contestant": "ours", "latency_ms": 0.0, "minutes": 10, "failures": ["no broker"]}
    assert sustained_table([failed]).splitlines()[-1].endswith("| - | no broker |")
    assert judge("sustained", [failed]) == []
