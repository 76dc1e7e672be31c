"""The layers in one table, each as a ratio to the plain run of its round. Pure."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from tests.bench.figures import Spread, percentile, ratio, spread
from tests.bench.layers.kinds import PLAIN, WHOLE

Result = dict[str, Any]
Figure = Callable[[Result], float]
SPENDERS: Final = {"Python": "python", "PostgreSQL": "postgresql", "Kafka": "kafka"}
MS_DIGITS: Final = 2


def layers_table(results: Sequence[Result]) -> str:
    """Show a line for each contestant and layer: medians, and in brackets the ratio to plain."""
    figures = _figures(results)
    heads = ["contestant", "layer", *figures, "check"]
    lines = [
        "In brackets: the ratio to the plain run of the same round, the median of the rounds.",
        "",
        f"| {' | '.join(heads)} |",
        "|" + "---|" * len(heads),
    ]
    for name, layer in dict.fromkeys((one["contestant"], one["layer"]) for one in results):
        mine = [one for one in results if (one["contestant"], one["layer"]) == (name, layer)]
        cells = [_cell(results, name, layer, figure, digits) for figure, digits in figures.values()]
        bad = "; ".join(dict.fromkeys(failure for one in mine for failure in one["failures"])) or "right"
        lines.append(f"| {name} | {layer} | {' | '.join(cells)} | {bad} |")
    return "\n".join(lines)


def whole_by_plain(results: Sequence[Result]) -> dict[str, Spread]:
    """Return orders/s of all layers together by those of the plain run, for each contestant that has both."""
    found = {}
    for name in dict.fromkeys(one["contestant"] for one in results):
        compared = ratio(*(_by_round(results, name, layer.name, _orders_per_s) for layer in (WHOLE, PLAIN)))
        if compared is not None:
            found[name] = compared
    return found


def _figures(results: Sequence[Result]) -> dict[str, tuple[Figure, int]]:
    """Name what is compared, with how many digits it is shown."""
    rates = dict.fromkeys(one["rate"] for result in results for one in result.get("paced", ()))
    return {
        "orders/s": (_orders_per_s, 0),
        **{f"CPU ms an order: {who}": (partial(_cpu, key), MS_DIGITS) for who, key in SPENDERS.items()},
        **{
            f"{name} ms at {rate:g}/s": (partial(_latency, rate, share), 0)
            for rate in rates
            for name, share in (("p50", 0.5), ("p99", 0.99))
        },
    }


def _cell(results: Sequence[Result], name: str, layer: str, figure: Figure, digits: int) -> str:
    here, plain = (_by_round(results, name, one, figure) for one in (layer, PLAIN.name))
    if not here:
        return "-"
    compared = ratio(here, plain)
    shown = f"{spread(list(here.values())).median:,.{digits}f}"
    return shown if layer == PLAIN.name or compared is None else f"{shown} ({compared.median:.2f})"


def _by_round(results: Sequence[Result], name: str, layer: str, figure: Figure) -> dict[int, float]:
    """Return the figure of each round whose measurement was right."""
    return {
        one["round"]: figure(one)
        for one in results
        if (one["contestant"], one["layer"]) == (name, layer) and not one["failures"]
    }


def _orders_per_s(result: Result) -> float:
    return float(result["orders_per_s"])


def _cpu(who: str, result: Result) -> float:
    return float(result["cpu_ms_per_order"][who])


def _latency(rate: float, share: float, result: Result) -> float:
    paid = [value for one in result["paced"] if one["rate"] == rate for value in one["latencies_ms"]["paid"]]
    return percentile(paid, share)
