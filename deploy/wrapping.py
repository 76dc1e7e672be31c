"""A gateway and an inventory that pass everything on, for whoever counts or tells their calls to begin from."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from domain.news import RefundFailure, TransactionNews
from domain.notices import Notice
from domain.ports.gateway import Gateway
from domain.ports.inventory import RemoteInventory


class PassingGateway:
    """Passes on what is about no operation's call."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def late_refunds(self, since: datetime) -> AsyncIterator[Sequence[RefundFailure | Notice]]:
        """List what refunds may have changed without us."""
        return self._gateway.late_refunds(since)

    async def news_of(self, transaction_id: str, *, with_disputes: bool) -> TransactionNews | None:
        """Say all about one transaction."""
        return await self._gateway.news_of(transaction_id, with_disputes=with_disputes)

    async def close(self) -> None:
        """Close the connections."""
        await self._gateway.close()


class PassingInventory:
    """Passes on what is about no operation's call."""

    def __init__(self, inventory: RemoteInventory) -> None:
        self._inventory = inventory

    async def close(self) -> None:
        """Close the connections."""
        await self._inventory.close()
