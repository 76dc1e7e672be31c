"""What reads the inventory's list: each hold once, faults waited out, nothing believed that is not by the contract."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

import pytest
from aiohttp import web

from consumers.adapters.inventory.http_lists import HttpLists
from domain.errors import Transient
from domain.ids import ReservationId
from domain.ports.inventory_lists import ListedHold, TheirState
from tests.stockhouse.client import HOLD, Client, client_of
from tests.stockhouse.process import running

HOLD_JSON: dict[str, Any] = {
    "reservation_id": HOLD,
    "order_id": "A-1",
    "state": "confirmed",
    "lines": [{"sku": "TEA", "quantity": 2}, {"sku": "MUG", "quantity": 1}],
    "restocked": [{"sku": "TEA", "quantity": 1}],
    "until": "2026-03-01T12:15:00Z",
    "changed_at": "2026-03-01T12:00:00Z",
    "note": "a member that a later version may have",
}


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Client]:
    with running(tmp_path / "j") as process, client_of(process.address) as client:
        client.stock({"TEA": 10_000})
        yield client


async def listed(url: str, since: datetime | None = None, **options: Any) -> list[ListedHold]:
    lists = HttpLists(url, **options)
    try:
        return [hold async for page in lists.holds(since) for hold in page]
    finally:
        await lists.close()


async def test_every_hold_of_many_pages_is_read_once_whatever_fails(warehouse: Client) -> None:
    until = warehouse.in_minutes(10)
    ids = [str(uuid5(NAMESPACE_OID, f"listed {number}")) for number in range(2_345)]
    calls = [
        {
            "call": "reserve",
            "key": f"k-{number}",
            "id": thing,
            "body": {"order_id": f"A-{number}", "lines": [{"sku": "TEA", "quantity": 1}], "until": until},
        }
        for number, thing in enumerate(ids)
    ]
    for start in range(0, len(calls), 100):
        warehouse.http.post("/v1/batch", json={"calls": calls[start : start + 100]}).raise_for_status()
    url = str(warehouse.http.base_url).rstrip("/")

    warehouse.faults(share=0.4, seed=11, kinds=["503", "HTML", "GARBAGE", "TRUNCATED", "RESET-AFTER"])
    found = await listed(url)

    assert [str(hold.reservation_id) for hold in found] == ids
    assert {(hold.state, tuple(hold.lines.items())) for hold in found} == {(TheirState.HELD, (("TEA", 1),))}
    assert await listed(url, datetime(2100, 1, 1, tzinfo=UTC)) == []


async def test_a_hold_is_read_as_the_contract_has_it() -> None:
    async with serving([{"holds": [HOLD_JSON], "next": None}]) as url:
        assert await listed(url) == [
            ListedHold(
                ReservationId(UUID(HOLD)),
                "A-1",
                TheirState.CONFIRMED,
                {"MUG": 1, "TEA": 2},
                {"TEA": 1},
                datetime(2026, 3, 1, 12, 15, tzinfo=UTC),
            )
        ]


@pytest.mark.parametrize(
    "changes",
    [
        {"reservation_id": "7d8f"},
        {"reservation_id": None},
        {"order_id": ""},
        {"order_id": "A\u0000"},
        {"order_id": 7},
        {"state": "perhaps"},
        {"state": ["held"]},
        {"lines": None},
        {"lines": [{"sku": "TEA", "quantity": -1}]},
        {"lines": [{"sku": "TEA", "quantity": 1.5}]},
        {"lines": [{"sku": "TEA", "quantity": True}]},
        {"lines": [{"sku": "TEA", "quantity": 1}, {"sku": "TEA", "quantity": 1}]},
        {"lines": [{"sku": "T\u0000", "quantity": 1}]},
        {"lines": ["TEA"]},
        {"restocked": {}},
        {"until": "soon"},
        {"until": "2026-03-01T12:15:00+01:00"},
    ],
)
async def test_what_is_not_by_the_contract_is_an_error_and_no_hold(changes: dict[str, Any]) -> None:
    async with serving([{"holds": [HOLD_JSON, {**HOLD_JSON, **changes}], "next": None}]) as url:
        with pytest.raises(Transient, match="in a form that the contract does not have"):
            await listed(url, pause_s=0.001)


@pytest.mark.parametrize(
    "page",
    [
        [],
        {},
        {"holds": []},
        {"holds": {}, "next": None},
        {"holds": [], "next": ""},
        {"holds": [], "next": 7},
        {"holds": [7], "next": None},
    ],
)
async def test_a_page_that_is_none_is_an_error(page: Any) -> None:
    async with serving([page]) as url:
        with pytest.raises(Transient, match="does not list its holds"):
            await listed(url, pause_s=0.001)


async def test_a_list_that_goes_round_in_a_circle_ends() -> None:
    async with serving([{"holds": [], "next": "1"}]) as url:
        with pytest.raises(Transient, match="names itself as the next one"):
            await listed(url)


async def test_nobody_there_is_told_after_a_few_tries() -> None:
    with pytest.raises(Transient, match="check PAYMENTS_INVENTORY_URL"):
        await listed("http://127.0.0.1:1", pause_s=0.001)


@asynccontextmanager
async def serving(pages: list[Any]) -> AsyncIterator[str]:
    """Answer with these pages in turn, and then with the last one again and again."""
    left = list(pages)

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(left.pop(0) if len(left) > 1 else left[0])

    app = web.Application()
    app.router.add_get("/v1/holds", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        assert site._server is not None
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()
