"""The one reader of Stripe's lists: every page once, and no half of a list passes for the whole."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import stripe
from aiohttp import web
from structlog.testing import capture_logs

from consumers.adapters.gateway.stripe_fields import Thing, whole
from consumers.adapters.gateway.stripe_pages import PAGE, BrokenList, LongList, StripePages, read_all, read_each
from consumers.adapters.gateway.stripe_requests import StripeRequests
from domain.errors import Transient
from tests.contracts.own_stripe import OwnStripe, own_stripe, said

PATH = "/v1/things"
TRIES = 4
PAGES_MAX = 5


def page(*ids: Any, more: bool = False) -> web.Response:
    return said({"object": "list", "data": [{"id": name} for name in ids], "has_more": more})


async def read(told: OwnStripe, asked: dict[str, Any] | None = None, pages_max: int = PAGES_MAX) -> list[str]:
    return await _with_pages(told.address, [], lambda pages: _ids(pages.read(PATH, asked or {}, pages_max)))


async def listed(address: str, pauses: list[float]) -> list[str]:
    return await _with_pages(address, pauses, lambda pages: _ids(pages.listed(PATH, {}, PAGES_MAX)))


async def _with_pages(
    address: str, pauses: list[float], use: Callable[[StripePages], Awaitable[list[str]]]
) -> list[str]:
    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    requests = StripeRequests("sk_test_pages", address, 1, connect_timeout_s=1.0, timeout_s=1.0)
    try:
        return await use(StripePages(requests, TRIES, pause))
    finally:
        await requests.close()


async def _ids(pages: Any) -> list[str]:
    return [thing["id"] async for some in pages for thing in some.things]


async def test_each_page_is_asked_for_behind_the_last_object_of_the_one_before() -> None:
    async with own_stripe(page("a", "b", more=True), page("c", more=True), page()) as told:
        assert await read(told, {"created": {"gte": 7}, "expand": ["data.x"]}) == ["a", "b", "c"]
    same = f"limit={PAGE}&created[gte]=7&expand[0]=data.x"
    assert [asked.query for asked in told.asked] == [
        same,
        f"{same}&starting_after=b",
        f"{same}&starting_after=c",
    ]


BROKEN = [
    (said([]), "is no object"),
    (said({"object": "list"}), "cannot be read"),
    (said({"data": {}, "has_more": False}), "cannot be read"),
    (said({"data": [], "has_more": "no"}), "cannot be read"),
    (said({"data": ["a"], "has_more": False}), "an object without an id"),
    (page(None), "an object without an id"),
    (page(""), "an object without an id"),
    (page(more=True), "does not go on behind an empty page"),
]


@pytest.mark.parametrize(("answer", "told"), BROKEN)
async def test_what_is_no_page_is_an_error(answer: web.Response, told: str) -> None:
    async with own_stripe(answer) as own:
        with pytest.raises((BrokenList, TypeError), match=told):
            await read(own)


@pytest.mark.parametrize(
    "pages",
    [
        [page("a", more=True), page("b", "a", more=True)],
        [page("a", more=True), page("b", more=True), page("c", "a", more=True)],
    ],
    ids=["the same page", "a circle of pages"],
)
async def test_a_list_that_begins_again_is_an_error(pages: list[web.Response]) -> None:
    async with own_stripe(*pages) as told:
        with pytest.raises(BrokenList, match="does not go on behind a"):
            await read(told)


async def test_a_list_is_read_to_its_bound_and_not_further() -> None:
    pages = [page(f"a{n}", more=True) for n in range(PAGES_MAX)]
    async with own_stripe(*pages) as told:
        with pytest.raises(LongList, match="more than 3 pages"):
            await read(told, pages_max=3)
    assert len(told.asked) == 3
    async with own_stripe(page("a", more=True), page("b")) as told:
        assert await read(told, pages_max=2) == ["a", "b"]


async def test_errors_of_the_sdk_reach_whoever_must_tell_them_apart() -> None:
    async with own_stripe(said({"error": {"type": "invalid_request_error", "code": "resource_missing"}}, 404)) as told:
        with pytest.raises(stripe.StripeError) as refused:
            await read(told)
    assert (refused.value.http_status, refused.value.code, len(told.asked)) == (404, "resource_missing", 1)


FAILED = {"error": {"type": "api_error", "message": "no"}}


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_page_that_fails_is_asked_for_again(status: int) -> None:
    pauses: list[float] = []
    async with own_stripe(page("a", more=True), said(FAILED, status), page("b")) as told:
        assert await listed(told.address, pauses) == ["a", "b"]
    assert [asked.query.partition("starting_after=")[2] for asked in told.asked] == ["", "a", "a"]
    assert pauses == [1.0]


@pytest.mark.parametrize(
    ("answer", "told", "tries"),
    [
        (said(FAILED, 500), "HTTP 500", TRIES),
        (said({"error": {"type": "invalid_request_error"}}, 403), f"the permission for this list {PATH}", 1),
        (said({"error": {"type": "invalid_request_error", "code": "x"}}, 400), "HTTP 400, x", 1),
        (said(b"<html>"), "PAYMENTS_STRIPE_API_BASE", 1),
        (said(b"<html>", 404), "HTTP 404", 1),
        (page("a", more=True), "does not go on behind a", 1),
    ],
)
async def test_a_list_that_does_not_come_whole_is_an_error_that_says_what_to_do(
    answer: web.Response, told: str, tries: int
) -> None:
    pauses: list[float] = []
    async with own_stripe(answer) as own:
        with pytest.raises(Transient, match=told):
            await listed(own.address, pauses)
    assert len(pauses) == tries - 1


@asynccontextmanager
async def server_that(serve: Callable[[asyncio.StreamReader], Awaitable[object]]) -> AsyncIterator[str]:
    """Run a server that closes each connection when it is served; give its address."""
    served: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        served.add(task)
        await serve(reader)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"
        await asyncio.gather(*served)


async def test_a_lost_connection_is_tried_again_and_then_an_error() -> None:
    pauses: list[float] = []
    async with server_that(lambda reader: reader.readline()) as address:
        with pytest.raises(Transient, match="Stripe does not answer"):
            await listed(address, pauses)
    assert pauses == [1.0, 2.0, 4.0]


async def test_a_stripe_that_is_too_slow_is_an_error() -> None:
    async with server_that(lambda reader: reader.read()) as address:  # until the client gives up
        with pytest.raises(Transient, match="Stripe does not answer"):
            await listed(address, [])


async def test_nobody_there_is_an_error() -> None:
    with pytest.raises(Transient, match="Stripe does not answer"):
        await listed("http://127.0.0.1:1", [])


def _size(thing: Thing) -> int | None:
    return whole(thing, "size") or None


THINGS: list[Thing] = [{"id": "a", "size": 1}, {"id": "b", "size": "1"}, {"id": "c", "size": 0}, {"id": "d", "size": 2}]


def test_where_each_object_counts_one_that_makes_no_sense_is_an_error() -> None:
    assert read_all(THINGS[:1], _size) == [1]
    with pytest.raises(Transient, match="cannot read"):
        read_all(THINGS, _size)


def test_where_objects_stand_for_themselves_one_that_makes_no_sense_is_logged_and_hides_no_other() -> None:
    with capture_logs() as lines:
        assert read_each(THINGS, _size) == [1, 2]
    assert [(line["log_level"], line["id"]) for line in lines] == [("error", "b")]
