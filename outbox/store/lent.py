"""A transaction of its own on a lent connection, for tables that no order is decided by."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg

from outbox.driver.connections import Connections, begin
from outbox.driver.session import Session
from outbox.store.faults import in_domain


@asynccontextmanager
async def lent_transaction(connections: Connections) -> AsyncIterator[Session]:
    """Lend a connection in a transaction that is committed at the end; errors become the domain's."""
    try:
        async with connections.lend() as connection:
            await begin(connection)
            yield connection
            await connection.commit()
    except psycopg.Error as error:
        raise in_domain(error, contended=False) from error
