"""The inventory's list of holds, page by page. What is not exactly by the contract is an error, not a hold."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from consumers.adapters.inventory.http_forms import moment_of
from consumers.adapters.inventory.http_outcomes import Reply, check_allowed, moment, word_of
from consumers.adapters.inventory.http_requests import HttpRequests
from domain.errors import DownForEverybody, Transient
from domain.ids import ReservationId
from domain.ports.inventory_lists import ListedHold, TheirState
from schemas.fields import LINES_MAX, SKU_LENGTH_MAX

TRIES_MAX: Final = 5
PAUSE_S: Final = 0.5
PAUSE_MAX_S: Final = 30.0
PAGES_MAX: Final = 10_000_000
NEXT_LENGTH_MAX: Final = 255
ORDER_ID_LENGTH_MAX: Final = 64
UNITS_MAX: Final = 2**53 - 1


class HttpLists:
    """`InventoryLists` over HTTP. url: without a slash at its end. timeout_s bounds one page. Close it at the end.

    pause_s: before the second try of a page; then twice as long each time, unless the inventory says how long.
    """

    def __init__(
        self, url: str, token: str | None = None, *, timeout_s: float = 10.0, pause_s: float = PAUSE_S
    ) -> None:
        self._pause_s = pause_s
        self._requests = HttpRequests(url, token, at_once=1, timeout_s=timeout_s)

    async def holds(self, since: datetime | None) -> AsyncIterator[Sequence[ListedHold]]:
        """Yield the pages. Raises Transient if one cannot be had, or does not follow the contract."""
        query = {} if since is None else {"since": moment_of(since)}
        for _ in range(PAGES_MAX):
            page, after = await self._page("/v1/holds", query, _read_holds)
            yield page
            if after is None:
                return
            if after == query.get("after"):
                raise Transient("the inventory's list of holds does not go on: a page names itself as the next one")
            query["after"] = after
        raise Transient(f"the inventory's list of holds has more than {PAGES_MAX} pages")

    async def close(self) -> None:
        """Close the connections."""
        await self._requests.close()

    async def _page(
        self, path: str, query: Mapping[str, str], read: Callable[[Any], tuple[Sequence[ListedHold], str | None] | None]
    ) -> tuple[Sequence[ListedHold], str | None]:
        """Ask for a page until it comes, TRIES_MAX times at the most."""
        said, pause_s = "", self._pause_s
        for number in range(1, TRIES_MAX + 1):
            came = await self._requests.send("GET", f"{path}?{urlencode(query)}" if query else path)
            wait_s = None
            if isinstance(came, Reply):
                word = word_of(came)
                try:
                    check_allowed(came, word)
                except DownForEverybody as down:
                    raise Transient(str(down)) from None
                page = read(came.body) if came.status == 200 else None
                if page is not None:
                    return page
                said = f"HTTP {came.status} {word or 'in a form that the contract does not have'}"
                wait_s = came.retry_after_s
                if came.status in {400, 404, 422}:
                    break
            else:
                said = came.detail or "no answer"
            if number < TRIES_MAX:
                await asyncio.sleep(min(pause_s if wait_s is None else wait_s, PAUSE_MAX_S))
                pause_s *= 2
        raise Transient(f"the inventory does not list its holds ({said}): check PAYMENTS_INVENTORY_URL, and try again")


def _read_holds(body: Any) -> tuple[Sequence[ListedHold], str | None] | None:
    """Read a page and where the next one begins; None if it is not by the contract."""
    if not isinstance(body, dict) or not isinstance(body.get("holds"), list) or "next" not in body:
        return None
    after = body["next"]
    if after is not None and not (isinstance(after, str) and 0 < len(after) <= NEXT_LENGTH_MAX):
        return None
    holds = [_read_hold(one) for one in body["holds"]]
    return ([hold for hold in holds if hold is not None], after) if all(holds) else None


def _read_hold(one: Any) -> ListedHold | None:
    if not isinstance(one, dict):
        return None
    order_id, until = one.get("order_id"), moment(one.get("until"))
    lines, restocked = _read_lines(one.get("lines")), _read_lines(one.get("restocked"))
    try:
        reservation_id, state = UUID(str(one.get("reservation_id"))), TheirState(str(one.get("state")))
    except ValueError:
        return None
    known = isinstance(order_id, str) and 0 < len(order_id) <= ORDER_ID_LENGTH_MAX and "\0" not in order_id
    if not known or until is None or lines is None or restocked is None:
        return None
    return ListedHold(ReservationId(reservation_id), str(order_id), state, lines, restocked, until)


def _read_lines(lines: Any) -> Mapping[str, int] | None:
    """Read lines, in the order of their SKUs; None if they are not by the contract."""
    if not isinstance(lines, list) or len(lines) > LINES_MAX:
        return None
    found: dict[str, int] = {}
    for line in lines:
        if not isinstance(line, dict):
            return None
        sku, quantity = line.get("sku"), line.get("quantity")
        if not isinstance(sku, str) or not 0 < len(sku) <= SKU_LENGTH_MAX or "\0" in sku or sku in found:
            return None
        if type(quantity) is not int or not 0 < quantity <= UNITS_MAX:
            return None
        found[sku] = quantity
    return dict(sorted(found.items()))
