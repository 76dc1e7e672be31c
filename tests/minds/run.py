"""One run: the world is opened, orders flow, people change their minds, all comes to rest, and the oracle judges."""

import json
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.chaos.clock import unix_s
from tests.chaos.fleet import ROLES
from tests.chaos.world import PREFIX, World, open_world
from tests.minds.cancels import Cancels
from tests.minds.evidence import Evidence, gather
from tests.minds.kills import Kills
from tests.minds.operators import audit, rule_all
from tests.minds.oracle import Case, Verdict, judge
from tests.minds.refunds import Refunds
from tests.minds.script import STOCK
from tests.minds.wishes import Moment

WINDOW_S: Final = 20.0
EARLY_WAIT_S: Final = 45.0
SETTINGS: Final = {
    "PAYMENTS_CANCEL_WINDOW_S": f"{WINDOW_S:g}",
    "PAYMENTS_EARLY_WAIT_S": f"{EARLY_WAIT_S:g}",
    "PAYMENTS_RETURN_URL": "https://shop.example/orders/{order_id}",
    "PAYMENTS_ACTION_TIMEOUT_S": "10",
}
FEW: Final = ("consume-1", "relay-1", "sweep-1")
"""One process of each role, for the short form."""
RATE_MAX: Final = 15.0
PATIENCE_S: Final = 240.0
REST_S: Final = 180.0
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for. count: orders with a cancel, or messages that ask for a refund. rate: orders a second."""

    count: int
    seed: int
    kills: int = 0
    rate: float = RATE_MAX
    inventory: str = "internal"
    early_wait_s: float = EARLY_WAIT_S
    window_s: float = WINDOW_S


@dataclass(slots=True)
class Result:
    """verdict: None when the run came to no end. folder: where the logs are, if they were kept."""

    folder: Path = Path()
    verdict: Verdict | None = None
    seconds: float = 0.0
    killed: list[str] = field(default_factory=list)
    alarms: dict[str, int] = field(default_factory=dict)
    case: Case | None = None

    @property
    def holds(self) -> bool:
        """Whether everything was right."""
        return self.verdict is not None and self.verdict.holds


def settings_of(wanted: Wanted) -> dict[str, str]:
    """Return the settings of a run, besides those of tests.chaos.world."""
    made = {
        **SETTINGS,
        "PAYMENTS_EARLY_WAIT_S": f"{wanted.early_wait_s:g}",
        "PAYMENTS_CANCEL_WINDOW_S": f"{wanted.window_s:g}",
    }
    return made if wanted.inventory == "internal" else {**made, "PAYMENTS_INVENTORY": wanted.inventory}


def run(wanted: Wanted, say: Say, what: str, roles: Collection[str] = tuple(ROLES)) -> Result:
    """Run once. what: cancels or refunds. Whatever happens, everything that was started is ended."""
    result, begun = Result(), unix_s()
    keep = lambda: not result.holds  # noqa: E731
    with open_world(say, keep=keep, more=settings_of(wanted), stock=STOCK, roles=roles) as world:
        result.folder = world.folder
        (cancels if what == "cancels" else refunds)(world, wanted, say, result)
        result.seconds = unix_s() - begun
        if not result.holds:
            world.folder.joinpath("verdict.json").write_text(json.dumps(document(wanted, result), indent=1), "utf-8")
    return result


def cancels(world: World, wanted: Wanted, say: Say, result: Result, prefix: str = "m") -> None:
    """Have orders cancelled, and judge."""
    shop = Cancels(world, wanted.seed, wanted.count, wanted.rate, wanted.window_s, prefix)
    found = _drive(world, shop, wanted, say, result)
    case = Case(
        orders=shop.orders,
        published=shop.published,
        found=found,
        stock=STOCK,
        window_s=wanted.window_s,
        wished={order_id: wish.title for order_id, wish in shop.wishes.items()},
        overtaken=frozenset(i for i, wish in shop.wishes.items() if wish.moment is Moment.KEPT_BEFORE),
        nobodies=frozenset(shop.nobodies),
    )
    result.case, result.verdict = case, judge(case)


def refunds(world: World, wanted: Wanted, say: Say, result: Result, prefix: str = "r") -> None:
    """Have money asked back, and judge."""
    shop = Refunds(world, wanted.seed, wanted.count, wanted.rate, prefix)
    found = _drive(world, shop, wanted, say, result)
    case = Case(
        orders=shop.orders,
        published=shop.published,
        found=found,
        stock=STOCK,
        window_s=wanted.window_s,
        wished={order_id: made.title for order_id, made in shop.plans.items()},
        foreign=shop.foreign,
    )
    result.case, result.verdict = case, judge(case)


def _drive(world: World, shop: Cancels | Refunds, wanted: Wanted, say: Say, result: Result) -> Evidence:
    """Let it all happen, wait for rest, and gather what is left behind."""
    kills = Kills(world, wanted.seed, wanted.kills, lambda: shop.progress, say)
    harness: list[str] = []
    left: dict[str, int] = {}
    expected = len(shop.orders)
    try:
        say(f"{expected} orders at {wanted.rate:g} a second")
        shop.start()
        kills.start()
        if not shop.wait(expected / wanted.rate + PATIENCE_S):
            harness.append(f"not every wish was said: {shop.progress:.3f} of them")
        kills.finish()
        say("waiting for rest")
        left = shop.shop.await_rest(REST_S, lambda: _all_there(world, shop, expected))
        say("people rule on what came to a review")
        harness += rule_all(world, say)
        left |= shop.shop.await_rest(REST_S)
    finally:
        kills.finish()
        shop.shop.close()
        shop.published.write(world.folder / "published.jsonl")
    said = audit(world)
    say("stopping the pipeline; the oracle reads topics, tables and the gateway's books")
    world.fleet.stop()
    lines = [line for _, line in world.fleet.log_lines()]
    with world.connect() as connection:
        found = gather(world.bootstrap, PREFIX, connection, world.ledger()["payment_intents"])
    found.audit, found.left, found.ends = said, left, list(world.fleet.ends)
    found.harness = [*harness, *shop.shop.errors, *kills.errors]
    found.bugs = [f"{line.get('error_type')}: {line.get('error')}" for line in lines if _is_bug(line)]
    result.killed, result.alarms = kills.done, _alarms(lines)
    return found


def _all_there(world: World, shop: Cancels | Refunds, expected: int) -> bool:
    """Whether the database has every order, and an answer to every request that it knows."""
    with suppress(Exception):
        known = {row[0] for row in world.rows("SELECT order_id FROM orders")}
        return shop.orders.keys() <= known and expected == len(shop.orders)
    return False


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
