"""`python -m tests.bench.history`: a database of very many orders, and what operators' commands cost on it."""

import sys
import time
from collections.abc import Sequence
from typing import Final

import click
import psutil

from deploy.embedded import temporary_servers
from deploy.running import now
from outbox.driver.conninfo import libpq_url
from outbox.schema.migrations import upgrade
from tests.bench.history.commands import COMMANDS, Cost, measure
from tests.bench.history.filling import fill_database
from tests.bench.history.played import PLAYED, play_orders
from tests.bench.servers import cpu_s, superuser_of

AUDIT_CPU_S: Final = 60.0
AUDIT_RSS_MB: Final = 200.0
LIST_CPU_S: Final = 0.4
"""The goals, at a million orders: CPU of command and PostgreSQL together."""
_BEGUN: Final = time.monotonic()


def say(line: str) -> None:
    """Tell how far it is, on stderr."""
    sys.stderr.write(f"[{time.monotonic() - _BEGUN:6.0f} s] {line}\n")
    sys.stderr.flush()


def table(costs: Sequence[Cost]) -> str:
    """Show what each command cost, beside its goal."""
    lines = ["| command | exit code | CPU s: command + PostgreSQL | goal | RSS MB |", "|---|---|---|---|---|"]
    for cost in costs:
        audit = cost.command == "audit"
        reached = cost.client_s + cost.postgres_s <= (AUDIT_CPU_S if audit else LIST_CPU_S) and (
            not audit or cost.rss_mb <= AUDIT_RSS_MB
        )
        goal = f"{AUDIT_CPU_S:g} s, {AUDIT_RSS_MB:g} MB" if audit else f"{LIST_CPU_S:g} s"
        lines.append(
            f"| {cost.command} | {cost.exit_code} | {cost.client_s:.2f} + {cost.postgres_s:.2f} | "
            f"{goal}: {'reached' if reached else 'not reached'} | {cost.rss_mb:.0f} |"
        )
    return "\n".join(lines)


@click.command()
@click.option("--orders", default=1_000_000, show_default=True, help="At least; whole copies of what is played.")
@click.option("--rounds", default=3, show_default=True, help="Of the short commands; the audit runs once.")
def main(*, orders: int, rounds: int) -> None:
    """Play orders, copy them into a database of their own, and measure. Exit code 1 if a command fails.

    The audit must find every invariant sound. PostgreSQL's CPU is that of the whole server: nobody else uses it.
    """
    say(f"playing {PLAYED} orders")
    played = play_orders(PLAYED)
    with temporary_servers(progress=say, fast=False, prefix="payments-history-") as servers:
        servers.own()
        servers.postgres.start()
        assert servers.postgres.pid is not None
        postmaster = psutil.Process(servers.postgres.pid)
        upgrade(servers.database_url)
        admin = superuser_of(servers.data_dir, servers.database_url, None).conninfo
        made = fill_database(libpq_url(servers.database_url), admin, played, orders, int(now().timestamp()), say)
        say(f"{made.orders:,} orders are there, in {made.seconds:,.0f} s")
        settings = {"PAYMENTS_DATABASE_URL": servers.database_url}
        costs = []
        for command in COMMANDS:
            for _ in range(1 if command == ("audit",) else rounds):
                costs.append(measure(command, settings, servers.data_dir, lambda: cpu_s([postmaster])))
                say(f"{costs[-1]}")
    sys.stdout.write(table(costs) + "\n")
    sys.exit(any(cost.exit_code for cost in costs))


if __name__ == "__main__":
    main()
