"""How far a database may be migrated now: past expansions always, past a contraction if no process needs what goes."""

from collections.abc import Collection
from typing import Any, Final

import psycopg

from domain.errors import Permanent
from outbox.schema.presence import (
    Running,
    all_of,
    forget_ended,
    hold_back_starts,
    running_before,
    sessions_of_ours,
)
from outbox.schema.state import SchemaState, state_over
from outbox.schema.steps import Kind, Step, steps

FIRST_ANNOUNCED: Final = "0018"
"""From this schema on processes say in a table that they run."""
NAMED_MAX: Final = 5


def expansion(connection: psycopg.Connection[Any]) -> str | None:
    """Return the last revision that leaves older releases at work; None if there is nothing to do.

    In a database without tables that is head: nobody uses it. Raises Permanent if this release needs a contraction
    first, or cannot work with what a newer one left.
    """
    state = state_over(connection, steps())
    if state.revision is None:
        return state.head
    _refuse_too_new(state)
    first = next(iter(state.pending_contracts), None)
    if first is None:
        return state.pending[-1].revision if state.pending else None
    if state.too_old and first.revision <= state.needed:
        named = ", ".join(step.revision for step in state.pending_contracts)
        raise Permanent(
            f"the schema is at revision {state.revision}, and older releases do not work after {named}. Nothing is "
            "changed. Stop their processes, all of them, then run `payments migrate --contract`; or go by way of the "
            "releases between, one after the other (deploy/UPGRADING.md)"
        )
    before = [step for step in state.pending if step.revision < first.revision]
    return before[-1].revision if before else None


def contraction(
    connection: psycopg.Connection[Any],
    ended: Collection[str] = (),
    *,
    alone: bool = False,
    chain: tuple[Step, ...] | None = None,
) -> str | None:
    """Return head, if no process of an older release runs; None if there is nothing to do.

    ended: names of processes that a person knows are gone, or what `all_of` says of a host. alone: nobody else can
    have begun, for the server is ours and has just started. chain: the migrations, those of this release unless given.
    Raises Permanent that names what runs.
    """
    hold_back_starts(connection)
    state = state_over(connection, chain or steps())
    if state.revision is None:
        return state.head
    _refuse_too_new(state)
    contracts = [step for step in state.pending if step.kind is Kind.CONTRACT]
    if contracts and not alone:
        if state.revision < FIRST_ANNOUNCED:
            _refuse_sessions(connection)
        else:
            _refuse_older(running_before(connection, contracts[-1].oldest, ended))
    if state.revision >= FIRST_ANNOUNCED:
        forget_ended(connection, ended)
    return state.head if state.pending else None


def _refuse_too_new(state: SchemaState) -> None:
    if state.too_new:
        raise Permanent(
            f"the schema is at revision {state.revision} of a newer release, which has taken away what this one needs: "
            "run the newer release"
        )


def _refuse_older(running: list[Running]) -> None:
    if not running:
        return
    told = [*_tell_living(running), *_tell_silent(running)]
    more = f"; and {len(told) - NAMED_MAX} more" if len(told) > NAMED_MAX else ""
    text = (
        f"{len(running)} of an older release may still use what would be taken away: {'; '.join(told[:NAMED_MAX])}"
        f"{more}. Nothing is changed. Restart them with this release, then run this again"
    )
    silent = [process for process in running if process.silent_s >= 0]
    if silent:
        text += (
            ". A silent one is killed, frozen or cut off: see that it has ended, then say so with "
            f"--ended {_named(_together(silent)[0])}"
        )
    raise Permanent(text)


def _tell_living(running: list[Running]) -> list[str]:
    return [f"{p.name} ({p.roles} of {p.release})" for p in running if p.silent_s < 0]


def _tell_silent(running: list[Running]) -> list[str]:
    """Tell those that were killed: each start of a process that ends at once leaves a row, so a host is told once."""
    lines = []
    for group in _together([process for process in running if process.silent_s >= 0]):
        one, silent_s = group[0], min(process.silent_s for process in group)
        last = "silent" if len(group) == 1 else f"{len(group)} starts, the last silent"
        lines.append(f"{_named(group)} ({one.roles} of {one.release}, {last} for {silent_s:.0f} s)")
    return lines


def _together(silent: list[Running]) -> list[list[Running]]:
    """Return the silent ones of each host that did the same in the same release."""
    groups: dict[tuple[str, str, str], list[Running]] = {}
    for process in silent:
        groups.setdefault((process.host, process.roles, process.release), []).append(process)
    return list(groups.values())


def _named(group: list[Running]) -> str:
    return group[0].name if len(group) == 1 else f"'{all_of(group[0].host)}'"


def _refuse_sessions(connection: psycopg.Connection[Any]) -> None:
    if sessions := sessions_of_ours(connection):
        named = ", ".join(f"{name} (pid {pid})" for name, pid in sessions[:NAMED_MAX])
        raise Permanent(
            f"{len(sessions)} sessions may be of an older release: {named}. Nothing is changed. Stop its processes, "
            "then run this again. End those of a pooler, too: it keeps them open under the name of their last user"
        )
