"""Erases the payment tokens that releases before 0015 left in rows, in small transactions beside the running processes.

`payments migrate` does it once, after the schema. Attempts whose rows are locked are passed over: whoever holds them
decides on their order, and erases the token itself. Dead letters are the sweep's.
"""

from collections.abc import Callable
from typing import Final

from sqlalchemy import Engine, text

from outbox.driver.engine import engine_for

SLICE: Final = 20_000
"""Orders in one transaction."""
DONE: Final = "tokens erased"
"""The name of the mark that says so."""

_IS_DONE: Final = "SELECT FROM low_water WHERE name = :name"
_NOTE: Final = "INSERT INTO low_water (name, at) VALUES (:name, now()) ON CONFLICT DO NOTHING"
_LAST: Final = "SELECT coalesce(max(order_number), 0) FROM orders"
_ATTEMPTS: Final = """
    WITH spent AS (
      SELECT a.order_number, a.attempt FROM attempt a JOIN orders r USING (order_number)
       WHERE a.order_number > :after AND a.order_number <= :until AND a.token IS NOT NULL
         AND NOT EXISTS (
               SELECT FROM operation o
                WHERE o.order_number = a.order_number AND o.attempt = a.attempt AND o.kind = 'authorize'
                  AND o.state IN ('open', 'unknown') AND NOT o.replayed
                  AND (r.status <> 'manual_review' OR o.due_at IS NOT NULL))
       FOR UPDATE OF a SKIP LOCKED)
    UPDATE attempt a SET token = NULL FROM spent s WHERE a.order_number = s.order_number AND a.attempt = s.attempt"""
"""As domain.erasing says."""
_COPIES: Final = """
    UPDATE event SET body = '' WHERE id IN (
      SELECT id FROM event
       WHERE order_number IS NULL AND order_version = 0 AND body <> ''
         AND (topic LIKE '%OrderConfirmed.dlt' OR topic LIKE '%PaymentRetryRequested.dlt')
         AND NOT EXISTS (SELECT FROM outbox u WHERE event.id = ANY(u.event_ids))
       LIMIT 5000)"""
"""Copies of dead letters that were sent: their letters have the bodies. One that is still to be sent is left alone."""


def erase_spent_tokens(url: str, progress: Callable[[str], None] = lambda _: None) -> int:
    """Erase them, unless that was done before; return how many rows were changed. url: postgresql+psycopg://..."""
    engine = engine_for(url)
    try:
        with engine.begin() as connection:
            if connection.execute(text(_IS_DONE), {"name": DONE}).first() is not None:
                return 0
            last = connection.execute(text(_LAST)).scalar_one()
        erased = 0
        for after in range(0, last, SLICE):
            erased += _run(engine, _ATTEMPTS, after=after, until=after + SLICE)
            if after and after % (50 * SLICE) == 0:
                progress(f"payment tokens of ended attempts: {after} of {last} orders searched")
        while changed := _run(engine, _COPIES):
            erased += changed
        with engine.begin() as connection:
            connection.execute(text(_NOTE), {"name": DONE})
    finally:
        engine.dispose()
    return erased


def _run(engine: Engine, statement: str, **values: int) -> int:
    with engine.begin() as connection:
        return connection.execute(text(statement), values).rowcount
