"""A take-over runs alone: whoever decides, sends or consumes meanwhile would decide on half of an order."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import psycopg

from consumers.adapters.kafka.group_wire import GroupWire
from deploy.consuming import consumed_with
from deploy.failures import Failure, listed
from deploy.settings import Settings
from outbox.operators.taking_over import who_works
from schemas.topics import topic_name

LOCK_NAME: Final = "payments take-over"
"""The name of its sessions, and of the advisory lock that the second one of two does not get."""
_LOCK: Final = "SELECT pg_try_advisory_lock(hashtext(%s))"
_UNLOCK: Final = "SELECT pg_advisory_unlock(hashtext(%s))"
_SHOWN_MAX: Final = 5


@asynccontextmanager
async def alone(settings: Settings, connection: psycopg.AsyncConnection[Any]) -> AsyncIterator[None]:
    """Keep other take-overs out for the length of a block. Raises Failure while anybody else works.

    connection: in autocommit, of the name LOCK_NAME.
    """
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
        yield
    finally:
        if not connection.closed:
            await connection.execute(_UNLOCK, [LOCK_NAME])


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
