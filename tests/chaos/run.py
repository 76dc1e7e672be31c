"""One run: the world is opened, orders flow, the plan is dealt, all comes to rest, and the oracle judges."""

import random
import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg

from tests.chaos.clock import unix_s
from tests.chaos.dealt import Dealt
from tests.chaos.evidence import gather
from tests.chaos.faults import DEALS
from tests.chaos.faults.scene import Interrupted, Scene, Stage
from tests.chaos.messages import What
from tests.chaos.oracle import Case, Verdict, judge
from tests.chaos.plan import Fault, Plan, Wave, write_plan
from tests.chaos.published import Published
from tests.chaos.report import write_files
from tests.chaos.script import Script
from tests.chaos.shop import Shop
from tests.chaos.world import PARTITIONS, PREFIX, World, open_world
from tests.processes import Process

RATE_MAX: Final = 20.0
"""Orders a second that two shared cores carry with room to spare (measured: 80)."""
RATE_MIN: Final = 0.5
WARM_UP: Final = 24
"""Orders; two a partition."""
REST_S: Final = 65.0
"""The worst that an order may wait, and a little more."""
LOOK_S: Final = 0.5
PASS_S: Final = 60.0
FINAL: Final = frozenset({"paid_and_confirmed", "payment_failed", "manual_review"})
UNDER_WAY: Final[LiteralString] = """
    SELECT (SELECT count(*) FROM outbox)
         + (SELECT count(*) FROM operation WHERE state IN ('open', 'pending', 'unknown'))
         + (SELECT count(*) FROM reservation WHERE state = 'held')"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for. only, without: kinds of faults."""

    orders: int
    faults: int
    seed: int
    rate_max: float = RATE_MAX
    only: Collection[str] = ()
    without: Collection[str] = ()


@dataclass(slots=True)
class Result:
    """verdict: None when the run came to no end. folder: where the logs are, if they were kept."""

    plan: Plan
    dealt: list[Dealt]
    folder: Path
    verdict: Verdict | None = None
    seconds: float = 0.0
    alarms: dict[str, int] | None = None


class Pace:
    """Spreads the orders that are left over the time that the faults still take."""

    def __init__(self, orders: int, rate_max: float) -> None:
        self._orders = orders
        self._rate_max = rate_max
        self._ends_at = 0.0
        self.confirmed: Callable[[], int] = lambda: 0

    def plan(self, seconds: float) -> None:
        """Say how long the faults still take."""
        self._ends_at = unix_s() + seconds

    def __call__(self) -> float:
        """Return orders a second."""
        left_s = max(self._ends_at - unix_s(), 1.0)
        return min(self._rate_max, max(RATE_MIN, (self._orders - self.confirmed()) / left_s))


def run(wanted: Wanted, say: Callable[[str], None]) -> Result:
    """Run once. Whatever happens, everything that was started is ended; the logs stay unless all is well."""
    plan = write_plan(wanted.seed, wanted.faults, PARTITIONS, wanted.only, wanted.without)
    begun = unix_s()
    result = Result(plan, [], Path())
    with open_world(say, keep=lambda: result.verdict is None or not result.verdict.holds) as world:
        result.folder = world.folder
        _run(world, wanted, result, say)
        result.seconds = unix_s() - begun
        write_files(world.folder, wanted.seed, result)
    return result


def _run(world: World, wanted: Wanted, result: Result, say: Callable[[str], None]) -> None:
    published, script = Published(), Script(wanted.seed)
    pace = Pace(wanted.orders, wanted.rate_max)
    pace.plan(result.plan.seconds)
    shop = Shop(world.bootstrap, PREFIX, published, script.orders(wanted.orders), pace)
    pace.confirmed = lambda: shop.confirmed
    stage = Stage(world, shop, published, script, result.plan.blocked)
    director = Director(stage, pace, result, say)
    try:
        director.warm_up()
        shop.start()
        director.deal_all()
        director.let_all_end()
    finally:
        stage.stop.set()
        shop.close()
        published.write(world.folder / "published.jsonl")
    say("stopping the pipeline")
    world.fleet.stop()
    say("the oracle reads topics, tables and the gateway's books")
    lines = list(world.fleet.log_lines())
    result.alarms = _alarms(lines)
    case = Case(
        published=published,
        found=_evidence(world, stage),
        dealt=result.dealt,
        ends=world.fleet.ends,
        calls=world.wire.calls,
        stretches=stage.stretches,
        bugs=[(name, f"{line.get('error_type')}: {line.get('error')}") for name, line in lines if _is_bug(line)],
        late_innocent=director.late_innocent,
    )
    result.verdict = judge(case)


def _evidence(world: World, stage: Stage) -> Any:
    with world.connect() as connection:
        intents = world.ledger()["payment_intents"]
        return gather(world.bootstrap, PREFIX, connection, intents, stage.stretches)


def _alarms(lines: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for _, line in lines:
        if line.get("alarm"):
            reason = str(line.get("reason"))
            found[reason] = found.get(reason, 0) + 1
    return dict(sorted(found.items()))


def _is_bug(line: dict[str, Any]) -> bool:
    return line.get("reason") == "bug" and bool(line.get("alarm"))


class Director:
    """Deals the plan and waits for the ends."""

    def __init__(self, stage: Stage, pace: Pace, result: Result, say: Callable[[str], None]) -> None:
        self._stage = stage
        self._pace = pace
        self._result = result
        self._say = say
        self.late_innocent: list[str] = []

    def warm_up(self) -> None:
        """Have a few orders paid first: then every consumer has its partitions, and the run begins in peace."""
        for order in self._stage.script.more("warm-up", WARM_UP):
            self._stage.shop.confirm(order)
        self._stage.shop.outlet.wait(REST_S)
        self._await(innocent=False)

    def deal_all(self) -> None:
        """Deal every wave, each once everything of the one before has ended."""
        waves = [*self._result.plan.waves, *self._result.plan.last]
        for number, wave in enumerate(waves):
            self._pace.plan(sum(later.seconds for later in waves[number:]))
            self._deal(wave)
            told = ", ".join(
                f"{d.title} {d.ended_at - d.begun_at:.0f} s" for d in self._result.dealt[-len(wave.faults) :]
            )
            self._say(f"wave {number + 1} of {len(waves)}: {told}; {self._stage.shop.confirmed} orders so far")
            self._stage.stop.wait(wave.calm_s)

    def let_all_end(self) -> None:
        """Let the shop run out, then wait for what can end, pass over what cannot be read, and wait for the rest."""
        while not self._stage.shop.exhausted.wait(LOOK_S):
            self._pace.plan(0)
        self._stage.shop.outlet.wait(REST_S)
        if self._stage.stretches:
            self._say("waiting for the innocent, while unreadable batches wait")
            self.late_innocent = self._await(innocent=True)
            self._pass_over()
        self._say("waiting for rest")
        self._await(innocent=False)

    def _deal(self, wave: Wave) -> None:
        dealing = [threading.Thread(target=self._deal_one, args=(fault,), daemon=True) for fault in wave.faults]
        for thread in dealing:
            thread.start()
        for thread in dealing:
            thread.join()

    def _deal_one(self, fault: Fault) -> None:
        scene = Scene(self._stage, fault, random.Random(f"fault {fault.number} of {self._result.plan.seed}"))
        error, begun_at = "", 0.0
        try:
            scene.pause(fault.begins_s)
            begun_at = unix_s()
            with DEALS[fault.kind](scene):
                scene.pause(fault.lasts_s)
        except Interrupted:
            return
        except Exception as raised:  # noqa: BLE001 - it is told in the verdict: the run was not what it was to be
            error = f"{type(raised).__name__}: {raised}"
        self._result.dealt.append(Dealt(fault, begun_at, unix_s(), scene.places, scene.notes, error))

    def _await(self, *, innocent: bool) -> list[str]:
        """Wait until every order has its outcome and nothing is under way; return the orders that have none in time."""
        end, left = unix_s() + REST_S, [""]
        while left and unix_s() < end and not self._stage.stop.is_set():
            with suppress(psycopg.OperationalError):
                left = self._left(innocent=innocent)
            self._stage.stop.wait(LOOK_S)
        return left

    def _left(self, *, innocent: bool) -> list[str]:
        query = "SELECT order_id, status, attempt FROM orders"
        known = {row[0]: (row[1], row[2]) for row in self._stage.world.rows(query)}
        left = []
        for sent in self._stage.published.sent(What.ORDER):
            order = self._stage.published.order(sent.message.order_id)
            if order is None or (innocent and self._stands_behind(sent.topic, sent.partition, sent.offset)):
                continue
            status, attempt = known.get(order.order_id, ("", 0))
            if status not in FINAL or (attempt < len(order.kind.endings) and status != "manual_review"):
                left.append(order.order_id)
        if not left and not innocent and self._stage.world.rows(UNDER_WAY) != [(0,)]:
            return ["(under way)"]
        return left

    def _stands_behind(self, topic: str, partition: int, offset: int) -> bool:
        return any(
            (topic, partition) == (stretch.topic, stretch.partition) and offset > stretch.first
            for stretch in self._stage.stretches
        )

    def _pass_over(self) -> None:
        """Do what an operator does: pass over each stretch, and say why. The wait of those behind begins here."""
        (self._stage.world.folder / "operator").mkdir(exist_ok=True)
        places = sorted({stretch.partition for stretch in self._stage.stretches})
        passing = [threading.Thread(target=self._pass_over_in, args=(place,), daemon=True) for place in places]
        for thread in passing:
            thread.start()
        for thread in passing:
            thread.join()
        for dealt in self._result.dealt:
            if dealt.fault.kind == "unreadable":
                dealt.ended_at = unix_s()

    def _pass_over_in(self, partition: int) -> None:
        world = self._stage.world
        for stretch in sorted(self._stage.stretches, key=lambda stretch: stretch.first):
            if stretch.partition != partition or self._stage.stop.is_set():
                continue
            offsets = ("--from", str(stretch.first), "--to", str(stretch.last))
            command = ("dlq", "pass", stretch.topic, str(partition), *offsets, "--reason", "spoilt by chaos")
            directory = world.folder / "operator" / f"{partition}-{stretch.first}"
            directory.mkdir(parents=True)
            process = Process(directory, command, world.fleet.settings)
            try:
                code = process.wait(PASS_S)
            finally:
                process.kill()
            if code:
                last = process.log.strip().splitlines()[-1:] or [""]
                self._say(f"payments {' '.join(command[:4])} ended with {code}: {last[0]}")
