"""Stripe's lists of payments and refunds: every page once, and no half of a list passes for the whole."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from consumers.adapters.gateway.stripe_lists import TRIES_MAX, StripeLists, read_refund, read_transaction
from consumers.adapters.gateway.stripe_requests import PAGE, StripeRequests
from domain.errors import Transient
from domain.ports.gateway import ListedRefund, ListedTransaction, RefundState
from tests.sandbox.client import Client, client_of
from tests.sandbox.process import running

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
Answer = Callable[[web.Request], Awaitable[web.Response]]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("lists") / "journal.jsonl") as process:
        yield process.address


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    with client_of(address) as opened:
        yield opened


def lists_at(address: str, pauses: list[float] | None = None) -> StripeLists:
    async def pause(seconds: float) -> None:
        if pauses is not None:
            pauses.append(seconds)

    requests = StripeRequests("sk_test_lists", address, 1, connect_timeout_s=1.0, timeout_s=1.0)
    return StripeLists(requests, pause)


async def all_of(address: str, since: datetime = LONG_AGO) -> tuple[list[ListedTransaction], list[ListedRefund]]:
    lists = lists_at(address)
    try:
        transactions = [t async for page in lists.transactions(since) for t in page]
        return transactions, [r async for page in lists.refunds(since) for r in page]
    finally:
        await lists.close()


async def test_every_page_is_read_once(address: str, client: Client) -> None:
    made = [client.intent(capture_method="automatic").body["id"] for _ in range(2 * PAGE + 1)]
    returned = [client.post("/v1/refunds", {"payment_intent": i}).body["id"] for i in made[: PAGE + 1]]
    transactions, refunds = await all_of(address)
    assert [t.transaction_id for t in transactions if t.transaction_id in set(made)] == made[::-1]
    assert [r.refund_id for r in refunds if r.refund_id in set(returned)] == returned[::-1]
    assert await all_of(address, datetime(2090, 1, 1, tzinfo=UTC)) == ([], [])


STATES: list[tuple[dict[str, Any], str, tuple[int, int, bool, bool]]] = [
    ({}, "", (1250, 0, False, False)),
    ({}, "capture", (1250, 1250, False, False)),
    ({}, "cancel", (1250, 0, True, False)),
    ({"capture_method": "automatic"}, "", (1250, 1250, False, False)),
    ({"payment_method": "pm_card_chargeDeclined"}, "", (0, 0, False, False)),
    ({"payment_method": "pm_card_authenticationRequired"}, "", (0, 0, False, True)),
    ({"confirm": "false"}, "", (0, 0, False, True)),
    ({"confirm": "false"}, "cancel", (0, 0, True, False)),
]


@pytest.mark.parametrize(("form", "then", "expected"), STATES)
async def test_a_transaction_is_listed_as_it_stands(
    address: str, client: Client, form: dict[str, Any], then: str, expected: tuple[int, int, bool, bool]
) -> None:
    named = {"metadata[order_id]": "order-1", "metadata[operation_id]": "operation-1"}
    body = client.intent(**named, **form).body
    made = body["id"] if "id" in body else body["error"]["payment_intent"]["id"]
    if then:
        assert client.post(f"/v1/payment_intents/{made}/{then}", {}).status == 200
    listed = next(t for t in (await all_of(address))[0] if t.transaction_id == made)
    assert (listed.authorized_minor, listed.captured_minor, listed.cancelled, listed.undecided) == expected
    assert (listed.order_id, listed.operation_id, listed.currency, listed.amount_minor) == (
        *("order-1", "operation-1", "EUR"),
        1250,
    )
    assert timedelta() <= datetime.now(UTC) - listed.created_at < timedelta(minutes=1)  # noqa: TID251 - real time


INTENT = {
    "id": "pi_1",
    "amount": 1250,
    "amount_received": 0,
    "created": 1_700_000_000,
    "currency": "eur",
    "latest_charge": None,
    "metadata": {},
    "status": "requires_capture",
}


@pytest.mark.parametrize(
    ("changes", "authorized"),
    [
        ({"amount_capturable": 800}, 800),
        ({"status": "succeeded", "amount_received": 700, "latest_charge": {"amount": 1250}}, 1250),
        ({"status": "succeeded", "amount_received": 700, "latest_charge": "ch_1"}, 1250),
        (
            {
                "status": "canceled",
                "latest_charge": {
                    "status": "succeeded",
                    "amount": 1250,
                    "payment_method_details": {"card": {"amount_authorized": 800}},
                },
            },
            800,
        ),
        ({"status": "canceled", "latest_charge": {"status": "failed", "amount": 1250}}, 0),
        ({"status": "a_new_one"}, 0),
    ],
)
def test_what_was_approved_is_read_from_the_charge(changes: dict[str, Any], authorized: int) -> None:
    assert read_transaction({**INTENT, **changes}).authorized_minor == authorized


@pytest.mark.parametrize(
    ("currency", "amount", "read"),
    [("isk", 125_000, ("ISK", 1250)), ("jpy", 1250, ("JPY", 1250)), ("zzz", 7, ("ZZZ in another unit", 7))],
)
def test_amounts_are_in_iso_units_and_a_unit_that_we_do_not_know_is_said(
    currency: str, amount: int, read: tuple[str, int]
) -> None:
    listed = read_transaction({**INTENT, "currency": currency, "amount": amount})
    assert (listed.currency, listed.amount_minor) == read


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("succeeded", RefundState.SUCCEEDED),
        ("pending", RefundState.PENDING),
        ("requires_action", RefundState.PENDING),
        ("failed", RefundState.FAILED),
        ("canceled", RefundState.FAILED),
        ("a_new_one", RefundState.PENDING),
    ],
)
def test_every_state_of_a_refund_is_read(status: str, state: RefundState) -> None:
    refund = {"id": "re_1", "amount": 5, "created": 1_700_000_000, "currency": "eur", "status": status}
    listed = read_refund({**refund, "payment_intent": "pi_1", "metadata": None})
    assert (listed.state, listed.transaction_id, listed.operation_id) == (state, "pi_1", None)


@asynccontextmanager
async def stripe_that(answer: Answer) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("GET", "/{rest:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def page(*intents: dict[str, Any], has_more: bool = False) -> web.Response:
    return web.json_response({"object": "list", "data": list(intents), "has_more": has_more})


async def read(answer: Answer, pauses: list[float]) -> list[str]:
    async with stripe_that(answer) as address:
        lists = lists_at(address, pauses)
        try:
            return [t.transaction_id async for some in lists.transactions(LONG_AGO) for t in some]
        finally:
            await lists.close()


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_page_that_fails_is_asked_for_again(status: int) -> None:
    asked: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.query.get("starting_after"))
        if len(asked) == 2:
            return web.json_response({"error": {"type": "api_error", "message": "no"}}, status=status)
        return page({**INTENT, "id": f"pi_{len(asked)}"}, has_more=len(asked) == 1)

    pauses: list[float] = []
    assert await read(answer, pauses) == ["pi_1", "pi_3"]
    assert (asked, pauses) == ([None, "pi_1", "pi_1"], [1.0])


async def _fail(_: web.Request) -> web.Response:
    return web.json_response({"error": {"type": "api_error", "message": "no"}}, status=500)


async def _refuse(_: web.Request) -> web.Response:
    return web.json_response({"error": {"type": "invalid_request_error", "message": "no"}}, status=403)


async def _hang_up(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def _say_html(_: web.Request) -> web.Response:
    return web.Response(text="<html>", content_type="text/html")


async def _say_nothing(_: web.Request) -> web.Response:
    return web.json_response({"object": "list"})


async def _repeat(_: web.Request) -> web.Response:
    return page(INTENT, has_more=True)


async def _end_too_soon(_: web.Request) -> web.Response:
    return page(has_more=True)


async def _say_nonsense(_: web.Request) -> web.Response:
    return page({**INTENT, "created": "yesterday"})


@pytest.mark.parametrize(
    ("answer", "told", "tries"),
    [
        (_fail, "HTTP 500", TRIES_MAX),
        (_refuse, "needs the permission to read /v1/payment_intents", 1),
        (_hang_up, "does not answer", TRIES_MAX),
        (_say_html, "PAYMENTS_STRIPE_API_BASE", 1),
        (_say_nothing, "cannot be read", 1),
        (_repeat, "does not go on behind pi_1", 1),
        (_end_too_soon, "does not go on behind None", 1),
        (_say_nonsense, "cannot read", 1),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_a_list_that_does_not_come_whole_is_an_error_that_says_what_to_do(
    answer: Answer, told: str, tries: int
) -> None:
    pauses: list[float] = []
    with pytest.raises(Transient, match=told):
        await read(answer, pauses)
    assert len(pauses) == tries - 1


async def test_a_stripe_that_is_too_slow_is_asked_again_and_then_an_error() -> None:
    async def answer(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    with pytest.raises(Transient, match="does not answer"):
        await read(answer, [])


async def test_nobody_there_is_an_error() -> None:
    lists = lists_at("http://127.0.0.1:1", [])
    with pytest.raises(Transient, match="does not answer"):
        await anext(lists.transactions(LONG_AGO))
    await lists.close()
