from typing import Any

from tests.bench.goals import Goal, judge
from tests.bench.layers.kinds import LAYERS, PLAIN, WHOLE
from tests.bench.layers.table import layers_table, whole_by_plain


def _result(layer: str, orders_per_s: float, *, round_: int = 0, wrong: str = "") -> dict[str, Any]:
    return {
        "contestant": "ours",
        "latency_ms": 0.0,
        "layer": layer,
        "round": round_,
        "orders_per_s": orders_per_s,
        "cpu_ms_per_order": {"python": 100 / orders_per_s, "postgresql": 1.0, "kafka": 0.5},
        "paced": [{"rate": 20.0, "latencies_ms": {"paid": [10.0, 20.0, 1000 / orders_per_s]}}],
        "failures": [wrong] if wrong else [],
    }


def test_the_whole_has_every_layer_and_each_other_has_one() -> None:
    def differs(one: Any) -> set[str]:
        return {name for name in ("brokers", "standby", "tls", "metrics") if getattr(one, name) != getattr(PLAIN, name)}

    alone = [differs(layer) for layer in LAYERS if layer not in {PLAIN, WHOLE}]
    assert all(len(each) == 1 for each in alone)
    assert set[str]().union(*alone) == differs(WHOLE)


def test_a_layer_is_shown_as_a_ratio_to_the_plain_run_of_its_round() -> None:
    # The machine is half as fast in the second round: the ratio is not.
    rounds = [
        _result("plain", 1000),
        _result("TLS", 800),
        _result("plain", 500, round_=1),
        _result("TLS", 400, round_=1),
    ]
    *_, plain, tls = layers_table(rounds).splitlines()
    assert plain.startswith("| ours | plain | 750 | 0.15 | 1.00 | 0.50 |")
    assert tls.startswith("| ours | TLS | 600 (0.80) | 0.19 (1.25) | 1.00 (1.00) | 0.50 (1.00) |")
    assert tls.endswith("| right |")


def test_what_was_wrong_gives_no_figure() -> None:
    results = [_result("plain", 1000), _result(WHOLE.name, 900, wrong="no standby")]
    assert whole_by_plain(results) == {}
    assert layers_table(results).splitlines()[-1].endswith("| - | - | no standby |")


def test_the_whole_is_held_to_half_of_plain() -> None:
    results = [_result("plain", 1000), _result(WHOLE.name, 499)]
    assert judge("layers", results) == [Goal("orders/s: ours, all layers / plain", "0 ms", 0.499, least=0.5)]
    assert [goal.reached for goal in judge("layers", results)] == [False]
    assert [goal.reached for goal in judge("layers", [results[0], _result(WHOLE.name, 500)])] == [True]
