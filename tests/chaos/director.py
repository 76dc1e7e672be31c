"""Dealing the plan, and waiting for the ends."""

import random
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, LiteralString

import psycopg

from tests.chaos.clock import unix_s
from tests.chaos.dealt import Dealt
from tests.chaos.faults import DEALS
from tests.chaos.faults.scene import Interrupted, Scene, Stage
from tests.chaos.messages import What
from tests.chaos.operators import pass_over, redrive_all
from tests.chaos.plan import Fault, Plan, Wave

RATE_MIN: Final = 0.5
WARM_UP: Final = 24
"""Orders; two a partition."""
REST_S: Final = 65.0
"""The worst that an order may wait, and a little more."""
LOOK_S: Final = 0.5
FINAL: Final = frozenset({"paid_and_confirmed", "payment_failed", "manual_review"})
UNDER_WAY: Final[LiteralString] = """
    SELECT (SELECT count(*) FROM outbox)
         + (SELECT count(*) FROM operation WHERE state IN ('open', 'pending', 'unknown'))
         + (SELECT count(*) FROM reservation WHERE state = 'held')"""


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


class Director:
    """Deals the plan and waits for the ends."""

    def __init__(self, stage: Stage, pace: Pace, plan: Plan, say: Callable[[str], None]) -> None:
        self._stage = stage
        self._pace = pace
        self._plan = plan
        self._say = say
        self.dealt: list[Dealt] = []
        self.late_innocent: list[str] = []
        self.refused: list[tuple[str, str]] = []

    def warm_up(self) -> None:
        """Have a few orders paid first: then every consumer has its partitions, and the run begins in peace."""
        for order in self._stage.script.more("warm-up", WARM_UP):
            self._stage.shop.confirm(order)
        self._stage.shop.outlet.wait(REST_S)
        self._await(innocent=False)

    def deal_all(self) -> None:
        """Deal every wave, each once everything of the one before has ended."""
        waves = [*self._plan.waves, *self._plan.last]
        for number, wave in enumerate(waves):
            self._pace.plan(sum(later.seconds for later in waves[number:]))
            self._deal(wave)
            told = ", ".join(f"{d.title} {d.ended_at - d.begun_at:.0f} s" for d in self.dealt[-len(wave.faults) :])
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
            self.refused += pass_over(self._stage)
            for dealt in self.dealt:
                if dealt.fault.kind == "unreadable":
                    dealt.ended_at = unix_s()
        self._say("waiting for rest")
        self._await(innocent=False)
        self._say("two operators redrive every dead letter at once")
        self.refused += redrive_all(self._stage)
        self._await(innocent=False)

    def _deal(self, wave: Wave) -> None:
        dealing = [threading.Thread(target=self._deal_one, args=(fault,), daemon=True) for fault in wave.faults]
        for thread in dealing:
            thread.start()
        for thread in dealing:
            thread.join()

    def _deal_one(self, fault: Fault) -> None:
        scene = Scene(self._stage, fault, random.Random(f"fault {fault.number} of {self._plan.seed}"))
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
        self.dealt.append(Dealt(fault, begun_at, unix_s(), scene.places, scene.notes, error))

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
