"""Finds the order of a gateway's id. There is no index, for it would cost every order: a query reads all rows."""

from typing import Final, LiteralString

import psycopg

from domain.errors import TooMuch
from domain.ids import OrderId
from outbox.driver.connections import begin
from outbox.store.transaction import PgTransaction

SCAN_MAX_S: Final = 100.0
"""Shorter than the time after which a server counts as standing still."""
_LOCK: Final[LiteralString] = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
_SCANNING: Final[LiteralString] = (
    "SELECT set_config('enable_seqscan', 'on', true), set_config('statement_timeout', %s, true)"
)
_OWNER: Final[LiteralString] = """
    SELECT order_id FROM attempt
     WHERE order_id <> %s AND (transaction_id = %s OR refund_id = %s)
    UNION ALL
    SELECT order_id FROM operation
     WHERE order_id <> %s AND (transaction_id = %s OR reference = %s)
     LIMIT 1"""


async def other_owner(transaction: PgTransaction, reference: str, order_id: OrderId) -> OrderId | None:
    """Return another order that has this id of the gateway, as a transaction or as a refund.

    Others who ask about the same id wait until this transaction ends. So if two orders are to get the same id at once,
    the second sees the first. Call it before locking the order: the scan may take long. Raises TooMuch after
    SCAN_MAX_S.
    """
    connection = await transaction.plain()
    await begin(connection)
    # A query, which never waits for the next one: a lock that is taken inside the savepoint ends with it.
    await transaction.query(_LOCK, [f"payments.reference {reference}"])
    try:
        # The scan's settings end with the savepoint; the rest of the transaction has our usual ones.
        async with connection.transaction(force_rollback=True):
            await transaction.execute(_SCANNING, [f"{SCAN_MAX_S:.0f}s"])
            found = await transaction.query(_OWNER, [order_id, reference, reference] * 2)
    except psycopg.errors.QueryCanceled as error:
        raise TooMuch(
            f"PostgreSQL did not find out within {SCAN_MAX_S:.0f} s whether {reference} is another order's; "
            "nothing was done: try again when the database is less busy"
        ) from error
    return OrderId(found[0][0]) if found else None
