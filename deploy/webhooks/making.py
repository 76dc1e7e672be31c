"""Makes the endpoint, and the table that it keeps notices in, from settings."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from deploy.running import now
from deploy.settings import Settings, split_address
from deploy.webhooks.run import Webhooks
from domain.ports.notices import KeepsNotices
from outbox.driver.connections import Connections
from outbox.store.notices import PgNotices

NOTICE_CONNECTIONS = 2
"""One writes; a second one stands by for the moment of an outage."""


@asynccontextmanager
async def notices_of(settings: Settings) -> AsyncIterator[KeepsNotices]:
    """Open the table of notices alone, for an endpoint in a process of its own; closed at the end."""
    connections = Connections(settings.psycopg_url(), NOTICE_CONNECTIONS)
    try:
        yield PgNotices(connections)
    finally:
        await connections.close()


def webhooks_of(settings: Settings, notices: KeepsNotices, hear: Callable[[str], None]) -> Webhooks:
    """Make the endpoint for webhooks. There is at least one secret. hear: called with what became of each request."""
    host, port = split_address(settings.webhooks_listen)
    return Webhooks(notices, settings.webhook_secrets(), host, port, settings.webhook_tolerance_s, now, hear)
