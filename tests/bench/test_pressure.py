"""What the benchmark says of an order under pressure follows from its readings."""

from typing import Any

from tests.bench.orders import make_orders
from tests.bench.pressure.hot import hot_goals, ratio_of
from tests.bench.pressure.load import Part, Reading, parts_of
from tests.bench.pressure.snapshot import compared, dead_an_order, snapshot_goals


def _part(phase: str, rate: float, postgresql: float, stock: int = 0, orders: int = 0) -> Part:
    cpu = {"python": 1.0, "postgresql": postgresql, "kafka": 0.1}
    return Part(phase, round(rate), 1.0, cpu, {"stock": stock, "orders": orders})


def test_a_part_is_what_happened_between_two_readings() -> None:
    before = Reading(10.0, 100, {"python": 1.0, "postgresql": 2.0}, {"stock": 5})
    after = Reading(12.0, 500, {"python": 1.4, "postgresql": 2.2}, {"stock": 50})
    (part,) = parts_of("held", [before, after])
    assert (part.phase, part.orders, part.seconds, part.rate) == ("held", 400, 2.0, 200.0)
    assert {who: round(cost, 6) for who, cost in part.cpu_ms.items()} == {"python": 1.0, "postgresql": 0.5}
    assert part.dead == {"stock": 50}


def test_a_part_without_an_order_costs_what_was_spent() -> None:
    (part,) = parts_of("held", [Reading(0.0, 7, {"python": 1.0}, {}), Reading(1.0, 7, {"python": 1.5}, {})])
    assert (part.orders, part.rate, part.cpu_ms) == (0, 0.0, {"python": 500.0})


def test_the_ends_of_the_phases_are_compared_with_the_phase_before() -> None:
    parts = [_part("before", rate, 0.2) for rate in (900, 1000, 1100)]
    parts += [_part("held", 1000, 0.2), *(_part("held", rate, 0.4) for rate in (400, 500, 600))]
    parts += [_part("after", 100, 0.9), *(_part("after", rate, 0.2) for rate in (950, 1000, 1050))]
    found = compared(parts)
    assert (found["held"]["rate"], found["held"]["postgresql"]) == (0.5, 2.0)
    assert (found["after"]["rate"], found["after"]["postgresql"]) == (1.0, 1.0)


def test_a_run_that_stopped_before_the_snapshot_compares_nothing() -> None:
    assert compared([_part("before", 1000, 0.2)]) == {}
    assert dead_an_order([_part("before", 1000, 0.2)], 0) == {}


def test_throughput_and_dead_rows_are_judged() -> None:
    parts = [_part("before", 1000, 0.2), _part("held", 800, 0.4, stock=10, orders=2_400)]
    result: dict[str, Any] = {
        "contestant": "ours",
        "latency_ms": 0.0,
        "compared": compared(parts),
        "dead_an_order": dead_an_order(parts, 800),
    }
    judged = {goal.what: (goal.figure, goal.reached) for goal in snapshot_goals(result)}
    assert judged == {
        "ours: orders/s, held by before": (0.8, False),
        "ours: dead rows of orders an order": (3.0, False),
        "ours: dead rows of operation an order": (0.0, True),
    }


def test_one_sku_is_compared_by_rounds_in_which_both_were_right() -> None:
    results = [
        {"contestant": "ours-x2", "round": n, "hot": hot, "orders_per_s": rate, "failures": bad, "latency_ms": 0.0}
        for n, hot, rate, bad in (
            (0, False, 2000.0, []),
            (0, True, 1500.0, []),
            (1, False, 1000.0, ["wrong"]),
            (1, True, 9000.0, []),
        )
    ]
    compared_rounds = ratio_of(results, "ours-x2")
    assert compared_rounds is not None
    assert compared_rounds.median == 0.75
    assert [goal.reached for goal in hot_goals(results)] == [False]


def test_everybody_wants_one_sku_besides_another() -> None:
    orders = list(make_orders(40, 1, one_sku=True))
    assert {order.skus[0] for order in orders} == {"SKU-0000"}
    assert len({order.skus[1] for order in orders}) > 20
    assert all(order.skus[0] != order.skus[1] for order in orders)
