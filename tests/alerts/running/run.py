"""The run: silent in the demo, silent under load, and each alert fires when its cause is made, and ends after it."""

import json
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from tests.alerts.live import queries
from tests.alerts.running.case import Case
from tests.alerts.running.crew import ALL_IN_ONE, ROLES
from tests.alerts.running.place import FACTORS, Place, open_place, open_shop
from tests.alerts.running.table import BY_PROMTOOL, CASES
from tests.alerts.running.watching import wait
from tests.chaos.clock import unix_s
from tests.processes import Process

FIRES_S: Final = 180.0
"""Far above what any takes at a sixtieth: the machine may be busy."""
EARLY_S: Final = 420.0
QUIET_S: Final = 180.0
"""Until what was mended is told no more, and until nothing fires."""
DEMO_S: Final = 480.0
CALM_S: Final = 480.0
OF_THE_DEMO: Final = frozenset({"PaymentsDeadLetters", "PaymentsAlarmTicket", "PaymentsOutcomesLateFast"}) | {
    name for name in BY_PROMTOOL if name.startswith("PaymentsOutcomesLate")
}
"""The demo's script has a conflict, and disputes: these must be told. It also has calls that take three seconds: at a
sixtieth of the times that is three minutes. So orders that are late may be told too, and IN_TIME shows that none is in
truth. Nothing else may be told."""
IN_TIME: Final = (
    'sum(payments_order_outcome_seconds_count{waited="no"})'
    ' - sum(payments_order_outcome_seconds_bucket{waited="no",le="60.0"})'
)
"""Orders that had their outcome later than in a true minute."""
WAITED: Final = """
    SELECT count(*) FROM (
      SELECT order_number FROM event WHERE topic = 'CustomerActionRequired'
      UNION SELECT o.order_number FROM attempt a JOIN orders o USING (order_id)
       WHERE a.attempt = 1 AND a.method_kind IN ('BANK', 'OTHER')) waited"""
"""What the topics and the methods say of it."""
REVIEWS: Final = "payments_reviews_open"
"""It is told by reason: of none there is no number."""
IN_REVIEW: Final = "SELECT count(*) FROM orders WHERE status = 'manual_review'"
Progress = Callable[[str], None]


@dataclass(slots=True)
class Tried:
    """What became of a case. fired, ended: seconds until each did."""

    what: str
    fired: dict[str, float] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Wanted:
    """minutes: of load without faults. rate: orders a second. only: parts of names of cases; none: all."""

    minutes: float = 10.0
    rate: float = 3.0
    only: tuple[str, ...] = ()
    demo: bool = True
    quiet_s: float = QUIET_S
    factor: int = FACTORS[0]


@dataclass(slots=True)
class Result:
    """wrong: everything that is not as it should be, outside of the cases."""

    tried: list[Tried] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        """Return all that is wrong."""
        return [*self.wrong, *(f"{one.what}: {fault}" for one in self.tried for fault in one.wrong)]


def run(wanted: Wanted, say: Progress) -> Result:
    """Run once; whatever happens, everything that was started is ended."""
    result = Result()
    ended = False
    with open_place(say, wanted.factor, keep=lambda: not ended or bool(result.faults)) as place:
        if wanted.demo:
            _demo(place, result, say)
        say(f"starting {len(ROLES)} processes of the pipeline")
        place.crew.start(*ROLES)
        with open_shop(place, wanted.rate):
            _load(place, wanted, result, say)
            _try_all(place, _chosen(wanted.only), wanted.quiet_s, result, say)
        ended = True
    return result


def _chosen(only: Sequence[str]) -> list[Case]:
    return [case for case in CASES if not only or any(part in _names(case) for part in only)]


def _names(case: Case) -> str:
    return " ".join([case.what, *(one.name for one in case.fires)])


def _demo(place: Place, result: Result, say: Progress) -> None:
    """Play the demo's orders on one process that does all; nothing else fires, and every panel has data."""
    say("the demo, on one process that does all")
    place.crew.start(ALL_IN_ONE)
    if left_over := place.watch.await_silence(QUIET_S, calm=True):
        result.wrong.append(f"before the demo begins {', '.join(left_over)} fires")
    begun = unix_s()
    left = queries()

    def answered() -> bool:
        # While it is played: a rate of nothing is none.
        left[:] = [one for one in left if not place.watch.server.has_data(one[1])]
        return not left

    demo = Process(place.folder, ("demo", "--running", "--json"), place.crew.settings)
    try:
        played = wait(lambda: (answered() or True) and demo.code is not None, DEMO_S)
        if not played or demo.code != 0:
            result.wrong.append(f"the demo did not end as it should: {demo.log[-2000:]}{demo.out[-2000:]}")
    finally:
        demo.end()
    ((reviews,),) = place.rows(IN_REVIEW)
    wait(lambda: answered() or not (reviews or any(REVIEWS not in query for _, query in left)), QUIET_S)
    if not reviews:
        left = [one for one in left if REVIEWS not in one[1]]
    result.wrong += [f"after the demo the panel `{title}` has no data: {query}" for title, query in left]
    result.wrong += _waiting_told_apart(place)
    fired = place.watch.fired_since(begun)
    result.wrong += _late(place)
    data = f"{len(queries())} queries of panels have data{'' if reviews else ' (but reviews: there are none)'}"
    result.told.append(f"the demo: {data}; told: {_told(fired, OF_THE_DEMO)}")
    result.wrong += [f"in the demo rings {name}: {fired[name]}" for name in sorted(fired.keys() - OF_THE_DEMO)]
    place.crew.take_away(ALL_IN_ONE)
    for (letter_id,) in place.rows("SELECT id FROM dead_letter WHERE redriven_at IS NULL"):
        place.command("dlq", "give-up", str(letter_id), "--reason", "the demo has made it")


def _late(place: Place) -> list[str]:
    """Say what is wrong if an order of the demo took longer than a minute, or if that is not told."""
    late = [float(sample["value"][1]) for sample in place.watch.server.query(IN_TIME)]
    return [] if late == [0.0] else [f"orders of the demo with their outcome later than in a minute: {late}"]


def _waiting_told_apart(place: Place) -> list[str]:
    """Say what is wrong if the times of orders that waited for the customer or a bank are not told apart, each."""
    ((orders,),) = place.rows(WAITED)
    query = 'sum(payments_order_outcome_seconds_count{waited="yes"})'

    def counted() -> float:
        return sum(float(sample["value"][1]) for sample in place.watch.server.query(query))

    if orders and wait(lambda: counted() == orders, QUIET_S):
        return []
    return [f"{orders} orders of the demo waited for the customer or a bank, and {counted():g} are told apart as such"]


def _load(place: Place, wanted: Wanted, result: Result, say: Progress) -> None:
    """Have orders come; nothing fires."""
    # What was late in the demo is in windows of a day for as long as the load takes. PaymentsOutcomesLateFast has a
    # short one: it tells of orders that are late now.
    of_the_demo = BY_PROMTOOL if wanted.demo else ()
    if left := place.watch.await_silence(max(wanted.quiet_s, CALM_S * FACTORS[0] / place.factor), but=of_the_demo):
        result.wrong.append(f"nothing is wrong yet, and {', '.join(left)} fires")
    begun, before = unix_s(), place.shop.confirmed
    say(f"{wanted.minutes:g} minutes of load, {wanted.rate:g} orders/s")
    wait(lambda: unix_s() > begun + 60 * wanted.minutes, 60 * wanted.minutes + 60)
    fired = {name: labels for name, labels in place.watch.fired_since(begun).items() if name not in of_the_demo}
    orders = place.shop.confirmed - before
    result.told.append(f"{wanted.minutes:g} minutes of load: {orders} orders; told: {_told(fired, ())}")
    result.wrong += [f"under load without faults rings {name}: {labels}" for name, labels in fired.items()]


def _told(fired: dict[str, Any], known: Collection[str]) -> str:
    return ", ".join(f"{name}{' (of its script)' if name in known else ''}" for name in sorted(fired)) or "nothing"


def _try_all(place: Place, cases: Sequence[Case], quiet_s: float, result: Result, say: Progress) -> None:
    early = [case for case in cases if case.early]
    waited_for = {one.name for case in early for one in case.fires}
    with ExitStack() as stack:
        begun = unix_s()
        for case in early:
            stack.enter_context(case.make(place))
        for case in cases:
            if not case.early:
                say(case.what)
                result.tried.append(_try(place, case, waited_for, quiet_s))
                say(_line(result.tried[-1]))
        for case in early:
            say(case.what)
            tried = Tried(case.what)
            _await_firing(place, case, tried, EARLY_S * FACTORS[0] / place.factor)
            tried.fired = {name: seconds + unix_s() - begun for name, seconds in tried.fired.items()}
            result.tried.append(tried)
    for case, tried in zip(early, result.tried[len(result.tried) - len(early) :], strict=True):
        _await_end(place, case, tried, quiet_s)
        say(_line(tried))


def _try(place: Place, case: Case, may_ring: Collection[str], quiet_s: float) -> Tried:
    """Make the cause, wait for its alerts, mend it, and wait for their ends and for silence."""
    tried, begun = Tried(case.what), unix_s()
    now = place.watch.firing()
    tried.wrong += [
        f"fires before its cause is made: {one.text()}"
        for one in case.fires
        if any(one.is_it(alert["labels"]) for alert in now)
    ]
    try:
        with case.make(place):
            _await_firing(place, case, tried, FIRES_S * FACTORS[0] / place.factor)
        _await_end(place, case, tried, quiet_s)
    except Exception as error:  # noqa: BLE001 - the other cases are tried all the same
        tried.wrong.append(f"{type(error).__name__}: {error}")
    place.crew.restore()
    place.cut_audit_lease()
    # What is about to fire would be a false alarm of the next case.
    if left := place.watch.await_silence(quiet_s, but={*may_ring, *BY_PROMTOOL}, calm=True):
        tried.wrong.append(f"does not end: {', '.join(left)}")
    # What late orders do to long windows lasts longer than a case.
    known = {one.name for one in case.fires} | case.also | {*may_ring, *BY_PROMTOOL}
    for name, labels in place.watch.fired_since(begun).items():
        if name not in known:
            tried.wrong.append(f"a false alarm: {name} {labels}")
    return tried


def _await_firing(place: Place, case: Case, tried: Tried, within_s: float) -> None:
    fired, wrong = place.watch.await_firing(case.fires, within_s)
    tried.fired = {one.text(): seconds for one, seconds in fired.items()}
    tried.wrong += wrong + [f"does not fire: {one.text()}" for one in case.fires if one not in fired]


def _await_end(place: Place, case: Case, tried: Tried, within_s: float) -> None:
    ended = place.watch.await_end(case.fires, within_s)
    tried.ended = {one.text(): seconds for one, seconds in ended.items()}
    tried.wrong += [f"does not end: {one.text()}" for one in case.fires if one not in ended]


def _line(tried: Tried) -> str:
    fired = ", ".join(f"{name} after {seconds:.0f} s" for name, seconds in tried.fired.items())
    return "; ".join([f"  {fired or 'nothing fired'}", *tried.wrong])


def table(result: Result) -> str:
    """Show which cause had which alert, after how many seconds, and when it ended."""
    lines = ["| alert | cause | fires after s | ends after s |", "|---|---|---|---|"]
    for one in result.tried:
        for name, seconds in one.fired.items():
            ended = f"{one.ended[name]:.0f}" if name in one.ended else "not"
            lines.append(f"| {name} | {one.what} | {seconds:.0f} | {ended} |")
    lines += [f"| {name} | by promtool alone: a window over an hour | | |" for name in BY_PROMTOOL]
    return "\n".join([*lines, "", *result.told])


def document(result: Result) -> str:
    """Return all of it as JSON."""
    cases = [
        {"cause": one.what, "fired_s": one.fired, "ended_s": one.ended, "wrong": one.wrong} for one in result.tried
    ]
    found = {"cases": cases, "by_promtool": list(BY_PROMTOOL), "told": result.told, "wrong": result.faults}
    return json.dumps(found, indent=2) + "\n"
