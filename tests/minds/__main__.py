"""`python -m tests.minds`: cancels and refunds on request, on the real thing (tests/minds/README.md)."""

import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator

import click
import orjson

from tests.minds.run import RATE_MAX, Result, Wanted, document, run

_BEGUN = time.monotonic()
SHOWN_MAX = 8


def say(line: str) -> None:
    """Tell how far it is, on stderr."""
    sys.stderr.write(f"[{time.monotonic() - _BEGUN:6.0f} s] {line}\n")
    sys.stderr.flush()


@click.group(context_settings={"max_content_width": 120})
def main() -> None:
    """Have people change their minds about orders, on real processes; then judge from outside.

    Exit code 0: everything was right. 1: it was not; the logs are kept, and their folder is named.
    """
    # What was started is ended, whoever asks for it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


SEED = click.option("--seed", type=int, default=1, show_default=True, help="The same seed writes the same script.")
KILLS = click.option("--kills", type=click.IntRange(0), default=0, show_default=True, help="SIGKILLs meanwhile.")
RATE = click.option("--rate", type=click.FloatRange(0.5), default=RATE_MAX, show_default=True, help="Orders a second.")
INVENTORY = click.option("--inventory", type=click.Choice(["internal", "http"]), default="internal", show_default=True)
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout and nothing else.")


@main.command()
@click.option("--orders", type=click.IntRange(1), default=2_000, show_default=True, help="One cancel each.")
@SEED
@KILLS
@RATE
@INVENTORY
@JSON
def cancels(*, orders: int, seed: int, kills: int, rate: float, inventory: str, as_json: bool) -> None:
    """Cancel orders of every kind, each at a point of its life that the seed draws."""
    _run(Wanted(seed, kills, rate, inventory), as_json=as_json, cancels=orders)


@main.command()
@click.option("--requests", type=click.IntRange(1), default=10_000, show_default=True, help="Messages, about so many.")
@SEED
@KILLS
@RATE
@INVENTORY
@JSON
def refunds(*, requests: int, seed: int, kills: int, rate: float, inventory: str, as_json: bool) -> None:
    """Ask for money of paid orders: in parts, doubled, too much, racing each other, cancels and disputes."""
    _run(Wanted(seed, kills, rate, inventory), as_json=as_json, refunds=requests)


def _run(wanted: Wanted, *, as_json: bool, cancels: int = 0, refunds: int = 0) -> None:
    try:
        result = run(wanted, say, cancels=cancels, refunds=refunds)
    except KeyboardInterrupt:
        say("told to end: everything is stopped")
        sys.exit(130)
    if as_json:
        sys.stdout.write(orjson.dumps(document(wanted, result), option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        sys.stdout.write("\n".join(text(wanted, result)) + "\n")
    sys.exit(0 if result.holds else 1)


def text(wanted: Wanted, result: Result) -> Iterator[str]:
    """Say what was found."""
    verdict = result.verdict
    if verdict is None:
        yield "the run came to no end"
        return
    yield ", ".join(f"{count} {name}" for name, count in verdict.counts.items())
    if result.alarms:
        yield "alarms: " + ", ".join(f"{count} {reason}" for reason, count in result.alarms.items())
    found = defaultdict(list)
    for violation in verdict.violations:
        found[violation.check].append(violation)
    for check, violations in sorted(found.items()):
        yield f"\n{check}: {len(violations)}"
        for violation in violations[:SHOWN_MAX]:
            yield f"  {violation.subject}: {violation.what}" + (f"  ({violation.where})" if violation.where else "")
        if len(violations) > SHOWN_MAX:
            yield f"  and {len(violations) - SHOWN_MAX} more"
    yield ""
    said = f"seed {wanted.seed}, {len(result.killed)} kills, {result.seconds:.0f} s"
    if verdict.holds:
        yield f"all is right: {said}"
    else:
        yield f"NOT RIGHT: {len(verdict.violations)} violations; {said}"
        yield f"logs, published.jsonl and verdict.json: {result.folder}"


if __name__ == "__main__":
    main()
