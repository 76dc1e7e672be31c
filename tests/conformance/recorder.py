"""A proxy between our adapter and a server: it writes down what was asked and answered.

It can also leave parameters out and fill answers in, for a server that is not quite Stripe; each such change is listed
in `deviations.py`.
"""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

import aiohttp
from aiohttp import web

Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer. asked: the parameters as the adapter sent them."""

    method: str
    path: str
    asked: Pairs
    status: int
    body: Any


@dataclass
class Recorder:
    """Forwards to target. drop: whether a parameter of a path is left out. mend: changes the body of an answer."""

    target: str
    drop: Callable[[str, str], bool] = lambda _path, _name: False
    mend: Callable[[Any], Any] = lambda body: body
    exchanges: list[Exchange] = field(default_factory=list)
    dropped: set[str] = field(default_factory=set)
    address: str = ""

    async def forward(self, request: web.Request) -> web.Response:
        """Forward one request."""
        asked = parse_qsl(request.query_string or (await request.read()).decode(), keep_blank_values=True)
        sent = [pair for pair in asked if not self._leaves_out(request.path, pair[0])]
        query, form = (sent, None) if request.method == "GET" else ([], urlencode(sent))
        passed = {name: value for name, value in request.headers.items() if name in _PASSED}
        url = f"{self.target}{request.path}{'?' if query else ''}{urlencode(query)}"
        async with (
            aiohttp.ClientSession(auto_decompress=True) as session,
            session.request(request.method, url, data=form, headers=passed) as answer,
        ):
            body = self.mend(json.loads(await answer.read()))
            self.exchanges.append(Exchange(request.method, request.path, asked, answer.status, body))
            return web.json_response(body, status=answer.status)

    def _leaves_out(self, path: str, name: str) -> bool:
        root = name.partition("[")[0]
        if not self.drop(path, root):
            return False
        self.dropped.add(root)
        return True


_PASSED = frozenset({"Authorization", "Content-Type", "Idempotency-Key", "Stripe-Version"})


@asynccontextmanager
async def recording(recorder: Recorder) -> AsyncIterator[Recorder]:
    """Listen on a free port of loopback for the length of a block."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", recorder.forward)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        recorder.address = f"http://{host}:{port}"
        yield recorder
    finally:
        await runner.cleanup()
