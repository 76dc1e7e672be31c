"""One run: the world is opened, orders flow, the plan is dealt, all comes to rest, and the oracle judges."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.chaos.clock import unix_s
from tests.chaos.dealt import Dealt
from tests.chaos.director import Director, Pace
from tests.chaos.evidence import gather
from tests.chaos.faults.scene import Stage
from tests.chaos.oracle import Case, Verdict, judge
from tests.chaos.plan import Plan, write_plan
from tests.chaos.published import Published
from tests.chaos.report import write_files
from tests.chaos.script import Script
from tests.chaos.shop import Shop
from tests.chaos.world import PARTITIONS, PREFIX, World, open_world

RATE_MAX: Final = 20.0
"""Orders a second that two shared cores carry with room to spare (measured: 80)."""


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
    director = Director(stage, pace, result.plan, say)
    result.dealt = director.dealt
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
        refused=director.refused,
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
