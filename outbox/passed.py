"""Operators' words to pass over what cannot be read. The consumer that waits applies them (`store.passed`)."""

from typing import Any, Final, LiteralString, NamedTuple

import psycopg

_WAITING: Final[LiteralString] = """
    SELECT consumer_group, topic, partition, from_offset, to_offset, reason, by FROM passed_stretch
     WHERE consumer_group = %s AND topic = %s AND partition = %s AND from_offset <= %s AND to_offset >= %s
       AND applied_at IS NULL
     ORDER BY id DESC LIMIT 1"""
_SAY: Final[LiteralString] = """
    INSERT INTO passed_stretch (consumer_group, topic, partition, from_offset, to_offset, reason, by)
    VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id"""


class Passed(NamedTuple):
    """Who passes over which offsets, first and last included, and why. group: as the inbox names it."""

    group: str
    topic: str
    partition: int
    first: int
    last: int
    reason: str
    by: str


async def waiting_between(connection: psycopg.AsyncConnection[Any], passed: Passed) -> Passed | None:
    """Return an earlier word about some of these offsets that no consumer has applied yet."""
    place = [passed.group, passed.topic, passed.partition, passed.last, passed.first]
    row = await (await connection.execute(_WAITING, place)).fetchone()
    return None if row is None else Passed(*row)


async def say_passed(connection: psycopg.AsyncConnection[Any], passed: Passed) -> int:
    """Write a word down; return its id."""
    row = await (await connection.execute(_SAY, passed)).fetchone()
    assert row is not None
    return int(row[0])
