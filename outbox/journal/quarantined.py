"""How much came into quarantine lately: what stops a process, whether it decides or relays."""

from typing import Any, Final, LiteralString

import psycopg

_LATELY: Final[LiteralString] = """
    SELECT (SELECT count(*) FROM dead_letter
             WHERE reason = 'quarantined' AND NOT behind AND first_at > now() - interval '10 minutes')
         + (SELECT count(*) FROM quarantine WHERE at > now() - interval '10 minutes')"""


async def lately(connection: psycopg.AsyncConnection[Any]) -> int:
    """Count what all processes put there in the last ten minutes, without messages that wait behind others."""
    ((count,),) = await (await connection.execute(_LATELY)).fetchall()
    return int(count)
