"""The sandbox as an ASGI application: its routes. Requests that change something go through `keyed.py`."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deploy.playbank.bank import Bank, Intent
from deploy.sandbox import operations, params, reading
from deploy.sandbox.errors import ApiError, invalid, missing, unauthorized
from deploy.sandbox.event_list import get_event, list_events
from deploy.sandbox.faults import GlobalFaults, Reset
from deploy.sandbox.journal import Memory
from deploy.sandbox.keyed import KeyedRequests, json_answer
from deploy.sandbox.operations import Done
from deploy.sandbox.params import Form
from deploy.sandbox.render import ledger_json
from domain.operation import OperationKind

_KEYS = ("sk_test_", "rk_test_")


class Sandbox:
    """The endpoints."""

    def __init__(self, bank: Bank, memory: Memory) -> None:
        self._bank = bank
        self._faults_of_all = GlobalFaults()
        self._events = memory.events
        self._keyed = KeyedRequests(bank, memory, self._faults_of_all)

    def routes(self) -> list[Route]:
        """Return every route."""
        intents = "/v1/payment_intents"
        return [
            Route(intents, self._guard(self._create), methods=["POST"]),
            Route(intents, self._guard(self._read(reading.list_intents)), methods=["GET"]),
            Route(f"{intents}/{{id}}", self._guard(self._read(reading.get_intent)), methods=["GET"]),
            Route(
                f"{intents}/{{id}}/capture",
                self._guard(partial(self._change, OperationKind.CAPTURE, operations.capture)),
                methods=["POST"],
            ),
            Route(
                f"{intents}/{{id}}/cancel",
                self._guard(partial(self._change, OperationKind.VOID, operations.cancel)),
                methods=["POST"],
            ),
            Route("/v1/payment_methods", self._guard(self._create_method), methods=["POST"]),
            Route("/v1/refunds", self._guard(self._refund), methods=["POST"]),
            Route("/v1/refunds", self._guard(self._read(reading.list_refunds)), methods=["GET"]),
            Route("/v1/refunds/{id}", self._guard(self._read(reading.get_refund)), methods=["GET"]),
            Route("/v1/events", self._guard(self._list_events), methods=["GET"]),
            Route("/v1/events/{id}", self._guard(self._get_event), methods=["GET"]),
            Route("/sandbox/ledger", self._ledger, methods=["GET"]),
            Route("/sandbox/faults", self._faults, methods=["POST"]),
            Route("/sandbox/health", self._health, methods=["GET"]),
            Route("/{path:path}", self._guard(_unknown_url), methods=["GET", "POST", "DELETE", "PUT", "PATCH"]),
        ]

    def _guard(self, endpoint: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def guarded(request: Request) -> Response:
            if self._faults_of_all.down:
                return Reset()
            try:
                _authenticate(request)
                answer: Response = await endpoint(request)
            except ApiError as error:
                return json_answer(error.status, error.body())
            return answer

        return guarded

    def _read(self, read: Callable[[Bank, Form, Mapping[str, Any]], dict[str, Any]]) -> Callable[[Request], Any]:
        async def get(request: Request) -> Response:
            form = params.parse(str(request.url.query).encode())
            return json_answer(200, orjson.dumps(read(self._bank, form, request.path_params)))

        return get

    async def _create(self, request: Request) -> Response:
        form = params.parse(await request.body())
        kind = OperationKind.AUTHORIZE if form.get("confirm") == "true" else None
        execute = partial(operations.create, self._bank, form)
        return await self._keyed.answer(request, form, kind, form.get("payment_method"), execute)

    async def _create_method(self, request: Request) -> Response:
        form = params.parse(await request.body())
        return await self._keyed.answer(request, form, None, None, partial(operations.create_method, self._bank, form))

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

        return await self._keyed.answer(request, form, kind, token, execute)

    async def _list_events(self, request: Request) -> Response:
        return json_answer(200, list_events(self._events, params.parse(str(request.url.query).encode())))

    async def _get_event(self, request: Request) -> Response:
        form = params.parse(str(request.url.query).encode())
        return json_answer(200, get_event(self._events, request.path_params["id"], form))

    async def _ledger(self, _request: Request) -> Response:
        return json_answer(200, orjson.dumps(ledger_json(self._bank)))

    async def _faults(self, request: Request) -> Response:
        try:
            self._faults_of_all.change(await request.body())
        except ApiError as error:
            return json_answer(error.status, error.body())
        return json_answer(200, orjson.dumps(self._faults_of_all))

    async def _health(self, _request: Request) -> Response:
        return json_answer(200, b'{"status":"ok"}')


def create_app(bank: Bank, memory: Memory) -> Starlette:
    """Return the application. memory: that of the bank."""
    return Starlette(routes=Sandbox(bank, memory).routes())


async def _unknown_url(request: Request) -> Response:
    raise invalid(f"Unrecognized request URL ({request.method}: {request.url.path}).", status=404)


def _authenticate(request: Request) -> None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise unauthorized("You did not provide an API key: send it as a Bearer token.")
    if not key.startswith(_KEYS):
        raise unauthorized("Invalid API key: the sandbox takes keys that begin with sk_test_.")
