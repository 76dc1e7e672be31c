"""`python -m tests.chaos`: faults dealt to the real thing while orders flow (tests/chaos/README.md)."""

import signal
import sys
import time

import click
import orjson

from tests.chaos.plan import EACH_ONCE, NAMES
from tests.chaos.report import document, text
from tests.chaos.run import RATE_MAX, Wanted, run

_BEGUN = time.monotonic()
KIND = click.Choice(NAMES)


def say(line: str) -> None:
    """Tell how far it is, on stderr."""
    sys.stderr.write(f"[{time.monotonic() - _BEGUN:6.0f} s] {line}\n")
    sys.stderr.flush()


@click.command(context_settings={"max_content_width": 120})
@click.option("--orders", type=click.IntRange(1), default=900, show_default=True, help="Orders of the steady flow.")
@click.option("--faults", type=click.IntRange(0), default=EACH_ONCE, show_default=True, help="Faults that are dealt.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed writes the same orders and faults.")
@click.option("--rate", type=click.FloatRange(0.5), default=RATE_MAX, show_default=True, help="Most orders a second.")
@click.option("--only", type=KIND, multiple=True, help="Deal this kind of fault only; may be repeated.")
@click.option("--without", type=KIND, multiple=True, help="Do not deal this kind; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout and nothing else.")
def main(
    *, orders: int, faults: int, seed: int, rate: float, only: tuple[str, ...], without: tuple[str, ...], as_json: bool
) -> None:
    """Deal faults to real processes, Kafka, PostgreSQL and the sandbox while orders flow; then judge.

    Exit code 0: everything was right. 1: it was not; the logs are kept, and their folder is named.
    """
    # What was started is ended, whoever asks for it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        result = run(Wanted(orders, faults, seed, rate, only, without), say)
    except KeyboardInterrupt:
        say("told to end: everything is stopped")
        sys.exit(130)
    if as_json:
        sys.stdout.write(orjson.dumps(document(seed, result), option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        sys.stdout.write("\n".join(text(seed, result)) + "\n")
    sys.exit(0 if result.verdict is not None and result.verdict.holds else 1)


if __name__ == "__main__":
    main()
