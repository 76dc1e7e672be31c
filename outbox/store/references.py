"""Whose the gateway's ids are. No index knows them, for it would cost every order: who asks has all of them read."""

from typing import Final, LiteralString

import psycopg

from domain.errors import TooMuch
from domain.ids import OrderId
from outbox.driver.connections import begin
from outbox.store.transaction import PgTransaction

SCAN_MAX_S: Final = 100.0
"""Shorter than the time after which a transaction counts as one whose server stands still."""
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

    Until the transaction ends nobody else asks about the same id: of two orders that are to be given it at once, the
    second sees the first. Ask before locking the order: a scan may take long. Raises TooMuch if it takes too long.
    """
    connection = transaction.connection
    await begin(connection)
    await transaction.execute(_LOCK, [f"payments.reference {reference}"])
    try:
        # What is set for the scan ends with the savepoint, and the rest of the transaction has our own settings again.
        async with connection.transaction(force_rollback=True):
            await transaction.execute(_SCANNING, [f"{SCAN_MAX_S:.0f}s"])
            found = await transaction.query(_OWNER, [order_id, reference, reference] * 2)
    except psycopg.errors.QueryCanceled as error:
        raise TooMuch(
            f"PostgreSQL did not find out within {SCAN_MAX_S:.0f} s whether {reference} is another order's; "
            "nothing was done: try again when it has less to do"
        ) from error
    return OrderId(found[0][0]) if found else None
