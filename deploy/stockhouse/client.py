"""What a play asks of the inventory sandbox besides the contract: fill it, break it, read its ledger."""

from collections.abc import Mapping
from typing import Any, Final

import aiohttp

from domain.errors import Transient

TIMEOUT_S: Final = 60.0


class StockhouseClient:
    """The sandbox's own endpoints. url: without a slash at its end. All raise Transient if it does not answer."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/inventory"

    async def set_stock(self, units: Mapping[str, int]) -> None:
        """Have so many whole units of each SKU free."""
        await self._ask("PUT", "stock", {"available": dict(units)})

    async def set_faults(self, **faults: Any) -> None:
        """Set the faults of all calls, as `POST /inventory/faults` takes them."""
        await self._ask("POST", "faults", faults)

    async def ledger(self) -> dict[str, Any]:
        """Return what truly happened."""
        found = await self._ask("GET", "ledger")
        assert isinstance(found, dict)
        return found

    async def _ask(self, method: str, name: str, body: Any = None) -> Any:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.request(method, f"{self._url}/{name}", json=body) as answer,
            ):
                answer.raise_for_status()
                return await answer.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as lost:
            raise Transient(f"The inventory sandbox does not answer at {self._url}: start it.") from lost
