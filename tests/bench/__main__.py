"""`python -m tests.bench`: this module, its peers and the limit, side by side (tests/bench/README.md)."""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import orjson

from tests.bench import chart
from tests.bench.contestants import CONTESTANTS, DEFAULT, QUICK, Contestant
from tests.bench.endurance import BACKLOG_MAX
from tests.bench.environment import NotHere, peers_python, restate_server
from tests.bench.modes import Options, run, say
from tests.bench.parts import RELAYS
from tests.bench.places import Plan
from tests.bench.pressure.modes import KINDS, Pressure, contestants_for
from tests.bench.told import assignments, numbers
from tests.bench.turns import Turns

OURS_ONLY = frozenset({"slow", "endurance", "turns", "layers", "hops", "sustained", "pressure", "history"})
"""Modes that measure this module only."""


def chosen(peers: str | None, default: Sequence[str]) -> list[Contestant]:
    """Find the contestants by name; those that cannot run here are left out, and that is said."""
    names = list(default) if peers is None else list(CONTESTANTS) if peers == "all" else peers.split(",")
    if unknown := [name for name in names if name not in CONTESTANTS]:
        raise click.UsageError(f"no contestant {', '.join(unknown)}; there are {', '.join(CONTESTANTS)}, or all")
    return [CONTESTANTS[name] for name in names]


def with_restate(contestants: Sequence[Contestant]) -> tuple[list[Contestant], dict[str, str]]:
    """Install Restate's server if it takes part; leave it out where there is none."""
    if not any(contestant.name == "restate" for contestant in contestants):
        return list(contestants), {}
    try:
        return list(contestants), {"RESTATE_BIN": str(restate_server(say))}
    except NotHere as reason:
        say(f"restate is left out: {reason}")
        return [contestant for contestant in contestants if contestant.name != "restate"], {}


@click.command(context_settings={"max_content_width": 110})
@click.option("--peers", help=f"Who is measured, separated by commas, or all. There are: {', '.join(CONTESTANTS)}.")
@click.option("--orders", default=500, show_default=True, help="Times the weight of each: the fast ones get more.")
@click.option("--latency-ms", default="0,30", show_default=True, callback=numbers, help="Of the gateway's answers.")
@click.option("--rounds", default=3, show_default=True, help="Interleaved; the table has medians, least and most.")
@click.option("--rate", default="20,50", show_default=True, callback=numbers, help="Orders/s of the open loop; or ''.")
@click.option("--seconds", default=10.0, show_default=True, help="Of each open loop.")
@click.option("--duplicates", default=0.0, show_default=True, help="Share of the input that is sent twice.")
@click.option("--partitions", default=4, show_default=True, help="Of every topic.")
@click.option(
    "--ids",
    type=click.Choice(["random", "growing"]),
    default="random",
    show_default=True,
    help="Of orders: UUIDs of version 4, or of version 7, which grow with time.",
)
@click.option(
    "--set", "settings", multiple=True, callback=assignments, help="NAME=VALUE: a PAYMENTS_ setting, or a peer's."
)
@click.option("--quick", is_flag=True, help="One round of the most telling ones, gateway 0 ms: under 3 minutes.")
@click.option("--slow-share", type=float, help="Only this: so many gateway calls take 3 s, against none.")
@click.option("--turns", "rounds_in_turn", type=int, help="Only this: what --set costs, without and with it in turn.")
@click.option("--keep", type=click.Path(path_type=Path), help="With --turns: where each round is kept, to go on there.")
@click.option("--endurance", type=int, help="Only this: the cost of an order over so many orders.")
@click.option("--backlog", default=BACKLOG_MAX, show_default=True, help="With --endurance: orders under way at most.")
@click.option("--pressure", type=click.Choice(KINDS), help="Only this: somebody holds a snapshot, or all want one SKU.")
@click.option("--pressure-s", default=60.0, show_default=True, help="With --pressure snapshot: held for so long.")
@click.option("--history", type=click.IntRange(1), help="Only this: beside an empty database, so many old orders.")
@click.option("--start", "starts", type=int, help="Only this: what a start of the consumers costs, so many starts.")
@click.option("--sustained", "minutes", type=float, help="Only this: half of one's capacity for so many minutes.")
@click.option("--layers", "only_layers", is_flag=True, help="Only this: brokers, a standby, TLS, metrics; and all.")
@click.option("--hops", "only_hops", is_flag=True, help="Only this: where an order's time goes, at the first --rate.")
@click.option("--relay", "only_relay", is_flag=True, help="Only this: relays alone.")
@click.option("--decode", "only_decode", is_flag=True, help="Only this: the codec alone.")
@click.option("--client", "only_client", is_flag=True, help="Only this: the Stripe adapter alone, at the sandbox.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write all that was measured there.")
@click.option("--chart", "chart_file", type=click.Path(path_type=Path), help="Draw orders/s there, as SVG.")
def main(
    *,
    peers: str | None,
    orders: int,
    latency_ms: list[float],
    rounds: int,
    rate: list[float],
    seconds: float,
    duplicates: float,
    partitions: int,
    ids: str,
    settings: dict[str, str],
    quick: bool,
    slow_share: float | None,
    rounds_in_turn: int | None,
    keep: Path | None,
    endurance: int | None,
    backlog: int,
    pressure: str | None,
    pressure_s: float,
    history: int | None,
    starts: int | None,
    minutes: float | None,
    only_layers: bool,
    only_hops: bool,
    only_relay: bool,
    only_decode: bool,
    only_client: bool,
    json_file: Path | None,
    chart_file: Path | None,
) -> None:
    """Measure this module beside what a team would use instead, and the limit of its design.

    The table goes to stdout, progress to stderr. Exit code 1 if a check of this module failed; what a peer gets wrong
    is shown in the table.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are stopped then, too
    asked = {
        "slow": slow_share is not None,
        "turns": rounds_in_turn is not None,
        "endurance": endurance is not None,
        "pressure": pressure is not None,
        "history": history is not None,
        "start": starts is not None,
        "sustained": minutes is not None,
        "layers": only_layers,
        "hops": only_hops,
        "relay": only_relay,
        "decode": only_decode,
        "client": only_client,
    }
    modes = [mode for mode, wanted in asked.items() if wanted] or ["compare"]
    if len(modes) > 1:
        raise click.UsageError(f"one at a time: {', '.join(modes)}")
    mode = modes[0]
    of_mode = {"compare": QUICK if quick else DEFAULT, "relay": RELAYS, "pressure": contestants_for(pressure or "")}
    default = of_mode.get(mode, ("ours",))
    contestants = chosen(peers, default)
    if mode == "turns" and not settings:
        raise click.UsageError("--turns measures what settings cost: give them with --set NAME=VALUE")
    if mode in OURS_ONLY and not all(contestant.ours for contestant in contestants):
        raise click.UsageError(f"--{mode} measures this module only")
    if quick:
        orders, latency_ms, rounds, rate, seconds = min(orders, 300), [0.0], 1, rate[:1], min(seconds, 5.0)
    python = Path(sys.executable) if all(one.ours for one in contestants) else peers_python(say)
    contestants, extra = with_restate(contestants)
    plan = Plan(python, orders, duplicates, partitions, {**extra, **settings}, growing_ids=ids == "growing")
    in_turn = Turns(rounds_in_turn or 0, settings, keep)
    held = Pressure(pressure or "", pressure_s)
    few = (slow_share or 0.0, endurance or 0, in_turn, backlog, starts or 0, held, minutes or 0.0, history or 0)
    options = Options(contestants, latency_ms, rounds, rate, seconds, *few)
    document = run(mode, plan, options)
    if json_file:
        json_file.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))
        say(f"written: {json_file}")
    if chart_file and mode == "compare":
        title = f"Orders a second, {document['machine']['cores']} cores, medians of {rounds} rounds"
        chart_file.write_text(chart.svg(document["results"], title), encoding="utf-8")
        say(f"drawn: {chart_file}")
    ours = [one for one in document["results"] if CONTESTANTS[one.get("contestant", "ours")].ours]
    sys.exit(1 if any(one.get("failures") for one in ours) else 0)


if __name__ == "__main__":
    main()
