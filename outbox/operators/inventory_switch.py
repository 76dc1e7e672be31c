"""Which inventory the goods of unfinished orders are in: it must not be changed under them. Changes nothing."""

from typing import Final, LiteralString, NamedTuple

from outbox.driver.conninfo import connect_now

_MADE_ELSEWHERE: Final[LiteralString] = """
    EXISTS (SELECT FROM operation o
             WHERE o.order_number = r.order_number AND o.attempt = r.attempt AND o.kind = 'reserve')"""
_HELD: Final[LiteralString] = """
    SELECT order_number, attempt, order_id FROM reservation WHERE state = 'held' AND NOT pinned
    UNION ALL
    SELECT r.order_number, r.attempt, r.order_id FROM operation p JOIN reservation r USING (order_number, attempt)
     WHERE p.state IN ('open', 'pending', 'unknown') AND p.kind NOT IN ('release', 'extend', 'restock')
       AND r.state = 'held' AND r.pinned"""
"""By the small indexes of holds that can run out, and of unfinished operations."""
_IN_USE: Final[LiteralString] = f"""
    WITH held AS ({_HELD})
    SELECT (SELECT r.order_id FROM held r WHERE NOT {_MADE_ELSEWHERE} LIMIT 1),
           coalesce((SELECT r.order_id FROM held r WHERE {_MADE_ELSEWHERE} LIMIT 1),
                    (SELECT order_id FROM operation
                      WHERE state IN ('open', 'pending', 'unknown')
                        AND kind IN ('reserve', 'confirm', 'release', 'extend', 'restock') LIMIT 1))"""  # noqa: S608 - literals only


class InUse(NamedTuple):
    """An order whose goods are in the internal inventory, and one whose goods are elsewhere; None: there is none."""

    internal: str | None
    elsewhere: str | None


def inventory_in_use(url: str) -> InUse:
    """Return an order of each kind. Raises psycopg's errors."""
    with connect_now(url) as connection:
        row = connection.execute(_IN_USE).fetchone()
    assert row is not None
    return InUse(*row)
