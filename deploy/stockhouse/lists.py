"""The lists of the contract, in pages."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Final

from starlette.requests import Request

from deploy.stockhouse.bodies import moment
from deploy.stockhouse.calls import hold_json
from deploy.stockhouse.problems import invalid
from deploy.stockhouse.warehouse import Warehouse
from schemas.fields import SKU_LENGTH_MAX

PAGE_MAX: Final = 1000
_SCANNED_MAX: Final = 20_000
"""So many holds are looked at for one page: then it ends, maybe with fewer, and says where to go on."""


def query(request: Request, names: Sequence[str]) -> dict[str, str]:
    """Return the parameters of a request. Raises Problem for an unknown one, and for one that is there twice."""
    given = request.query_params.multi_items()
    found = dict(given)
    unknown = found.keys() - set(names)
    if unknown or len(found) < len(given):
        raise invalid({"": f"the parameters are {', '.join(names) or 'none'}, each once"})
    return found


def holds(warehouse: Warehouse, given: Mapping[str, str]) -> dict[str, Any]:
    """Return a page of holds that changed since a time, in the order in which they were made."""
    size, since = _limit(given), _since(given)
    after = _number("after", given["after"]) if "after" in given else 0
    page: list[dict[str, Any]] = []
    last: int | None = None
    for hold in islice(warehouse.made(after), _SCANNED_MAX):
        if len(page) == size:
            break
        last = hold.number
        if since is None or hold.changed_at >= since:
            page.append(hold_json(hold))
    more = last is not None and last + 1 < warehouse.next_number
    return {"holds": page, "next": str(last) if more else None}


def stock(warehouse: Warehouse, given: Mapping[str, str]) -> dict[str, Any]:
    """Return a page of the stock, by SKU."""
    size, after = _limit(given), given.get("after")
    if after is not None and not 0 < len(after) <= SKU_LENGTH_MAX:
        raise invalid({"": "after is the next of a page"})
    skus = list(islice(warehouse.skus(after), size + 1))
    page = []
    for sku in skus[:size]:
        shelf = warehouse.shelf(sku)
        assert shelf is not None, "the list of SKUs is that of the shelves"
        page.append({"sku": sku, **shelf._asdict()})
    return {"stock": page, "next": skus[size - 1] if len(skus) > size else None}


def _limit(given: Mapping[str, str]) -> int:
    if "limit" not in given:
        return PAGE_MAX
    limit = _number("limit", given["limit"])
    if limit < 1:
        raise invalid({"": "limit is 1 or more"})
    return min(limit, PAGE_MAX)


def _since(given: Mapping[str, str]) -> datetime | None:
    if "since" not in given:
        return None
    try:
        return moment(given["since"])
    except ValueError as wrong:
        raise invalid({"": f"since: {wrong}"}) from None


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise invalid({"": f"{name} is a whole number"})
    return int(text)
