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
from deploy.sandbox import creating, operations, params, reading, signing
from deploy.sandbox.creating import Done
from deploy.sandbox.customer import Customer
from deploy.sandbox.errors import ApiError, invalid, missing
from deploy.sandbox.faults import GlobalFaults, Reset
from deploy.sandbox.journal import Memory
from deploy.sandbox.keyed import KeyedRequests, json_answer
from deploy.sandbox.params import Form
from deploy.sandbox.render import ledger_json
from domain.operation import OperationKind


class Sandbox:
    """The endpoints."""

    def __init__(self, bank: Bank, memory: Memory) -> None:
        self._bank = bank
        self._faults_of_all = GlobalFaults()
        self._keyed = KeyedRequests(bank, memory, self._faults_of_all)
        self._customer = Customer(bank, memory)

    def routes(self) -> list[Route]:
        """Return every route."""
        return [*self._of_intents(), *self._of_others(), *self._ours()]

    def _of_intents(self) -> list[Route]:
        intents, one = "/v1/payment_intents", "/v1/payment_intents/{id}"
        return [
            self._post(intents, self._create),
            self._get(intents, reading.list_intents),
            self._get(one, reading.get_intent),
            self._post(one, partial(self._change, None, operations.update)),
            self._post(f"{one}/confirm", self._confirm),
            self._post(f"{one}/capture", partial(self._change, OperationKind.CAPTURE, operations.capture)),
            self._post(f"{one}/cancel", partial(self._change, OperationKind.VOID, operations.cancel)),
        ]

    def _of_others(self) -> list[Route]:
        return [
            self._get("/v1/charges/{id}", reading.get_charge),
            self._post("/v1/payment_methods", self._create_method),
            self._get("/v1/payment_methods/{id}", reading.get_method),
            self._post("/v1/refunds", self._refund),
            self._get("/v1/refunds", reading.list_refunds),
            self._get("/v1/refunds/{id}", reading.get_refund),
            self._post("/v1/refunds/{id}", self._update_refund),
        ]

    def _ours(self) -> list[Route]:
        methods = ["GET", "POST", "DELETE", "PUT", "PATCH"]
        return [
            Route("/sandbox/ledger", self._ledger, methods=["GET"]),
            Route("/sandbox/faults", self._faults, methods=["POST"]),
            Route("/sandbox/health", self._health, methods=["GET"]),
            Route("/sandbox/3ds/{id}", self._act, methods=["GET", "POST"]),
            Route("/{path:path}", self._guard(_unknown_url), methods=methods),
        ]

    def _post(self, path: str, endpoint: Callable[[Request], Any]) -> Route:
        return Route(path, self._guard(endpoint), methods=["POST"])

    def _get(self, path: str, read: Callable[[Bank, Form, Mapping[str, Any]], dict[str, Any]]) -> Route:
        return Route(path, self._guard(self._read(read)), methods=["GET"])

    def _guard(self, endpoint: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def guarded(request: Request) -> Response:
            if self._faults_of_all.down:
                return Reset()
            signing.begin(request)
            try:
                signing.authenticate(request)
                signing.check_version(request)
                answer: Response = await endpoint(request)
            except ApiError as error:
                answer = json_answer(error.status, error.body())
            return signing.sign(request, answer)

        return guarded

    def _read(self, read: Callable[[Bank, Form, Mapping[str, Any]], dict[str, Any]]) -> Callable[[Request], Any]:
        async def get(request: Request) -> Response:
            form = params.parse(str(request.url.query).encode())
            return json_answer(200, orjson.dumps(read(self._bank, form, request.path_params)))

        return get

    async def _create(self, request: Request) -> Response:
        form = params.parse(await request.body())
        kind = OperationKind.AUTHORIZE if form.get("confirm") == "true" else None

        def execute(key: str) -> Done:
            return creating.create(self._bank, form, key, _address(request))

        return await self._keyed.answer(request, form, kind, form.get("payment_method"), execute)

    async def _confirm(self, request: Request) -> Response:
        change = partial(creating.confirm, address=_address(request))
        return await self._change(OperationKind.AUTHORIZE, change, request)

    async def _create_method(self, request: Request) -> Response:
        form = params.parse(await request.body())
        return await self._keyed.answer(request, form, None, None, partial(operations.create_method, self._bank, form))

    async def _change(
        self, kind: OperationKind | None, change: Callable[[Bank, Intent, Form, str], Done], request: Request
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
        kind: OperationKind | None,
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

    async def _update_refund(self, request: Request) -> Response:
        form = params.parse(await request.body())
        refund_id = request.path_params["id"]

        def execute(key: str) -> Done:
            made = self._bank.refund_made(refund_id)
            if made is None:
                raise missing("refund", refund_id, "refund")
            return operations.update_refund(self._bank, made, form, key)

        return await self._keyed.answer(request, form, None, None, execute)

    async def _act(self, request: Request) -> Response:
        try:
            return await self._customer.answer(request)
        except ApiError as error:
            return json_answer(error.status, error.body())

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


def _address(request: Request) -> str:
    return str(request.base_url).rstrip("/")
