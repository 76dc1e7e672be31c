"""Every layer in turn, beside the plain run of the same round."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Final

from tests.bench.contestants import Contestant
from tests.bench.environment import Progress
from tests.bench.layers.kinds import LAYERS, Layer
from tests.bench.layers.proof import missing
from tests.bench.layers.scraping import Scraper
from tests.bench.layers.site import NO_TLS, Site, site_of, speaks_tls
from tests.bench.measuring import drain, noting_failures, paced, running, warm_until_settled
from tests.bench.places import Plan

Result = dict[str, Any]
WARM_PART: Final = 3
"""A third of the orders first, not counted: several brokers have more to compile than one."""
WARM_RATE: Final = 20.0


@dataclass(frozen=True, slots=True)
class Load:
    """What each layer is measured with. rates: orders/s of the open loops, of paced_s each."""

    rounds: int
    latency_ms: float
    rates: Sequence[float]
    paced_s: float


def layers_here(progress: Progress) -> Sequence[Layer]:
    """Return the layers that this machine has programs for. What is left out is said."""
    if speaks_tls():
        return LAYERS
    progress(NO_TLS)
    return [layer for layer in LAYERS if not layer.tls]


def measure_layers(plan: Plan, contestants: Sequence[Contestant], load: Load, progress: Progress) -> list[Result]:
    """Measure each contestant at each layer, on fresh servers; the next round the other way round."""
    results: list[Result] = []
    layers = layers_here(progress)
    for number in range(load.rounds):
        for layer in layers if number % 2 == 0 else layers[::-1]:
            progress(f"round {number + 1}/{load.rounds}, {layer.name}: starting servers")
            with site_of(layer, progress) as site:
                for contestant in contestants:
                    result = measure_layer(site, layer, plan, contestant, load)
                    results.append({"round": number, "layer": layer.name, **result})
                    progress(_line(results[-1]))
                    if "log" in result:
                        progress(result["log"])
    return results


def measure_layer(site: Site, layer: Layer, plan: Plan, contestant: Contestant, load: Load) -> Result:
    """Measure a contestant, and check it, the layer included."""
    own = replace(plan, settings={**plan.settings, **site.settings})
    result: Result = {"contestant": contestant.name, "latency_ms": load.latency_ms, "failures": []}
    versions = {"kafka": site.servers.kafka_version, "postgresql": site.servers.postgres_version}
    with noting_failures(result), ExitStack() as stack:
        run = stack.enter_context(running(site.servers, own, contestant, load.latency_ms))
        scraper = stack.enter_context(Scraper(run.processes.known)) if layer.metrics else None
        count = max(20, int(plan.orders * contestant.weight))
        drain(run, count // WARM_PART)
        warm_until_settled(run, WARM_RATE)
        result |= versions | drain(run, count)
        result["paced"] = [paced(run, rate, load.paced_s) for rate in load.rates if not run.failures]
        result["failures"] = missing(layer, site.servers, run, scraper) + run.check()
        if result["failures"]:
            result["log"] = run.processes.log_end()
    return result


def _line(result: Result) -> str:
    wrong = "; ".join(result["failures"]) or "right"
    return f"{result['contestant']}, {result['layer']}: {result.get('orders_per_s', 0):,.0f} orders/s; {wrong}"
