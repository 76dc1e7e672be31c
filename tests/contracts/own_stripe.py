"""A Stripe of the test's own: it says what it is told to, headers included, and remembers what it was asked."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

import orjson
from aiohttp import web
from multidict import CIMultiDict


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]
    form: Mapping[str, str]
    query: str


@dataclass
class OwnStripe:
    """answers: said in this order, the last one again and again."""

    address: str = ""
    answers: list[web.Response] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)

    def says(self, *answers: web.Response) -> None:
        """Say these from now on."""
        self.answers = list(answers)

    async def answer(self, request: web.Request) -> web.Response:
        body = (await request.read()).decode()
        self.asked.append(
            Asked(request.method, request.path, request.headers, dict(parse_qsl(body)), unquote(request.query_string))
        )
        said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.Response(status=said.status, body=said.body, headers=said.headers)


def said(
    body: dict[str, Any] | list[Any] | bytes, status: int = 200, *more: tuple[str, str], **headers: str
) -> web.Response:
    """Make an answer. headers: `Request_Id="req_1"` is `Request-Id: req_1`. more: headers whose name comes twice."""
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return web.Response(status=status, body=raw, headers=CIMultiDict([*named, *more]))


def intent(**fields: Any) -> dict[str, Any]:
    """Make a PaymentIntent that holds 12.50 EUR."""
    return {
        "id": "pi_1",
        "object": "payment_intent",
        "amount": 1250,
        "currency": "eur",
        "status": "requires_capture",
        "livemode": False,
        "latest_charge": None,
        "metadata": {},
    } | fields


@asynccontextmanager
async def own_stripe(*answers: web.Response) -> AsyncIterator[OwnStripe]:
    """Run one."""
    stripe = OwnStripe(answers=list(answers))
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", stripe.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        stripe.address = f"http://{host}:{port}"
        yield stripe
    finally:
        await runner.cleanup()
