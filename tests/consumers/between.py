"""A proxy between the Stripe adapter and a sandbox: for a while it shows another status than the gateway has.

The sandbox decides at once; Stripe takes its time, and people act in its dashboard meanwhile. The proxy plays that:
what it shows is over when the test says so, what somebody does is truly done at the sandbox. Faults come from the
sandbox and pass unchanged, but for those that no test method can have, which the proxy plays itself.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
import orjson
from aiohttp import web

from deploy.playbank.methods import SLOW_S, Fault
from domain.operation import OperationKind
from tests.eventually import EVENTUALLY_S

K = OperationKind
LOOKS = 2
"""So often another status is shown of a capture, void or refund."""
_PASSED = frozenset({"Authorization", "Content-Type", "Idempotency-Key", "Stripe-Version"})
_HOPS = frozenset({"Content-Length", "Connection", "Transfer-Encoding", "Date", "Server", "Content-Encoding"})


@dataclass
class Seen:
    """What is seen of one order's operation, once it was asked for the first time.

    shows: fields over the truth. does: what somebody does at the gateway before we look: cancel or capture. fails: no
    look before the refund has failed. fault: that the proxy plays, at the first request or always. stays: until the
    test ends it, which keeps in tries how many answers there were when it was first shown.
    """

    kind: OperationKind
    shows: dict[str, Any] | None = None
    does: str | None = None
    fails: bool = False
    fault: Fault | None = None
    always: bool = False
    stays: bool = False
    asked: int = 0
    shown: int = 0
    done: bool = False
    over: bool = False
    tries: int | None = None


class Reset(Exception):  # noqa: N818 - no error of ours
    """The connection is to be reset."""


@dataclass
class Between:
    """seen: by order. asked: how often each order's operation of a kind was asked for."""

    target: str
    seen: dict[str, Seen] = field(default_factory=dict)
    address: str = ""
    _orders: dict[str, str] = field(default_factory=dict)
    _session: aiohttp.ClientSession | None = None

    # what passes

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        """Forward one request, and show what is to be seen."""
        body = await request.read()
        kind, order_id = self._about(request.method, request.path, dict(parse_qsl(body.decode())))
        seen = self.seen.get(order_id or "")
        if seen is not None and seen.kind is not kind and kind is not None:
            seen = None
        if seen is not None:
            await self._before(request, seen)
        try:
            answer = await self._forward(request, body, seen if kind else None)
        except (aiohttp.ClientError, Reset):
            _abort(request)
            raise asyncio.CancelledError from None
        return await self._show(request, answer, kind)

    async def _before(self, request: web.Request, seen: Seen) -> None:
        """Have done what somebody does between the first request and this one."""
        intent_id = _intent_of(request)
        if seen.asked and seen.does and not seen.done and intent_id:
            await self._do(intent_id, seen)

    async def _do(self, intent_id: str, seen: Seen) -> None:
        seen.done = True
        assert seen.does is not None
        status, body = await self.call("POST", f"/v1/payment_intents/{intent_id}/{seen.does}")
        assert status == 200, body

    async def _forward(self, request: web.Request, body: bytes, seen: Seen | None) -> web.Response:
        """Forward a request. seen: if it asks for the operation in question."""
        if seen is None:
            return await self._send(request, body)
        seen.asked += 1
        fault = seen.fault if seen.asked == 1 or seen.always or seen.fault is Fault.ERROR_AFTER else None
        return await self._send(request, body) if fault is None else await self._spoil(request, body, fault)

    async def _spoil(self, request: web.Request, body: bytes, fault: Fault) -> web.Response:
        match fault:
            case Fault.RESET_BEFORE:
                raise Reset
            case Fault.TIMEOUT_BEFORE:
                await asyncio.Event().wait()
            case Fault.RATE_LIMITED:
                return web.json_response(_error("rate_limit_error", "rate_limit"), status=429)
            case Fault.HTML:
                return web.Response(status=502, body=b"<html>502 Bad Gateway</html>", content_type="text/html")
            case Fault.SLOW:
                return await asyncio.shield(self._send_late(request, body))
        answer = await self._send(request, body)
        match fault:
            case Fault.RESET_AFTER:
                raise Reset
            case Fault.TIMEOUT_AFTER:
                await asyncio.Event().wait()
            case Fault.ERROR_AFTER:
                return web.json_response(_error("api_error", ""), status=500)
            case Fault.TRUNCATED:
                assert isinstance(answer.body, bytes)
                return web.Response(status=answer.status, body=answer.body[: len(answer.body) // 2])
        return answer

    async def _send_late(self, request: web.Request, body: bytes) -> web.Response:
        await asyncio.sleep(SLOW_S)
        return await self._send(request, body)

    async def _send(self, request: web.Request, body: bytes) -> web.Response:
        assert self._session is not None
        headers = {name: value for name, value in request.headers.items() if name in _PASSED}
        url = f"{self.target}{request.path_qs}"
        async with self._session.request(request.method, url, data=body or None, headers=headers) as answer:
            kept = {name: value for name, value in answer.headers.items() if name not in _HOPS}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)

    async def call(self, method: str, path: str, form: Mapping[str, Any] | None = None) -> tuple[int, Any]:
        """Ask the sandbox, as somebody else does. Return status and body."""
        assert self._session is not None
        headers = {"Authorization": "Bearer sk_test_somebody"}
        async with self._session.request(method, f"{self.target}{path}", data=form, headers=headers) as answer:
            return answer.status, orjson.loads(await answer.read())

    async def weather(self, **faults: Any) -> None:
        """Have something wrong with the whole sandbox."""
        assert self._session is not None
        async with self._session.post(f"{self.target}/sandbox/faults", json=faults) as answer:
            answer.raise_for_status()

    # what is seen

    async def _show(self, request: web.Request, answer: web.Response, kind: OperationKind | None) -> web.StreamResponse:
        if answer.status != 200:
            return answer
        try:
            body = orjson.loads(answer.body if isinstance(answer.body, bytes) else b"")
        except orjson.JSONDecodeError:
            return answer  # it is cut
        if await self._catch_up(kind, _objects(body)):
            body = await self._read_again(request, kind, body)
        for found in _objects(body):
            self._write_over(request, kind, found)
        answer.body = orjson.dumps(body)
        return answer

    async def _catch_up(self, kind: OperationKind | None, objects: Sequence[dict[str, Any]]) -> bool:
        """Have done what somebody does to objects that were not known before; whether there was any."""
        late = False
        for found in objects:
            order_id = found.get("metadata", {}).get("order_id", "")
            if found.get("object") == "payment_intent":
                self._orders[found["id"]] = order_id
            seen = self.seen.get(order_id)
            if seen is None or kind not in {None, seen.kind}:
                continue
            if seen.kind is K.AUTHORIZE and seen.does and not seen.done and found["object"] == "payment_intent":
                await self._do(found["id"], seen)
                late = True
            if seen.fails and not seen.done and found["object"] == "refund":
                await self._await_failure(found["id"])
                seen.done = late = True
        return late

    async def _await_failure(self, refund_id: str) -> None:
        async with asyncio.timeout(EVENTUALLY_S):
            # The sandbox is a process of its own, so it is asked again.
            while (await self.call("GET", f"/v1/refunds/{refund_id}"))[1]["status"] != "failed":  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def _read_again(self, request: web.Request, kind: OperationKind | None, body: Any) -> Any:
        path = request.path_qs if kind is None else f"/v1/payment_intents/{body['id']}?expand[]=latest_charge"
        return (await self.call("GET", path))[1]

    def _write_over(self, request: web.Request, kind: OperationKind | None, found: dict[str, Any]) -> None:
        seen = self.seen.get(found.get("metadata", {}).get("order_id", ""))
        of = "refund" if seen is not None and seen.kind is K.REFUND else "payment_intent"
        if seen is None or not seen.shows or seen.over or not seen.asked or found["object"] != of:
            return
        if kind not in {None, seen.kind} or (seen.kind is K.AUTHORIZE and _intent_of(request) and kind is not None):
            return
        found |= seen.shows
        seen.shown += 1
        seen.over = seen.shown >= LOOKS and not seen.stays

    def _about(self, method: str, path: str, form: dict[str, str]) -> tuple[OperationKind | None, str | None]:
        """Return which operation a request asks for, None if it only reads; and the order, if it names one."""
        match method, path.removeprefix("/v1/").split("/"):
            case "POST", ["payment_intents"]:
                return K.AUTHORIZE, form.get("metadata[order_id]")
            case "POST", ["payment_intents", intent_id, "capture"]:
                return K.CAPTURE, self._orders.get(intent_id)
            case "POST", ["payment_intents", intent_id, "cancel"]:
                return K.VOID, self._orders.get(intent_id)
            case "POST", ["refunds"]:
                return K.REFUND, form.get("metadata[order_id]")
            case "GET", ["payment_intents", intent_id]:
                return None, self._orders.get(intent_id)
            case _:
                return None, None


def _intent_of(request: web.Request) -> str | None:
    parts = request.path.split("/")
    return parts[3] if parts[2:3] == ["payment_intents"] and len(parts) > 3 else None


def _objects(body: Any) -> list[dict[str, Any]]:
    found = body["data"] if body.get("object") == "list" else [body]
    return [each for each in found if each.get("object") in {"payment_intent", "refund"}]


def _error(kind: str, code: str) -> dict[str, Any]:
    return {"error": {"type": kind, "code": code, "message": "played"}}


def _abort(request: web.Request) -> None:
    """Reset the connection: linger off sends RST."""
    transport = request.transport
    if transport is not None:
        transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


@asynccontextmanager
async def between(target: str) -> AsyncIterator[Between]:
    """Listen on a free port of loopback. Who gives up waiting ends the forwarded request, too."""
    proxy = Between(target)
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", proxy.pass_on)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=90)
    ) as session:
        proxy._session = session
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            proxy.address = f"http://{host}:{port}"
            yield proxy
        finally:
            await runner.cleanup()
