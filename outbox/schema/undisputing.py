"""Lets orders be refunded again that a dispute of an older attempt still blocks, beside the running processes.

Releases before 0020 took a dispute of any attempt for one of the current payment, and kept that with the order until a
dispute was heard again. `payments migrate` counts it anew, once, after the schema, from the table of disputes.
"""

from typing import Final

from sqlalchemy import Engine, text

from outbox.driver.engine import engine_for

SLICE: Final = 500
"""Orders in one transaction."""
DONE: Final = "disputes counted by attempt"
"""The name of the mark that says so."""

_IS_DONE: Final = "SELECT FROM low_water WHERE name = :name"
_NOTE: Final = "INSERT INTO low_water (name, at) VALUES (:name, now()) ON CONFLICT DO NOTHING"
_OF_OLDER: Final = """
    FROM orders o
   WHERE o.order_number > :after AND o.disputed
     AND EXISTS (SELECT FROM dispute d WHERE d.order_number = o.order_number)
     AND NOT EXISTS (SELECT FROM dispute d
                      WHERE d.order_number = o.order_number AND d.attempt = o.attempt AND NOT d.refundable)"""
"""As domain.disputes says. The table of disputes is small: the planner begins there."""
_MEND: Final = f"""
    WITH wrong AS (SELECT o.order_number {_OF_OLDER} ORDER BY o.order_number LIMIT :slice FOR UPDATE OF o SKIP LOCKED),
         mended AS (UPDATE orders o SET disputed = false FROM wrong w WHERE o.order_number = w.order_number
                    RETURNING o.order_number)
    SELECT count(*), coalesce(max(order_number), 0) FROM mended"""  # noqa: S608 - literals only
_LEFT: Final = f"SELECT count(*) {_OF_OLDER}"


def count_disputes_anew(url: str, slice_orders: int = SLICE) -> tuple[int, int]:
    """Return how many orders were mended, and how many are left, for somebody holds their rows: the next run goes on.

    Nothing is done if a run before left none. url: postgresql+psycopg://... slice_orders: in one transaction.
    """
    engine = engine_for(url)
    try:
        with engine.begin() as connection:
            if connection.execute(text(_IS_DONE), {"name": DONE}).first() is not None:
                return 0, 0
        mended = _mend_all(engine, slice_orders)
        with engine.begin() as connection:
            left = connection.execute(text(_LEFT), {"after": 0}).scalar_one()
            if not left:
                connection.execute(text(_NOTE), {"name": DONE})
    finally:
        engine.dispose()
    return mended, left


def _mend_all(engine: Engine, slice_orders: int) -> int:
    mended = after = 0
    while True:
        with engine.begin() as connection:
            count, last = connection.execute(text(_MEND), {"after": after, "slice": slice_orders}).one()
        if not count:
            return mended
        mended, after = mended + count, last
