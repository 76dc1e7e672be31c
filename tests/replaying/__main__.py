"""Measures `payments replay`: its rate beside a bare reader of the same bodies, its memory, its files after SIGKILLs.

    python -m tests.replaying --events 1000000 --kills 5

Processor time is the fair measure on a busy machine; both are shown.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path

from fastavro import schemaless_reader

from deploy.embedded import temporary_servers
from producers.topics import create_topics
from schemas.shapes import SHAPES
from tests.replaying.filling import bodies, fill
from tests.replaying.killing import TOPIC, Cost, counted, run_to_end, run_with_kills

HEAD = 10
REPEAT_EVERY = 100
BARE_MAX = 1_000_000


def bare(values: list[bytes]) -> Cost:
    """Read all bodies with fastavro alone."""
    schema = SHAPES[TOPIC].wire
    wall, cpu = time.perf_counter(), time.process_time()
    for value in values:
        schemaless_reader(BytesIO(value[HEAD:]), schema, None)
    return Cost(time.perf_counter() - wall, time.process_time() - cpu, 0)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Fill a topic, read it, and print the figures."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--events", type=int, default=1_000_000)
    asked.add_argument("--days", type=int, default=10, help="days on which they occurred")
    asked.add_argument("--kills", type=int, default=0)
    asked.add_argument("--seed", type=int, default=1)
    args = asked.parse_args()
    with temporary_servers(progress=say) as servers, tempfile.TemporaryDirectory(prefix="payments-replay-") as folder:
        servers.own()
        servers.kafka.start()
        environment = {"PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": servers.kafka_bootstrap}
        made = create_topics(
            {"bootstrap_servers": servers.kafka_bootstrap},
            [TOPIC],
            partitions=12,
            replication_factor=1,
            event_bytes_max=1 << 20,
        )
        asyncio.run(made)
        sent = fill(
            servers.kafka_bootstrap, TOPIC, bodies(args.events, args.days, args.seed), repeat_every=REPEAT_EVERY
        )
        say(f"{args.events:,} events in {sent:,} messages, {args.days} days")
        values = [value for _, value in bodies(min(args.events, BARE_MAX), args.days, args.seed)]
        first = bare(values)
        out = Path(folder) / "whole"
        cost = run_to_end(out, environment)
        assert cost is not None
        second = bare(values)
        each = (first.cpu_s + second.cpu_s) / 2 / len(values), (first.wall_s + second.wall_s) / 2 / len(values)
        say(f"bare reader: {1 / each[0]:,.0f}/s of the processor, {1 / each[1]:,.0f}/s on the clock")
        say(f"replay: {sent / cost.cpu_s:,.0f}/s of the processor, {sent / cost.wall_s:,.0f}/s on the clock")
        of_cpu, of_wall = each[0] * sent / cost.cpu_s, each[1] * sent / cost.wall_s
        say(f"ratio: {of_cpu:.2f} of the processor, {of_wall:.2f} on the clock")
        say(f"memory: {cost.memory / 1e6:.0f} MB at the most")
        rows, ids = counted(out)
        say(f"files: {rows:,} rows, {ids:,} ids")
        assert rows == ids == args.events
        if args.kills:
            out = Path(folder) / "killed"
            killed = run_with_kills(out, environment, args.kills, cost.wall_s / 2, args.seed)
            rows, ids = counted(out)
            say(f"after {killed} kills: {rows:,} rows, {ids:,} ids")
            assert rows == ids == args.events


main()
