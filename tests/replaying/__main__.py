"""Measures `payments replay`: its rate beside a bare reader of the same bodies, its memory, its files after SIGKILLs.

    python -m tests.replaying --events 1000000 --kills 5

Processor time is the fair measure on a busy machine; both are shown. Exit 1 if a target is missed.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from fastavro import schemaless_reader

from deploy.embedded import temporary_servers
from producers.topics import create_topics
from schemas.shapes import SHAPES
from tests.replaying.filling import bodies, fill
from tests.replaying.killing import TOPIC, Cost, counted, run_to_end, run_with_kills

HEAD = 10
REPEAT_EVERY = 100
BARE_MAX = 1_000_000
RATIO_MIN = 0.5
MEMORY_MAX = 300_000_000
GROWTH_MAX = 1.1
"""Equal memory: more events may take a tenth more, which is what two runs of the same events differ by."""


class Asked(NamedTuple):
    """The arguments."""

    events: int
    more: int
    days: int
    kills: int
    seed: int


def asked() -> Asked:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument(
        "--more", type=int, default=5, help="times the events for the second measure of memory; 1: none"
    )
    parser.add_argument("--days", type=int, default=10, help="days on which they occurred")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    return Asked(**vars(parser.parse_args()))


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


class Measure:
    """Measures, and notes which targets were missed."""

    def __init__(self, kafka: str, folder: Path, wish: Asked) -> None:
        self._kafka = kafka
        self._folder = folder
        self._wish = wish
        self.missed = 0

    def target(self, words: str, *, reached: bool) -> None:
        self.missed += not reached
        say(f"{'reached' if reached else 'MISSED '}  {words}")

    def filled(self, prefix: str, events: int) -> tuple[dict[str, str], int]:
        """Make a topic of so many events. Return a replay's environment, and how many messages there are."""
        made = create_topics(
            {"bootstrap_servers": self._kafka},
            [prefix + TOPIC],
            partitions=12,
            replication_factor=1,
            event_bytes_max=1 << 20,
        )
        asyncio.run(made)
        messages = bodies(events, self._wish.days, self._wish.seed)
        sent = fill(self._kafka, prefix + TOPIC, messages, repeat_every=REPEAT_EVERY)
        say(f"{events:,} events in {sent:,} messages, {self._wish.days} days")
        return {"PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": self._kafka, "PAYMENTS_TOPIC_PREFIX": prefix}, sent

    def run(self, environment: dict[str, str], events: int) -> Cost:
        """Replay a whole topic."""
        out = self._folder / str(events)
        cost = run_to_end(out, environment)
        assert cost is not None
        self.exact(out, events, "a run")
        return cost

    def exact(self, out: Path, events: int, after: str) -> None:
        rows, ids = counted(out)
        self.target(f"after {after}: {rows:,} rows, {ids:,} ids of {events:,}", reached=rows == ids == events)

    def rate(self, environment: dict[str, str], sent: int) -> Cost:
        """Replay beside the bare reader of the same bodies, which reads before and afterwards."""
        count = min(self._wish.events, BARE_MAX)
        values = [value for _, value in bodies(count, self._wish.days, self._wish.seed)]
        first = bare(values)
        cost = self.run(environment, self._wish.events)
        second = bare(values)

        def both(figure: Callable[[Cost], float]) -> float:
            each = (figure(first) + figure(second)) / 2 / count
            say(f"bare reader {1 / each:,.0f}/s, replay {sent / figure(cost):,.0f}/s")
            return each * sent / figure(cost)

        say("of the processor:")
        of_cpu = both(lambda found: found.cpu_s)
        say("on the clock:")
        of_wall = both(lambda found: found.wall_s)
        words = f"{RATIO_MIN} of the bare reader: {of_cpu:.2f} of the processor, {of_wall:.2f} on the clock"
        self.target(words, reached=min(of_cpu, of_wall) >= RATIO_MIN)
        return cost

    def memory(self, cost: Cost) -> None:
        """Compare the memory with that of a run of more events. All its processes count."""
        name, most = f"{self._wish.events:,} events", cost.memory
        if self._wish.more > 1:
            events = self._wish.events * self._wish.more
            environment, sent = self.filled("more.", events)
            larger = self.run(environment, events)
            say(f"{sent / larger.cpu_s:,.0f}/s of the processor, {sent / larger.wall_s:,.0f}/s on the clock")
            words = f"equal memory: {cost.memory / 1e6:.0f} MB for {name}, {larger.memory / 1e6:.0f} MB for {events:,}"
            self.target(words, reached=larger.memory <= cost.memory * GROWTH_MAX)
            most = max(most, larger.memory)
        words = f"under {MEMORY_MAX / 1e6:.0f} MB: {most / 1e6:.0f} MB at the most, of all its processes"
        self.target(words, reached=most < MEMORY_MAX)

    def kills(self, environment: dict[str, str], within_s: float) -> None:
        out = self._folder / "killed"
        killed = run_with_kills(out, environment, self._wish.kills, within_s, self._wish.seed)
        self.exact(out, self._wish.events, f"{killed} kills and a run")


def main() -> None:
    """Fill topics, read them, and print the figures."""
    wish = asked()
    with temporary_servers(progress=say) as servers, tempfile.TemporaryDirectory(prefix="payments-replay-") as folder:
        servers.own()
        servers.kafka.start()
        measure = Measure(servers.kafka_bootstrap, Path(folder), wish)
        environment, sent = measure.filled("", wish.events)
        cost = measure.rate(environment, sent)
        if wish.kills:
            measure.kills(environment, cost.wall_s / 2)
        measure.memory(cost)
    sys.exit(1 if measure.missed else 0)


main()
