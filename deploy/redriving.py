"""Redrives letters in the right order, by the plan transaction of their consumer. Needs no Kafka and no gateway."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple, NoReturn

from consumers.runtime.ports import Ports
from consumers.runtime.redriving import Outcome, Redriver
from deploy.bounds import bounds_of
from deploy.consuming import consumed_with
from deploy.contracts import codec_of
from deploy.inventories import local_of
from deploy.notifying import notifier_of
from deploy.settings import Settings
from deploy.tracing.instruments import tracer_of
from deploy.wiring import rules_of, store_of
from domain.ports.gateway import Gateway
from outbox.operators.letter_list import LETTER, Selection, in_order, letter_list
from outbox.operators.queries import Record, snapshot

ROUNDS_MAX: Final = 20
"""New messages of the order may wait behind its letters: they are redriven in the next round."""


class Redriven(NamedTuple):
    """A letter as it was before, and its outcome."""

    record: Record
    outcome: Outcome


class _NoGateway:
    """A gateway that must not be called."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(f"a redrive calls no gateway ({name})")


@asynccontextmanager
async def redriver_of(settings: Settings, *, by: str, dry_run: bool) -> AsyncIterator[Redriver]:
    """Make a Redriver, which redrives one letter at a time; closed at the end."""
    codec = codec_of(settings)
    async with store_of(settings, codec) as store:
        gateway: Gateway = _NoGateway()
        local, tracer = local_of(settings), tracer_of(settings, None)
        ports = Ports(store, gateway, local, notifier_of(settings), codec.decode, codec, tracer=tracer)
        # Not those that these settings have no work for.
        reactions = {reaction.name: reaction for reaction in consumed_with(settings)}
        yield Redriver(ports, reactions, rules_of(settings), bounds_of(settings), by=by, dry_run=dry_run)


async def redrive_letters(
    settings: Settings,
    records: Sequence[Record],
    *,
    by: str,
    dry_run: bool,
    whole_orders: bool,
    progress: Callable[[Redriven], None] = lambda _: None,
) -> list[Redriven]:
    """Redrive these letters, those of each order as they came; return the outcome of each.

    whole_orders: also redrive what has come to wait behind them. Raises Transient when a service does not answer.
    """
    done: list[Redriven] = []

    def note(one: Redriven) -> None:
        done.append(one)
        progress(one)

    async with redriver_of(settings, by=by, dry_run=dry_run) as redriver:
        for of_order in in_order(records):
            await _redrive_order(redriver, of_order, dry_run=dry_run, note=note)
            order_id = of_order[0]["order_id"]
            if whole_orders and not dry_run and order_id is not None:
                await _follow(settings, redriver, order_id, {record["id"] for record in of_order}, note)
    return done


async def _redrive_order(
    redriver: Redriver, records: Sequence[Record], *, dry_run: bool, note: Callable[[Redriven], None]
) -> None:
    """Redrive the letters of one order. One that waits behind another of them is tried again after that one."""
    left = list(records)
    tried: dict[str, Outcome] = {}
    while left:
        blocked: list[Redriven] = []
        for record in left:
            outcome = await _one(redriver, record)
            if dry_run and outcome.ahead in tried:
                # Another one between the two may stay in quarantine as well.
                ahead = next((name for name, one in tried.items() if one.holds), outcome.ahead)
                outcome = _would_follow(ahead, tried[ahead])
            if outcome.ahead is not None:
                blocked.append(Redriven(record, outcome))
            else:
                tried[str(record["id"])] = outcome
                note(Redriven(record, outcome))
        if len(blocked) == len(left):
            for one in blocked:
                note(one)
            return
        left = [one.record for one in blocked]


def _would_follow(ahead: str, first: Outcome) -> Outcome:
    """Return what a dry run says of a letter behind another one. first: the outcome of that one."""
    if first.holds:
        return Outcome(done=False, result=f"would wait behind {ahead}", holds=True)
    if not first.done:
        return Outcome(done=False, result=f"would go after {ahead}; what comes of it then cannot be told before")
    return Outcome(done=True, result=f"goes after {ahead}")


async def _follow(
    settings: Settings, redriver: Redriver, order_id: str, seen: set[object], note: Callable[[Redriven], None]
) -> None:
    """Redrive letters of this order that have come to wait while the others were redriven."""
    for _ in range(ROUNDS_MAX):
        with snapshot(settings.sqlalchemy_url()) as connection:
            found = letter_list(connection, Selection(order_id=order_id, undone=True))
        fresh = [record for record in found if record["waits"] and record["behind"] and record["id"] not in seen]
        if not fresh:
            return
        seen |= {record["id"] for record in fresh}
        for of_order in in_order(fresh):
            await _redrive_order(redriver, of_order, dry_run=False, note=note)


async def give_up(settings: Settings, letter_id: int, reason: str, *, by: str) -> Outcome:
    """Give up a letter in quarantine: it is never processed. Raises Transient when a service does not answer."""
    async with redriver_of(settings, by=by, dry_run=False) as redriver:
        return await redriver.give_up(letter_id, reason)


async def _one(redriver: Redriver, record: Record) -> Outcome:
    if record["kind"] == LETTER:
        return await redriver.redrive(record["number"])
    return await redriver.release(record["number"])
