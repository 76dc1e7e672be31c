"""One run: the world is opened, orders flow, people change their minds, all comes to rest, and the oracle judges."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from tests.chaos.clock import unix_s
from tests.chaos.fleet import ROLES
from tests.chaos.published import Published
from tests.chaos.world import PREFIX, World, open_world
from tests.minds.cancels import Cancels
from tests.minds.evidence import Evidence, gather
from tests.minds.kills import Kills
from tests.minds.operators import agrees, audit, rule
from tests.minds.oracle import Case, Verdict, judge
from tests.minds.refunds import Refunds
from tests.minds.script import STOCK, STOCK_ELSEWHERE, Order
from tests.minds.shop import Shop

WINDOW_S: Final = 20.0
EARLY_WAIT_S: Final = 45.0
SETTINGS: Final = {
    "PAYMENTS_CANCEL_WINDOW_S": f"{WINDOW_S:g}",
    "PAYMENTS_EARLY_WAIT_S": f"{EARLY_WAIT_S:g}",
    "PAYMENTS_RETURN_URL": "https://shop.example/orders/{order_id}",
    "PAYMENTS_ACTION_TIMEOUT_S": "10",
    "PAYMENTS_REFUND_RECHECK_S": "5",
}
FEW: Final = ("consume-1", "relay-1", "sweep-1")
"""One process of each role, for the short form."""
RATE_MAX: Final = 15.0
PATIENCE_S: Final = 240.0
REST_S: Final = 180.0
ROUNDS_MAX: Final = 15
"""Of rulings: what a person lets go on may fail once more."""
Say = Callable[[str], None]


class Driver(Protocol):
    """Publishes orders, and what somebody wants of them afterwards. titles: what is wished of each order, in words."""

    orders: dict[str, Order]
    published: Published
    shop: Shop
    overtaken: frozenset[str]
    prepared: frozenset[str]
    nobodies: frozenset[str]
    foreign: dict[str, int]

    @property
    def titles(self) -> dict[str, str]: ...

    @property
    def progress(self) -> float: ...

    def start(self) -> None: ...

    def wait(self, timeout_s: float) -> bool: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for. rate: orders a second. early_wait_s, window_s: PAYMENTS_EARLY_WAIT_S, ..._CANCEL_WINDOW_S."""

    seed: int
    kills: int = 0
    rate: float = RATE_MAX
    inventory: str = "internal"
    early_wait_s: float = EARLY_WAIT_S
    window_s: float = WINDOW_S


class Trouble(Protocol):
    """What happens to the world meanwhile. done: in words; errors: what went wrong with doing it.

    forgotten: as in Evidence.
    """

    done: list[str]
    errors: list[str]
    forgotten: tuple[float, float] | None

    def start(self) -> None: ...

    def finish(self) -> None: ...


MakeTrouble = Callable[[World, Wanted, Sequence[Driver], Say], Trouble]


@dataclass(slots=True)
class Result:
    """verdict: None when the run came to no end. folder: where the logs are, if they were kept."""

    folder: Path = Path()
    verdict: Verdict | None = None
    seconds: float = 0.0
    killed: list[str] = field(default_factory=list)
    alarms: dict[str, int] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether everything was right."""
        return self.verdict is not None and self.verdict.holds


def settings_of(wanted: Wanted) -> dict[str, str]:
    """Return the settings of a run, besides those of tests.chaos.world."""
    return {
        **SETTINGS,
        "PAYMENTS_EARLY_WAIT_S": f"{wanted.early_wait_s:g}",
        "PAYMENTS_CANCEL_WINDOW_S": f"{wanted.window_s:g}",
    }


def kills_of(world: World, wanted: Wanted, drivers: Sequence[Driver], say: Say) -> Trouble:
    """Make the kills that were asked for."""
    return Kills(world, wanted.seed, wanted.kills, lambda: progress_of(drivers), say)


def progress_of(drivers: Sequence[Driver]) -> float:
    """Return how far the slowest is, from 0 to 1."""
    return min(driver.progress for driver in drivers)


def run(
    wanted: Wanted,
    say: Say,
    *,
    cancels: int = 0,
    refunds: int = 0,
    roles: Collection[str] = tuple(ROLES),
    trouble: MakeTrouble = kills_of,
) -> Result:
    """Run once. cancels: orders that are cancelled; refunds: messages that ask for money. Both may be wanted.

    roles: names of tests.chaos.fleet.ROLES that run. trouble: makes what happens to the world meanwhile. Whatever
    happens, everything that was started is ended.
    """
    result, begun = Result(), unix_s()
    keep = lambda: not result.holds  # noqa: E731
    elsewhere = wanted.inventory != "internal"
    more, stock = settings_of(wanted), STOCK_ELSEWHERE if elsewhere else STOCK
    with open_world(say, keep=keep, more=more, stock=stock, roles=roles, elsewhere=elsewhere) as world:
        result.folder = world.folder
        drivers: list[Driver] = []
        if cancels:
            drivers.append(Cancels(world, wanted.seed, cancels, wanted.rate, wanted.window_s))
        if refunds:
            drivers.append(Refunds(world, wanted.seed, refunds, wanted.rate))
        found = _drive(world, drivers, wanted, say, result, trouble)
        result.verdict = judge(_case(drivers, found, wanted, stock))
        result.seconds = unix_s() - begun
        if not result.holds:
            world.folder.joinpath("verdict.json").write_text(json.dumps(document(wanted, result), indent=1), "utf-8")
    return result


def _case(drivers: Sequence[Driver], found: Evidence, wanted: Wanted, stock: Mapping[str, int]) -> Case:
    made = Case(orders={}, published=Published(), found=found, stock=stock, window_s=wanted.window_s)
    made.early_wait_s = wanted.early_wait_s
    orders: dict[str, Order] = {}
    wished: dict[str, str] = {}
    for driver in drivers:
        orders |= driver.orders
        wished |= driver.titles
        for sent in driver.published.sent():
            made.published.add(sent)
        made.overtaken |= driver.overtaken
        made.prepared |= driver.prepared
        made.nobodies |= driver.nobodies
        made.foreign = {**made.foreign, **driver.foreign}
    made.orders, made.wished = orders, wished
    return made


def _drive(
    world: World, drivers: Sequence[Driver], wanted: Wanted, say: Say, result: Result, trouble: MakeTrouble
) -> Evidence:
    """Let it all happen, wait for rest, and gather what is left behind."""
    orders = {order_id for driver in drivers for order_id in driver.orders}
    kills = trouble(world, wanted, drivers, say)
    harness: list[str] = []
    left: dict[str, int] = {}
    try:
        say(f"{len(orders)} orders, {wanted.rate:g} a second of each driver")
        for driver in drivers:
            driver.start()
        kills.start()
        late = [d for d in drivers if not d.wait(len(d.orders) / wanted.rate + PATIENCE_S)]
        harness += [f"not every wish was said: {driver.progress:.3f} of them" for driver in late]
        kills.finish()
        say("waiting for rest")
        for _ in range(ROUNDS_MAX):
            left = drivers[0].shop.await_rest(REST_S, lambda: _all_there(world, orders) and agrees(world, orders))
            ruled, wrong = rule(world, say)
            harness += wrong
            if not ruled or left or wrong:
                break
    finally:
        kills.finish()
        for number, driver in enumerate(drivers):
            driver.shop.close()
            driver.published.write(world.folder / f"published-{number}.jsonl")
    say("auditing")
    said = audit(world)
    say("stopping the pipeline; the oracle reads topics, tables and the gateway's books")
    world.fleet.stop()
    lines = [line for _, line in world.fleet.log_lines()]
    with world.connect() as connection:
        found = gather(world.bootstrap, PREFIX, connection, world.ledger()["payment_intents"])
    if world.inventory is not None:
        shelves = world.goods()["stock"]
        found.stock = {s["sku"]: (s["put_in"], s["available"], s["held"], s["sold"]) for s in shelves}
    found.audit, found.left, found.ends = said, left, list(world.fleet.ends)
    found.harness = [*harness, *(error for driver in drivers for error in driver.shop.errors), *kills.errors]
    found.bugs = [f"{line.get('error_type')}: {line.get('error')}" for line in lines if _is_bug(line)]
    found.forgotten = kills.forgotten
    result.killed, result.alarms = kills.done, _alarms(lines)
    return found


def _all_there(world: World, orders: Collection[str]) -> bool:
    """Whether the database has every order."""
    return set(orders) <= {row[0] for row in world.rows("SELECT order_id FROM orders")}


def _is_bug(line: Mapping[str, Any]) -> bool:
    return bool(line.get("alarm")) and line.get("reason") in {"bug", "quarantined", "handler_error"}


def _alarms(lines: Collection[Mapping[str, Any]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for line in lines:
        if line.get("alarm"):
            found[str(line.get("reason"))] = found.get(str(line.get("reason")), 0) + 1
    return dict(sorted(found.items()))


def document(wanted: Wanted, result: Result) -> dict[str, Any]:
    """Return everything, fit for JSON."""
    verdict = result.verdict
    return {
        "holds": result.holds,
        "seed": wanted.seed,
        "kills": result.killed,
        "seconds": round(result.seconds, 1),
        "counts": {} if verdict is None else verdict.counts,
        "alarms": result.alarms,
        "violations": [] if verdict is None else [violation.line() for violation in verdict.violations],
        "folder": None if result.holds else str(result.folder),
    }
