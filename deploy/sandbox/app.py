"""The sandbox as an ASGI application: routes, keys, faults, and the order in which they come.

A request is authenticated, meets the fault of its payment method, finds what its key remembers, is executed and
written down, and only then answered.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import blake2b
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deploy.playbank.bank import Bank, Intent
from deploy.playbank.methods import SLOW_S, Fault, method_of
from deploy.sandbox import operations, params, reading
from deploy.sandbox.errors import (
    ApiError,
    internal,
    invalid,
    key_in_use,
    key_reused,
    missing,
    rate_limited,
    unauthorized,
)
from deploy.sandbox.faults import GlobalFaults, Reset, bad_gateway, cut, hold
from deploy.sandbox.journal import Memory, Stored
from deploy.sandbox.operations import Done
from deploy.sandbox.params import Form
from deploy.sandbox.render import ledger_json
from domain.operation import OperationKind

KEY_LENGTH_MAX = 255
_KEYS = ("sk_test_", "rk_test_")
_UNEXECUTED: Mapping[Fault, Callable[[], Response]] = {
    Fault.RESET_BEFORE: Reset,
    Fault.HTML: bad_gateway,
    Fault.RATE_LIMITED: lambda: _json(429, rate_limited().body()),
}


class Sandbox:
    """The endpoints. `clock` tells Unix seconds."""

    def __init__(self, bank: Bank, memory: Memory) -> None:
        self._bank = bank
        self._memory = memory
        self._faults_of_all = GlobalFaults()
        self._running: set[str] = set()

    def routes(self) -> list[Route]:
        """Return every route."""
        intents = "/v1/payment_intents"
        return [
            Route(intents, self._guarded(self._create), methods=["POST"]),
            Route(intents, self._guarded(self._read(reading.list_intents)), methods=["GET"]),
            Route(f"{intents}/{{id}}", self._guarded(self._read(reading.get_intent)), methods=["GET"]),
            Route(
                f"{intents}/{{id}}/capture",
                self._guarded(partial(self._change, OperationKind.CAPTURE, operations.capture)),
                methods=["POST"],
            ),
            Route(
                f"{intents}/{{id}}/cancel",
                self._guarded(partial(self._change, OperationKind.VOID, operations.cancel)),
                methods=["POST"],
            ),
            Route("/v1/payment_methods", self._guarded(self._create_method), methods=["POST"]),
            Route("/v1/refunds", self._guarded(self._refund), methods=["POST"]),
            Route("/v1/refunds", self._guarded(self._read(reading.list_refunds)), methods=["GET"]),
            Route("/v1/refunds/{id}", self._guarded(self._read(reading.get_refund)), methods=["GET"]),
            Route("/sandbox/ledger", self._ledger, methods=["GET"]),
            Route("/sandbox/faults", self._faults, methods=["POST"]),
            Route("/sandbox/health", self._health, methods=["GET"]),
            Route("/{path:path}", self._guarded(_unknown_url), methods=["GET", "POST", "DELETE", "PUT", "PATCH"]),
        ]

    def _guarded(self, endpoint: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def guarded(request: Request) -> Response:
            if self._faults_of_all.down:
                return Reset()
            try:
                _authenticate(request)
                answer: Response = await endpoint(request)
            except ApiError as error:
                return _json(error.status, error.body())
            return answer

        return guarded

    def _read(self, read: Callable[[Bank, Form, Mapping[str, Any]], dict[str, Any]]) -> Callable[[Request], Any]:
        async def get(request: Request) -> Response:
            form = params.parse(str(request.url.query).encode())
            return _json(200, orjson.dumps(read(self._bank, form, request.path_params)))

        return get

    async def _create(self, request: Request) -> Response:
        form = params.parse(await request.body())
        kind = OperationKind.AUTHORIZE if form.get("confirm") == "true" else None
        execute = partial(operations.create, self._bank, form)
        return await self._post(request, form, kind, form.get("payment_method"), execute)

    async def _create_method(self, request: Request) -> Response:
        form = params.parse(await request.body())
        return await self._post(request, form, None, None, partial(operations.create_method, self._bank, form))

    async def _change(
        self, kind: OperationKind, change: Callable[[Bank, Intent, Form, str], Done], request: Request
    ) -> Response:
        form = params.parse(await request.body())
        return await self._on_intent(request, form, kind, request.path_params["id"], "intent", change)

    async def _refund(self, request: Request) -> Response:
        form = params.parse(await request.body())
        intent_id = operations.refund_intent(form)
        return await self._on_intent(
            request, form, OperationKind.REFUND, intent_id, "payment_intent", operations.refund
        )

    async def _on_intent(
        self,
        request: Request,
        form: Form,
        kind: OperationKind,
        intent_id: str,
        param: str,
        change: Callable[[Bank, Intent, Form, str], Done],
    ) -> Response:
        intent = self._bank.intent(intent_id)
        token = intent.behaves_as if intent is not None else None

        def execute(key: str) -> Done:
            now = self._bank.intent(intent_id)
            if now is None:
                raise missing("payment_intent", intent_id, param)
            return change(self._bank, now, form, key)

        return await self._post(request, form, kind, token, execute)

    async def _post(
        self,
        request: Request,
        form: Form,
        kind: OperationKind | None,
        token: str | None,
        execute: Callable[[str], Done],
    ) -> Response:
        key = request.headers.get("idempotency-key")
        if key is not None and not 0 < len(key) <= KEY_LENGTH_MAX:
            raise invalid(f"An idempotency key has 1 to {KEY_LENGTH_MAX} characters.")
        fault = self._fault(kind, token, key)
        if fault is Fault.TIMEOUT_BEFORE:
            return await hold(request)
        if fault is not None and fault in _UNEXECUTED:
            return _UNEXECUTED[fault]()
        answer, replayed = await self._executed(request, form, key, fault, execute)
        if fault is Fault.RESET_AFTER:
            return Reset()
        if fault is Fault.TIMEOUT_AFTER:
            return await hold(request)
        body = cut(answer.body) if fault is Fault.TRUNCATED else answer.body
        return _json(answer.status, body, {"Idempotent-Replayed": "true"} if replayed else {})

    def _fault(self, kind: OperationKind | None, token: str | None, key: str | None) -> Fault | None:
        method = method_of(token) if token is not None and kind is not None else None
        if method is None or kind is None or method.fault is None or kind not in method.fault_on:
            return None
        fault = method.fault_for(kind, self._memory.times_struck(key) if key is not None else 0)
        if fault is not None and key is not None:
            self._memory.strike(key)
        return fault

    async def _executed(
        self, request: Request, form: Form, key: str | None, fault: Fault | None, execute: Callable[[str], Done]
    ) -> tuple[Stored, bool]:
        fingerprint = _fingerprint(request, form)
        if key is not None:
            if key in self._running:
                raise key_in_use()
            stored = self._memory.stored(key)
            if stored is not None and stored.fingerprint != fingerprint:
                raise key_reused()
            if stored is not None:
                return stored, True
        delay_s = SLOW_S if fault is Fault.SLOW else self._faults_of_all.delay_s(key or "")
        if delay_s:
            await self._wait(key, delay_s)
        done = execute(key or "")
        status, body = 200, b""
        if fault is Fault.ERROR_AFTER:
            status, body = 500, internal().body()
        elif done.refusal is not None:
            status, body = done.refusal.status, done.refusal.body()
        else:
            body = orjson.dumps(done.body)
        answer = Stored(fingerprint, status, body, self._bank.now())
        self._memory.remember(key, answer, done.changed)
        return answer, False

    async def _wait(self, key: str | None, delay_s: float) -> None:
        if key is not None:
            self._running.add(key)
        try:
            await asyncio.sleep(delay_s)
        finally:
            self._running.discard(key or "")

    async def _ledger(self, _request: Request) -> Response:
        return _json(200, orjson.dumps(ledger_json(self._bank)))

    async def _faults(self, request: Request) -> Response:
        try:
            self._faults_of_all.change(await request.body())
        except ApiError as error:
            return _json(error.status, error.body())
        return _json(200, orjson.dumps(self._faults_of_all))

    async def _health(self, _request: Request) -> Response:
        return _json(200, b'{"status":"ok"}')


def create_app(bank: Bank, memory: Memory) -> Starlette:
    """Return the application over a bank and its memory."""
    return Starlette(routes=Sandbox(bank, memory).routes())


async def _unknown_url(request: Request) -> Response:
    raise invalid(f"Unrecognized request URL ({request.method}: {request.url.path}).", status=404)


def _authenticate(request: Request) -> None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise unauthorized("You did not provide an API key: send it as a Bearer token.")
    if not key.startswith(_KEYS):
        raise unauthorized("Invalid API key: the sandbox takes keys that begin with sk_test_.")


def _fingerprint(request: Request, form: Form) -> str:
    asked = repr((request.url.path, sorted(form.items()))).encode()
    return blake2b(asked, digest_size=16).hexdigest()


def _json(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> Response:
    return Response(body, status, headers, media_type="application/json")
