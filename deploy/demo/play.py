"""One run from beginning to end: set up, publish, watch, audit, compare, take down."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from deploy import telemetry
from deploy.auditing import run_audit
from deploy.contracts import codec_of
from deploy.demo.mailbox import Mail
from deploy.demo.script import Script, ScriptedOrder
from deploy.demo.show import Show
from deploy.demo.standing import SetUp, Stage
from deploy.demo.telling import Told, count_waiting, read_told
from deploy.demo.traffic import QUIET_S, Progress, Traffic
from deploy.demo.verdict import Evidence, Verdict, judge
from deploy.demo.watch import Observed, Watcher
from deploy.playbank.ledger import SandboxLedger
from deploy.processes import leaves
from deploy.running import Stopping, run
from deploy.stockhouse.client import StockhouseClient
from deploy.views.timeline import JournalEvent, decode_journal
from deploy.wiring import store_of
from domain.ids import OrderId
from domain.order import Order
from outbox.audit import Report
from outbox.operators.queries import OrderRows, order_list, read_order, snapshot

LOOK_S: Final = 0.1
AUDIT_WAIT_S: Final = 30.0
MAILS_S: Final = 60.0
LOAD_MAX: Final = 1_000
ORDERS_MAX: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Played:
    """All results of a run.

    shown: one order of each kind, with its rows and events. told, mails: what customers were to be told, and what came.
    log: the pipeline's.
    """

    script: Script
    progress: Progress
    verdict: Verdict
    audit: Report
    observed: Observed
    told: Sequence[Told]
    mails: Sequence[Mail]
    shown: list[tuple[ScriptedOrder, OrderRows, list[JournalEvent]]]
    log: str
    kafka: str
    postgresql: str

    @property
    def good(self) -> bool:
        """Whether every order ended as its script says, and every invariant holds."""
        return not self.verdict.wrong and self.audit.quiescent and all(i.holds for i in self.audit.invariants)


def play(script: Script, show: Show, set_up: SetUp, *, quiet_s: float = QUIET_S) -> Played:
    """Play a script on what set_up makes; that is gone when this returns or raises.

    quiet_s: once every order has an outcome, wait so long after the last event for what else the script says.
    SIGINT and SIGTERM raise KeyboardInterrupt, after everything was taken down. Raises EmbeddedError when a server
    cannot be started.
    """
    telemetry.configure("console", "ERROR", library_level="CRITICAL")
    with Stopping(_interrupt), set_up(show, script) as stage:
        try:
            return run(_perform(script, stage, show, quiet_s))
        except ExceptionGroup as group:
            raise next(leaves(group)) from group


async def _perform(script: Script, stage: Stage, show: Show, quiet_s: float) -> Played:
    codec = codec_of(stage.settings)
    traffic = Traffic(script, stage.settings, codec, quiet_s=quiet_s)
    watcher = Watcher(stage.settings, codec, traffic.note)
    await watcher.start()
    try:
        await _advance(traffic, watcher, len(script.orders), show)
    finally:
        await watcher.close()
    also = " and the inventory's holds" if script.elsewhere else ""
    with show.step(f"the audit: invariants against the database, the topics, the gateway's ledger{also}") as step:
        report = await run_audit(stage.settings, topics=True, wait_s=AUDIT_WAIT_S, progress=step.tell)
        broken = sum(not invariant.holds for invariant in report.invariants)
        step.done(f"the audit: {len(report.invariants) - broken} of {len(report.invariants)} invariants hold")
    with show.step("mails to the customers") as step:
        told = await _told(stage)
        mails = list(stage.mailbox.mails)
        step.done(f"{len(mails)} mails came, {len(told)} were to be sent")
    evidence = Evidence(
        await _orders(stage),
        await SandboxLedger(stage.gateway).entries(),
        watcher.observed,
        await _goods(stage),
        told,
        mails,
    )
    verdict = judge(script, evidence)
    return Played(
        script=script,
        progress=traffic.progress,
        verdict=verdict,
        audit=report,
        observed=watcher.observed,
        told=told,
        mails=mails,
        shown=_read_shown(script, stage),
        log=stage.last_words(),
        kafka=stage.kafka,
        postgresql=stage.postgresql,
    )


async def _advance(traffic: Traffic, watcher: Watcher, total: int, show: Show) -> None:
    """Publish and watch until every order has ended, and show the progress."""
    progress, observed = traffic.progress, watcher.observed
    began_s = time.monotonic()

    def line() -> tuple[int, str]:
        outcomes = ("PaidAndConfirmed", "PaymentFailed", "OrderCancelled")
        paid, failed, cancelled = (_count(observed, name) for name in outcomes)
        authorized, reserved = (len(observed.passed[name]) for name in ("PaymentAuthorized", "ItemsReserved"))
        return progress.ended, (
            f"{progress.published:>{len(str(total))}} confirmed · {authorized} authorized · {reserved} reserved · "
            f"{paid} paid · {failed} failed · {cancelled} cancelled · {time.monotonic() - began_s:.0f} s"
        )

    with show.step(f"{total} orders") as step:
        with show.orders(total, line) as look:
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(watcher.run())
                playing = group.create_task(traffic.run(observed))
                while not playing.done():
                    await asyncio.wait([playing], timeout=LOOK_S)
                    look()
                watching.cancel()
        step.done(line()[1].lstrip())


def _count(observed: Observed, event_type: str) -> int:
    return sum(any(seen.event_type == event_type for seen in events) for events in observed.events.values())


async def _told(stage: Stage) -> list[Told]:
    """Wait until every message to a customer is sent, for MAILS_S at the most; return what was to be sent."""
    end = time.monotonic() + MAILS_S
    while True:
        with snapshot(stage.settings.sqlalchemy_url()) as connection:
            if not count_waiting(connection) or time.monotonic() > end:
                return read_told(connection)
        await asyncio.sleep(LOOK_S)


async def _goods(stage: Stage) -> Mapping[str, Any] | None:
    """Read the inventory's ledger, if the stock is there."""
    if stage.inventory is None:
        return None
    return await StockhouseClient(stage.inventory).ledger()


async def _orders(stage: Stage) -> dict[OrderId, Order]:
    """Load every order."""
    found: dict[OrderId, Order] = {}
    with snapshot(stage.settings.sqlalchemy_url()) as connection:
        ids = [OrderId(row["order_id"]) for row in order_list(connection, None, ORDERS_MAX)]
    async with store_of(stage.settings) as store:
        for start in range(0, len(ids), LOAD_MAX):
            async with store.transaction() as transaction:
                found |= await transaction.load(ids[start : start + LOAD_MAX])
    return found


def _read_shown(script: Script, stage: Stage) -> list[tuple[ScriptedOrder, OrderRows, list[JournalEvent]]]:
    """Read one order of each kind that is shown. For gateway trouble prefer a time-out."""
    chosen: dict[str, ScriptedOrder] = {}
    for order in script.orders:
        timed_out = any("timeout_after" in token for token in order.story.tokens)
        if order.kind.shown and (order.kind.title not in chosen or timed_out):
            chosen[order.kind.title] = order
    codec = codec_of(stage.settings)
    found = []
    with snapshot(stage.settings.sqlalchemy_url()) as connection:
        for order in sorted(chosen.values(), key=lambda order: script.kinds.index(order.kind)):
            stored = read_order(connection, order.order_id)
            if stored is not None:
                found.append((order, stored, decode_journal(stored, stage.settings.topic_prefix, codec.decode)))
    return found


def _interrupt() -> None:
    """Have everything taken down. After a second signal the guard process does it."""
    raise KeyboardInterrupt
