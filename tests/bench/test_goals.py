from typing import Any

import pytest

from tests.bench.goals import Goal, goals_table, judge, rss_growth


def _result(name: str, orders_per_s: float, latency_ms: float = 0, **more: Any) -> dict[str, Any]:
    measured = {"contestant": name, "round": 0, "latency_ms": latency_ms, "orders_per_s": orders_per_s}
    return {**measured, "paced": [], "failures": [], **more}


def _paced(*paid_ms: float, rate: float = 20) -> dict[str, Any]:
    return {"paced": [{"rate": rate, "latencies_ms": {"paid": list(paid_ms)}}]}


def _slow(share: float, orders_per_s: float, p99_ms: float) -> dict[str, Any]:
    return _result("ours", orders_per_s, 30, share=share, **_paced(p99_ms, rate=50))


def _endurance(cpu_ratio: float, *rss_mb: float) -> dict[str, Any]:
    return _result("ours", 1, cpu_ratio=cpu_ratio, rss_mb=[(2000 * at, [mb]) for at, mb in enumerate(rss_mb)])


def _verdicts(mode: str, *results: dict[str, Any]) -> dict[str, bool]:
    return {f"{goal.what} {goal.wanted()}": goal.reached for goal in judge(mode, results)}


def test_throughput_is_that_of_the_best_layout() -> None:
    ours = [_result("ours", 2000), _result("ours-up2", 5000), _result("ours-stripe", 90_000)]
    theirs = [_result("restate", 250), _result("handwritten", 1001), _result("limit", 10_000)]
    assert judge("compare", [*ours, *theirs]) == [
        Goal("orders/s: ours-up2 / restate", "0 ms", 20.0, least=20.0),
        Goal("orders/s: ours-up2 / handwritten", "0 ms", 5000 / 1001, least=5.0),
        Goal("orders/s: ours-up2 / limit", "0 ms", 0.5, least=0.45),
        Goal("orders/s: ours-up2 / limit", "0 ms", 0.5, least=0.60),
    ]
    assert [goal.reached for goal in judge("compare", [*ours, *theirs])] == [True, False, True, False]


def test_each_gateway_latency_is_judged_by_itself() -> None:
    found = judge(
        "compare", [_result(name, rate, ms) for ms, rate in ((0, 8), (30, 4)) for name in ("ours", "restate")]
    )
    assert [(goal.gateway, goal.figure) for goal in found] == [("0 ms", 1.0), ("30 ms", 1.0)]


def test_latency_at_once_is_restates_at_the_most() -> None:
    restate = _result("restate", 1, **_paced(19, 19, 38))
    assert _verdicts("compare", _result("ours", 20, **_paced(19, 19, 38.1)), restate) == {
        "orders/s: ours / restate at least 20.00": True,
        "p50 ms of ours at 20/s, beside restate's at most 19.0": True,
        "p99 ms of ours at 20/s, beside restate's at most 38.0": False,
    }


@pytest.mark.parametrize(("p99_ms", "reached"), [(120, True), (120.1, False)])
def test_latency_behind_a_gateway_is_sixty_milliseconds_beyond_its_calls(p99_ms: float, *, reached: bool) -> None:
    found = judge("compare", [_result("ours", 1, 30, **_paced(p99_ms)), _result("ours", 1, 30, **_paced(9, rate=50))])
    assert [(goal.most, goal.reached) for goal in found] == [(120.0, reached)]


def test_slow_calls_may_cost_the_others_a_little() -> None:
    assert _verdicts("slow", _slow(0, 1000, 100), _slow(0.01, 900, 131)) == {
        "ours, 1 % slow / none: orders/s of the others at least 0.90": True,
        "ours, 1 % slow / none: p99 ms of the others at 50/s at most 1.30": False,
    }


def test_half_a_million_orders_later_an_order_costs_the_same() -> None:
    flat = [90.0, 95, 100, 100, 101, 102, 104, 105]
    assert [goal.reached for goal in judge("endurance", [_endurance(1.1, *flat)])] == [True, True, True]
    assert [goal.reached for goal in judge("endurance", [_endurance(1.11, *flat[:-1], 120)])] == [False, False, True]
    assert [goal.reached for goal in judge("endurance", [_endurance(0.89)])] == [False]
    assert rss_growth(flat) == 1.045


def test_memory_is_judged_by_its_highest_reading_and_all_processes_together() -> None:
    (_, most) = judge("endurance", [_endurance(1, 90.0, 130.4, 100)])
    assert (most.what, most.figure, most.reached) == ("ours, RSS MB at the most", 130.4, False)
    two = {
        **_endurance(1),
        "contestant": "ours-x2",
        "rss_mb": [(2000, [125.0, 125, 25, 25]), (4000, [99.0, 99, 25, 25])],
    }
    (_, most) = judge("endurance", [two])
    assert (most.figure, most.reached) == (300, True)


def test_a_start_is_judged_by_the_median() -> None:
    (goal,) = judge("start", [_result("ours", 1, cpu_s=cpu_s) for cpu_s in (1.4, 9, 1.5)])
    assert (goal.figure, goal.reached) == (1.5, True)


def test_what_took_no_part_is_not_judged_nor_what_was_wrong() -> None:
    assert judge("compare", [_result("ours", 1)]) == []
    assert judge("compare", [_result("ours", 1, failures=["lost"]), _result("limit", 1)]) == []
    assert judge("compare", [{"contestant": "ours", "round": 0, "latency_ms": 0, "failures": ["did not start"]}]) == []
    assert judge("decode", [{"event": "PaymentFailed", "bytes": 1}]) == []


def test_the_table_says_what_is_reached() -> None:
    goals = [Goal("orders/s: ours / limit", "0 ms", 0.5, least=0.45), Goal("nothing", "0 ms", float("nan"), most=1)]
    assert goals_table(goals).splitlines()[2:] == [
        "| orders/s: ours / limit | 0 ms | at least 0.45 | 0.50 | reached |",
        "| nothing | 0 ms | at most 1.00 | nan | not reached |",
    ]
    assert goals_table([]) == ""
