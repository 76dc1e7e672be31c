"""A take-over runs alone: whoever decides, sends or consumes meanwhile would decide on half of an order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import psycopg

from consumers.adapters.kafka.group_wire import GroupWire
from deploy.consuming import consumed_with
from deploy.failures import Failure, listed
from deploy.presence import BEAT_S
from deploy.settings import Settings
from outbox.operators.taking_over import Words, said_since, who_works, words
from schemas.topics import topic_name

LOCK_NAME: Final = "payments take-over"
"""The name of its sessions, and of the advisory lock that the second one of two does not get."""
_LOCK: Final = "SELECT pg_try_advisory_lock(hashtext(%s))"
_UNLOCK: Final = "SELECT pg_advisory_unlock(hashtext(%s))"
_SHOWN_MAX: Final = 5
_COMMANDS: Final = "payments "
_LATE_S: Final = 3.0
_LOOK_S: Final = 0.5


@asynccontextmanager
async def alone(settings: Settings, connection: psycopg.AsyncConnection[Any]) -> AsyncIterator["Watch"]:
    """Keep other take-overs out for the length of a block. Raises Failure while anybody else works.

    Yields what notices who begins meanwhile. connection: in autocommit, of the name LOCK_NAME.
    """
    before, roles = await words(connection)
    await _refuse_consumers(settings)
    busy = await who_works(connection, [LOCK_NAME])
    if busy:
        raise Failure(
            f"processes of ours are at work, so nothing was taken over: {listed(busy, _SHOWN_MAX)}. Stop `payments "
            "consume`, `relay`, `sweep`, `webhooks` and `up` everywhere; a lease ends by itself within its time"
        )
    row = await (await connection.execute(_LOCK, [LOCK_NAME])).fetchone()
    assert row is not None
    if not row[0]:
        raise Failure("another take-over is running: wait for its end")
    try:
        # Commands, as this one, say once only that they run.
        repeats = any(not each.startswith(_COMMANDS) for each in roles.values())
        yield await _refuse_living(connection, before, wait_s=BEAT_S + _LATE_S if repeats else 0.0)
    finally:
        if not connection.closed:
            await connection.execute(_UNLOCK, [LOCK_NAME])


class Watch:
    """Notices processes that begin while a take-over runs. words: of before."""

    def __init__(self, words: Words) -> None:
        self._words = words

    async def refuse(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Raise Failure if a process has said since then that it runs. Before a commit: nothing of it is kept then."""
        began = await said_since(connection, self._words)
        if began:
            raise Failure(
                f"processes of ours have begun meanwhile: {listed(began, _SHOWN_MAX)}. What was taken over so far "
                "stays. Stop them, then run this again: it goes on"
            )


async def _refuse_living(connection: psycopg.AsyncConnection[Any], before: Words, wait_s: float) -> Watch:
    """Wait until each process that seems to run would have said so again; raise Failure if one has.

    So one is found whose sessions have another name, and one that is remembered from before the loss is not.
    """
    until = asyncio.get_running_loop().time() + wait_s
    while True:
        living = await said_since(connection, before)
        if living:
            raise Failure(
                f"processes of ours are at work, so nothing was taken over: {listed(living, _SHOWN_MAX)}. Stop them"
            )
        if asyncio.get_running_loop().time() >= until:
            return Watch(before)
        await asyncio.sleep(_LOOK_S)


async def _refuse_consumers(settings: Settings) -> None:
    prefix = settings.topic_prefix
    in_use: list[str] = []
    for reaction in consumed_with(settings):
        wire = GroupWire(topic_name(prefix, reaction.trigger.TYPE), prefix + reaction.group, settings.kafka_options())
        try:
            if await wire.members():
                in_use.append(prefix + reaction.group)
        finally:
            await wire.close()
    if in_use:
        raise Failure(
            f"consumers run, so nothing was taken over: {listed(in_use, _SHOWN_MAX)} have members. Stop `payments "
            "consume` and `payments up` everywhere; one that was killed counts for 10 s more"
        )
