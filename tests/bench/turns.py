"""What some settings cost: this module without them and with them, in turn, so many rounds; then the ratios.

Each round is kept when it has ended, so that a run that was stopped goes on where it was.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import orjson

from tests.bench.contestants import Contestant
from tests.bench.environment import Progress
from tests.bench.figures import Spread, ratio, spread
from tests.bench.measuring import drain, running
from tests.bench.places import Plan
from tests.bench.servers import Servers

Result = dict[str, Any]
Figure = Callable[[Result], float]
Measure = Callable[[Contestant, Mapping[str, str]], Result]
DIGITS: Final = 3


class OtherRun(Exception):  # noqa: N818 - an answer, not a fault
    """The file keeps rounds of a run that asked for something else."""


@dataclass(frozen=True, slots=True)
class Turns:
    """rounds: how many. settings: those that are tried. kept: the file of what has ended; None: it is not kept."""

    rounds: int
    settings: Mapping[str, str]
    kept: Path | None = None

    def asked(self, plan: Plan, contestants: Sequence[Contestant], latency_ms: float) -> dict[str, Any]:
        """Return what must be the same for two runs to be one."""
        return {
            "settings": dict(self.settings),
            "orders": plan.orders,
            "contestants": [one.name for one in contestants],
            "latency_ms": latency_ms,
        }


def measurer(servers: Servers, plan: Plan, latency_ms: float, turns: Turns) -> Measure:
    """Return what measures a contestant with the settings that it is given, besides those that are not tried."""
    without = replace(plan, settings={name: v for name, v in plan.settings.items() if name not in turns.settings})
    return partial(_measure, servers, without, latency_ms)


def take_turns(
    measure: Measure,
    contestants: Sequence[Contestant],
    turns: Turns,
    asked: Mapping[str, Any],
    progress: Progress,
) -> list[Result]:
    """Measure each contestant without the settings and with them, in every round; the next round the other way round.

    asked: what was asked for; the file goes on only if it is the same. Raises OtherRun if it is not.
    """
    results = read_kept(turns.kept, asked)
    if results:
        progress(f"{len(results)} measurements are kept from before")
    done = {(one["round"], one["contestant"], one["with"]) for one in results}
    for number in range(turns.rounds):
        for contestant in contestants:
            for with_them in in_turn(number):
                if (number, contestant.name, with_them) in done:
                    continue
                result = measure(contestant, turns.settings if with_them else {})
                results.append({"round": number, "contestant": contestant.name, "with": with_them, **result})
                progress(f"round {number + 1}/{turns.rounds}: {_line(results[-1])}")
                keep(turns.kept, asked, results)
    return results


def in_turn(number: int) -> tuple[bool, bool]:
    """Return in which order a round measures: what drifts meets each first equally often."""
    return (False, True) if number % 2 == 0 else (True, False)


def read_kept(file: Path | None, asked: Mapping[str, Any]) -> list[Result]:
    """Return the rounds that a file keeps; none if it is not there. Raises OtherRun."""
    if file is None or not file.exists():
        return []
    kept = orjson.loads(file.read_bytes())
    if kept.get("asked") != asked:
        raise OtherRun(f"{file} keeps rounds of a run with {kept.get('asked')}: name another file, or delete it")
    return list(kept["results"])


def keep(file: Path | None, asked: Mapping[str, Any], results: Sequence[Result]) -> None:
    """Keep what was measured so far. A run that is killed meanwhile leaves the file as it was."""
    if file is not None:
        part = file.with_name(f"{file.name}.part")
        part.write_bytes(orjson.dumps({"asked": asked, "results": list(results)}, option=orjson.OPT_INDENT_2))
        part.replace(file)


def turns_table(results: Sequence[Result], settings: Mapping[str, str]) -> str:
    """Show each figure without and with the settings, and the ratio: the median of the rounds, least and most."""
    shown = ", ".join(f"{name}={value}" for name, value in settings.items())
    lines = [
        f"With: {shown}",
        "",
        "| contestant | figure | without | with | with / without (least-most) | rounds | check |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(one["contestant"] for one in results):
        mine = [one for one in results if one["contestant"] == name]
        bad = "; ".join(dict.fromkeys(failure for one in mine for failure in one["failures"])) or "right"
        for what, (figure, digits) in FIGURES.items():
            without, with_them = (by_round(mine, figure, with_them=with_them) for with_them in (False, True))
            compared = ratio(with_them, without)
            cells = [spread(list(each.values())).text(digits) if each else "-" for each in (without, with_them)]
            rounds = len(without.keys() & with_them.keys())
            text = compared.text(DIGITS) if compared else "-"
            lines.append(f"| {name} | {what} | {' | '.join(cells)} | {text} | {rounds} | {bad} |")
    return "\n".join(lines)


def ratios_of(results: Sequence[Result]) -> dict[tuple[str, str], Spread]:
    """Return the ratio of each contestant and figure, of the rounds in which both were right."""
    found = {}
    for name in dict.fromkeys(one["contestant"] for one in results):
        mine = [one for one in results if one["contestant"] == name]
        for what, (figure, _) in FIGURES.items():
            compared = ratio(by_round(mine, figure, with_them=True), by_round(mine, figure, with_them=False))
            if compared is not None:
                found[name, what] = compared
    return found


def by_round(results: Sequence[Result], figure: Figure, *, with_them: bool) -> dict[int, float]:
    """Return the figure of each round whose measurement was right."""
    return {one["round"]: figure(one) for one in results if one["with"] == with_them and not one["failures"]}


def _throughput(result: Result) -> float:
    return float(result["orders_per_s"])


def _cpu(who: str, result: Result) -> float:
    return float(result["cpu_ms_per_order"][who])


CPU: Final = "Python's CPU ms an order"
FIGURES: Final[Mapping[str, tuple[Figure, int]]] = {
    "orders/s": (_throughput, 0),
    CPU: (partial(_cpu, "python"), DIGITS),
    "PostgreSQL's CPU ms an order": (partial(_cpu, "postgresql"), DIGITS),
}


def _measure(
    servers: Servers, plan: Plan, latency_ms: float, contestant: Contestant, more: Mapping[str, str]
) -> Result:
    with running(servers, plan, contestant, latency_ms, more) as run:
        result = drain(run, max(20, int(plan.orders * contestant.weight)))
        return {**result, "failures": run.check()}


def _line(result: Result) -> str:
    which = "with" if result["with"] else "without"
    cpu = result["cpu_ms_per_order"]["python"]
    wrong = "; ".join(result["failures"]) or "right"
    return f"{result['contestant']} {which}: {result['orders_per_s']:,.0f} orders/s, {cpu:.3f} ms of Python; {wrong}"
