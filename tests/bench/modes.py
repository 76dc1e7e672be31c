"""What can be measured, by name: each mode measures, and returns its tables and its results."""

import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import click
import psutil

from tests.bench import report
from tests.bench.contestants import Contestant
from tests.bench.endurance import endurance_table, endure
from tests.bench.figures import percentile
from tests.bench.goals import RATE, goals_document, goals_table, judge
from tests.bench.history.beside import measure_beside_history
from tests.bench.history.compared import history_table
from tests.bench.hops.measuring import measure_hops
from tests.bench.hops.table import hops_table
from tests.bench.layers.measuring import Load, measure_layers
from tests.bench.layers.table import layers_table
from tests.bench.measuring import measure
from tests.bench.parts import client_table, codec_table, measure_client, measure_codec, measure_relay, relay_table
from tests.bench.places import Plan
from tests.bench.pressure import modes as pressing
from tests.bench.servers import Servers, running
from tests.bench.slow import compare_slow, slow_table
from tests.bench.start import measure_starts, start_table
from tests.bench.sustained import sustain, sustained_table
from tests.bench.turns import OtherRun, Turns, measurer, take_turns, turns_table

Outcome = tuple[str, Any]
_BEGUN = time.monotonic()


def say(line: str) -> None:
    """Tell how far it is, on stderr."""
    sys.stderr.write(f"[{time.monotonic() - _BEGUN:6.0f} s] {line}\n")
    sys.stderr.flush()


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    contestants: list[Contestant]
    latencies_ms: list[float]
    rounds: int
    rates: list[float]
    paced_s: float
    slow_share: float
    endurance: int
    turns: Turns
    backlog: int
    starts: int
    pressure: pressing.Pressure
    minutes: float
    history: int


def compare(servers: Servers, plan: Plan, options: Options) -> Outcome:
    """Measure everybody in turn, rounds times, and compare."""
    results: list[dict[str, Any]] = []
    # The sandbox takes the time it takes: one latency is enough for who uses it.
    each = [
        (latency_ms, contestant)
        for latency_ms in options.latencies_ms
        for contestant in options.contestants
        if not contestant.sandbox or latency_ms == options.latencies_ms[0]
    ]
    total = options.rounds * len(each)
    for number in range(options.rounds):
        for latency_ms, contestant in each:
            result = measure(servers, plan, contestant, latency_ms, options.rates, options.paced_s)
            results.append({"round": number, **result})
            say(f"{len(results)}/{total} round {number + 1}: {_line(result)}")
            if "log" in result:
                say(result["log"])
    tables = [report.table(results), report.ratio_lines(results)]
    return "\n\n".join(text for text in tables if text), results


def _line(result: dict[str, Any]) -> str:
    where = report.gateway_of(result["contestant"], result["latency_ms"])
    parts = [f"{result['contestant']}, {where}: {result.get('orders_per_s', 0):,.0f} orders/s"]
    for one in result.get("paced", ()):
        paid = one["latencies_ms"]["paid"]
        parts.append(f"at {one['rate']:g}/s p50 {percentile(paid, 0.5):.0f} p99 {percentile(paid, 0.99):.0f} ms")
    return ", ".join(parts) + "; " + ("; ".join(result["failures"]) or "right")


def slow(servers: Servers, plan: Plan, options: Options) -> Outcome:
    """Measure ours with slow calls and without."""
    results = compare_slow(
        servers,
        plan,
        options.contestants,
        options.latencies_ms[0],
        options.slow_share,
        options.rounds,
        options.rates,
        options.paced_s,
        say,
    )
    return slow_table(results), results


def endurance(servers: Servers, plan: Plan, options: Options) -> Outcome:
    """Measure ours over many orders. One process gets the gateway that forgets: whose memory it is must be clear."""
    ours = [replace(one, shared_gateway=not one.sandbox) for one in options.contestants]
    results = [
        endure(servers, plan, one, options.latencies_ms[0], options.endurance, say, backlog=options.backlog)
        for one in ours
    ]
    return "\n\n".join(endurance_table(result) for result in results), results


def pressure(servers: Servers, plan: Plan, options: Options) -> Outcome:
    """Measure ours under pressure."""
    latency_ms = options.latencies_ms[0]
    return pressing.press(servers, plan, options.contestants, latency_ms, options.rounds, options.pressure, say)


def turns(servers: Servers, plan: Plan, options: Options) -> Outcome:
    """Measure ours without some settings and with them."""
    latency_ms = options.latencies_ms[0]
    asked = options.turns.asked(plan, options.contestants, latency_ms)
    measure_one = measurer(servers, plan, latency_ms, options.turns)
    try:
        results = take_turns(measure_one, options.contestants, options.turns, asked, say)
    except OtherRun as other:
        raise click.UsageError(str(other)) from None
    return turns_table(results, options.turns.settings), results


def history(servers: Servers, plan: Plan, options: Options) -> Outcome:
    """Measure ours on an empty database and beside it on one with a history."""
    latency_ms = options.latencies_ms[0]
    results = measure_beside_history(
        servers, plan, options.contestants, latency_ms, options.rounds, options.history, say
    )
    return history_table(results), results


def relay(servers: Servers, plan: Plan, options: Options) -> Outcome:
    """Measure the relays alone."""
    results = []
    for number in range(options.rounds):
        for contestant in options.contestants:
            result = measure_relay(servers, plan, contestant)
            results.append({"round": number, **result})
            say(f"round {number + 1}: {contestant.name}: {result['messages_per_s']:,.0f} messages/s")
    return relay_table(results), results


def start(servers: Servers, plan: Plan, options: Options) -> Outcome:
    """Measure what a start costs."""
    results = measure_starts(servers, plan, options.starts, say)
    return start_table(results), results


def layers(plan: Plan, options: Options) -> Outcome:
    """Measure what each layer of production costs. Each has servers of its own."""
    load = Load(options.rounds, options.latencies_ms[0], options.rates, options.paced_s)
    results = measure_layers(plan, options.contestants, load, say)
    return layers_table(results), results


def sustained(servers: Servers, plan: Plan, options: Options) -> Outcome:
    """Measure half of the capacity for minutes. The gateway forgets, as in endurance, for the same reason."""
    results = [
        sustain(
            servers, plan, replace(one, shared_gateway=not one.sandbox), options.latencies_ms[0], options.minutes, say
        )
        for one in options.contestants
    ]
    return sustained_table(results), results


def hops(servers: Servers, plan: Plan, options: Options) -> Outcome:
    """Measure where an order's time goes, at the first rate."""
    rate = options.rates[0] if options.rates else RATE
    results = [
        measure_hops(servers, plan, one, options.latencies_ms[0], rate, options.paced_s, say)
        for one in options.contestants
    ]
    return "\n\n".join(hops_table(result) for result in results), results


def decode(_plan: Plan, _options: Options) -> Outcome:
    """Measure the codec alone."""
    results = measure_codec()
    return codec_table(results), results


def client(servers: Servers, _plan: Plan, _options: Options) -> Outcome:
    """Measure the Stripe adapter alone."""
    result = measure_client(servers.folder)
    return client_table(result), [result]


def machine(servers: Servers | None) -> dict[str, Any]:
    """Say what it was measured on."""
    versions = {"kafka": servers.kafka_version, "postgresql": servers.postgres_version} if servers else {}
    return {"cores": psutil.cpu_count(), "python": platform.python_version(), "system": platform.platform(), **versions}


WORK: Final[dict[str, Callable[[Servers, Plan, Options], Outcome]]] = {
    "compare": compare,
    "slow": slow,
    "turns": turns,
    "endurance": endurance,
    "pressure": pressure,
    "history": history,
    "start": start,
    "sustained": sustained,
    "hops": hops,
    "relay": relay,
    "client": client,
}
"""Every mode that needs the servers of a run."""

WITHOUT_SERVERS: Final[dict[str, Callable[[Plan, Options], Outcome]]] = {"decode": decode, "layers": layers}
"""Those that need none, or start their own."""


def run(mode: str, plan: Plan, options: Options) -> dict[str, Any]:
    """Measure, print the tables, and return all of it."""
    if mode in WITHOUT_SERVERS:
        text, results = WITHOUT_SERVERS[mode](plan, options)
        about = machine(None)
    else:
        with running(say, warm=mode not in {"client", "start"}) as servers:
            about = machine(servers)
            say(", ".join(f"{what} {value}" for what, value in about.items()))
            text, results = WORK[mode](servers, plan, options)
    goals = pressing.judge(results) if mode == "pressure" else judge(mode, results)
    sys.stdout.write("\n\n".join(part for part in (text, goals_table(goals)) if part) + "\n")
    return {"mode": mode, "machine": about, "results": results, "goals": goals_document(goals)}
