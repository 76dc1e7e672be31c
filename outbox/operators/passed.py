"""Operators' words to pass over what cannot be read. The consumer that waits reads them (`PostgresStore.passed`)."""

from typing import Any, Final, LiteralString, NamedTuple

import psycopg

_LOCK: Final[LiteralString] = "SELECT pg_advisory_xact_lock(hashtext('payments.passed'), hashtext(%s))"
"""If two operators say the same, the second sees the first one's word."""
_WAITING: Final[LiteralString] = """
    SELECT consumer_group, topic, topic_id, partition, from_offset, to_offset, reason, by FROM passed_stretch
     WHERE consumer_group = %s AND topic = %s AND topic_id = %s AND partition = %s AND from_offset = %s
       AND applied_at IS NULL
     ORDER BY id DESC LIMIT 1"""
_SAY: Final[LiteralString] = """
    INSERT INTO passed_stretch (consumer_group, topic, topic_id, partition, from_offset, to_offset, reason, by)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING id"""


class Passed(NamedTuple):
    """Who passes over which offsets, first and last included, and why. group: as the inbox names it."""

    group: str
    topic: str
    topic_id: str
    partition: int
    first: int
    last: int
    reason: str
    by: str


async def say_passed(connection: psycopg.AsyncConnection[Any], passed: Passed) -> int | Passed:
    """Record a word and return its id; or return an earlier word for the same offset that is not applied yet.

    An earlier word for another offset does not matter: the consumer does not wait there.
    """
    async with connection.transaction():
        await connection.execute(_LOCK, [f"{passed.topic}:{passed.partition}"])
        row = await (await connection.execute(_WAITING, passed[:5])).fetchone()
        if row is not None:
            return Passed(*row)
        ((number,),) = await (await connection.execute(_SAY, passed)).fetchall()
        return int(number)
