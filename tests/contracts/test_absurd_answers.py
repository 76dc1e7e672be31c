"""Whatever stands in an answer, the Stripe adapter makes an outcome of it that can be kept; it never raises."""

import json
from collections.abc import AsyncIterator, Iterator
from itertools import product
from typing import Any, Final, NamedTuple

import pytest
import pytest_asyncio
from aiohttp import web

from consumers.adapters.gateway.stripe_adapter import StripeGateway
from domain.answers import admit
from domain.errors import DownForEverybody
from domain.operation import GATEWAY_KINDS, OperationKind
from domain.outcome import GatewayOutcome, Unknown
from tests.contracts.gateway_worlds import World, stripe_world
from tests.domain.builders import operation
from tests.door.life import storable

DEEP: Final = b"[" * 60_000
ABSURD: Final[tuple[Any, ...]] = (
    None,
    [],
    {},
    [[]],
    "x",
    "",
    "\ud800",
    "a\0",
    -1,
    2**70,
    1e308,
    True,
    {"object": "charge", "id": 7},
)
INTENT: Final[dict[str, Any]] = {
    "id": "pi_1",
    "object": "payment_intent",
    "amount": 1250,
    "amount_received": 1250,
    "currency": "eur",
    "livemode": False,
    "status": "requires_capture",
    "metadata": {"operation_id": "x"},
    "latest_charge": {"object": "charge", "payment_method_details": {"card": {"capture_before": 1_770_000_000}}},
    "last_payment_error": {"code": "card_declined", "decline_code": "fraudulent", "advice_code": "do_not_try_again"},
}


class Reply(NamedTuple):
    """What the server says to every request."""

    status: int
    body: bytes
    headers: dict[str, str]


def _said(status: int, value: Any, **headers: str) -> Reply:
    return Reply(status, json.dumps(value).encode(), headers)


def _intents() -> Iterator[Reply]:
    for status in ("requires_capture", "succeeded"):
        for name in INTENT.keys() - {"status"}:
            for value in ABSURD:
                intent = INTENT | {"status": status, name: value}
                yield _said(200, intent)
    for value in ABSURD:
        yield _said(200, INTENT | {"status": "canceled", "amount": value, "id": value})
        yield _said(200, INTENT | {"status": value})
        yield _said(200, {**INTENT, "latest_charge": {"payment_method_details": {"card": {"capture_before": value}}}})
        yield _said(200, {**INTENT, "last_payment_error": {"code": value, "decline_code": value}, "status": "odd"})
        yield _said(200, {"object": "list", "data": value, "has_more": value})
        yield _said(200, {"object": "list", "data": [INTENT | {"metadata": value}], "has_more": False})


def _errors() -> Iterator[Reply]:
    for status in (400, 402, 404, 409, 429, 500):
        for value in ABSURD:
            yield _said(status, value)
            yield _said(status, {"error": value})
    for status in (400, 402, 500):
        for value in ([], {}, "x", "a\0", 7):
            for name in ("code", "decline_code", "advice_code", "type", "param", "payment_intent", "message"):
                yield _said(status, {"error": {"code": "card_declined", "type": "card_error", name: value}})
    for wait in ("9" * 400, "-1", "\u0663", "soon", "1e400"):
        yield _said(429, {"error": {"code": "rate_limit"}}, **{"Retry-After": wait})


def _bodies() -> Iterator[Reply]:
    for status in (200, 400, 402, 500):
        for body in (b"", b"\xff\xfe", b"null", b"[]", b'"x"', DEEP, b'{"a":' + b"1" * 5_000 + b"}", b'{"error"'):
            yield Reply(status, body, {})


class Absurd:
    """A server that says the same to everybody."""

    def __init__(self) -> None:
        self.reply = Reply(200, b"", {})
        self.address = ""

    async def answer(self, _: web.Request) -> web.Response:
        status, body, headers = self.reply
        return web.Response(status=status, body=body, headers=headers, content_type="application/json")


@pytest_asyncio.fixture
async def absurd() -> AsyncIterator[Absurd]:
    server = Absurd()
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.address = f"http://{host}:{port}"
    yield server
    await runner.cleanup()


async def _outcome(world: World, kind: OperationKind, *, look_up: bool) -> GatewayOutcome:
    token, transaction_id = ("pm_card_visa", None) if kind is OperationKind.AUTHORIZE else (None, "pi_1")
    call = world.call(kind, token=token, transaction_id=transaction_id)
    try:
        return await (world.look_up(call) if look_up else world.perform(call))
    except DownForEverybody:
        return Unknown("refused")


@pytest.mark.parametrize("replies", [_intents, _errors, _bodies], ids=["intents", "errors", "bodies"])
async def test_whatever_an_answer_says_it_becomes_an_outcome_that_can_be_kept(absurd: Absurd, replies: Any) -> None:
    world = stripe_world(absurd.address)
    assert isinstance(world.gateway, StripeGateway)
    for reply, kind in product(replies(), sorted(GATEWAY_KINDS)):
        absurd.reply = reply
        for look_up in (False, True):
            outcome = await _outcome(world, kind, look_up=look_up)
            kept = admit(operation(kind), outcome)
            storable([getattr(kept, name) for name in kept.__struct_fields__])
    await world.gateway.close()
