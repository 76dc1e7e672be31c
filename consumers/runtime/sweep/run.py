"""Running the jobs of the sweep: each by itself, until stop is set, or all of them once."""

import asyncio
from collections.abc import Callable, Mapping

import structlog

from consumers.runtime.bounds import Bounds
from consumers.runtime.edges import Edges
from consumers.runtime.guard import Guard, Stopped
from consumers.runtime.locks import LockWatch
from consumers.runtime.ports import Ports
from consumers.runtime.quarantine import Quarantine
from consumers.runtime.settling import Settler
from consumers.runtime.sweep.approvals import Unapproved
from consumers.runtime.sweep.claims import DueOperations, DueStockCalls, WithoutKept
from consumers.runtime.sweep.delays import DelayedPayments
from consumers.runtime.sweep.early import EarlyOnes
from consumers.runtime.sweep.holds import LapsedHolds, ShortHolds
from consumers.runtime.sweep.job import Job, Tools
from consumers.runtime.sweep.messages import Sending
from consumers.runtime.sweep.notices import ListedNotices, WakeUps
from consumers.runtime.sweep.refunds import LateRefunds
from consumers.runtime.sweep.stuck import StuckOrders
from consumers.runtime.sweep.tokens import LetterTokens
from consumers.runtime.sweep.told import ToldByGateway
from consumers.runtime.waiting import pause
from domain.errors import Transient
from domain.operation import GATEWAY_KINDS, INVENTORY_KINDS
from domain.reaction import Reaction
from domain.rules import Rules


class Sweep:
    """Any number of processes may sweep: what one takes, the others skip."""

    def __init__(
        self,
        ports: Ports,
        reactions: Mapping[str, Reaction],
        rules: Rules,
        bounds: Bounds,
        guard: Guard,
        edges: Edges,
        settler: Settler,
        watch: LockWatch,
    ) -> None:
        self._interval_s = bounds.sweep_interval_s
        self._guard = guard
        self._edges = edges
        self._settler = settler
        tools = Tools(ports, reactions, rules, guard, Quarantine(ports.store, bounds.quarantine_max), watch)
        sending = _sending(tools)
        self.look_for_messages: Callable[[], None] = sending[0].wake if sending else lambda: None
        """Call it when there may be new messages to customers: they are not kept waiting for the next look."""
        self._jobs: tuple[Job, ...] = (
            LateRefunds(tools, bounds.refund_recheck_s),
            *_of_notices(tools),
            *sending,
            EarlyOnes(tools),
            LapsedHolds(tools, edges.submit),
            DelayedPayments(tools),
            Unapproved(tools),
            StuckOrders(tools),
            *_of_letters(tools, bounds),
            *_of_inventory(tools, bounds, edges, settler.without_kept),
            *(DueOperations(tools, bounds, edge, settler.without_kept) for edge in edges.of(GATEWAY_KINDS)),
        )
        self._log = structlog.get_logger("consumers.sweep")

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep until stop is set. Each job is a task, so that none waits for a slow or failing one."""
        async with asyncio.TaskGroup() as group:
            for job in self._jobs:
                group.create_task(self._repeat(job, stop))

    async def once(self) -> int:
        """Do everything that is due, and what comes of it; return the number of operations.

        Raises Transient if a job cannot be done now, after the others have been done.
        """
        total = 0
        while True:
            begun, failed = 0, None
            for job in self._jobs:
                try:
                    begun += await job.do(None)
                except Transient as error:
                    failed = failed or error
            await self.at_rest()
            if failed is not None:
                raise failed
            if begun == 0:
                return total
            total += begun

    async def at_rest(self) -> None:
        """Wait until no call runs and no answer waits. What an answer opens next is waited for, too."""
        while self._edges.busy or self._settler.busy:
            await self._edges.drain()
            await asyncio.sleep(0.01)

    async def _repeat(self, job: Job, stop: asyncio.Event) -> None:
        try:
            while not stop.is_set():
                await job.do(stop)
                # A job that has nothing to ask for a while is alive, too.
                self._guard.turn(job.name)
                await pause(stop, self._interval_s, job.woken())
            await job.end(stop)
        except Stopped:
            self._log.warning("stopped while waiting; what is due stays due", name=job.name)
        finally:
            job.break_off()
            self._guard.done(job.name)


def _sending(tools: Tools) -> list[Sending]:
    """Return the job that sends messages to customers, if they are sent at all."""
    messages, messenger = tools.ports.messages, tools.ports.messenger
    return [] if messages is None or messenger is None else [Sending(tools, messages, messenger)]


def _of_letters(tools: Tools, bounds: Bounds) -> list[Job]:
    letters = tools.ports.letters
    return [] if letters is None else [LetterTokens(tools, letters, bounds.dead_letter_token_days)]


def _of_notices(tools: Tools) -> list[Job]:
    """Return the jobs about notices. They come before the claims: `once` then performs what they make due."""
    notices, notice_list = tools.ports.notices, tools.ports.notice_list
    if notices is None:
        return []
    listing = [ListedNotices(tools, notices, notice_list)] if notice_list is not None else []
    return [*listing, WakeUps(tools, notices), ToldByGateway(tools, notices)]


def _of_inventory(tools: Tools, bounds: Bounds, edges: Edges, without_kept: WithoutKept) -> list[Job]:
    """Return the jobs for an inventory elsewhere."""
    jobs: list[Job] = []
    for edge in edges.of(INVENTORY_KINDS):
        jobs += [ShortHolds(tools, edges.submit), DueStockCalls(tools, bounds, edge, without_kept)]
    return jobs
