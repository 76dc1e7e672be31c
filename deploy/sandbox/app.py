"""The sandbox as an ASGI application: its routes. Requests that change something go through `keyed.py`."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deploy.playbank.bank import Bank, Dispute, Intent, Refund
from deploy.sandbox import creating, disputes, elsewhere, operations, params, reading, signing
from deploy.sandbox.creating import Done
from deploy.sandbox.errors import ApiError, missing
from deploy.sandbox.event_list import get_event, list_events
from deploy.sandbox.events import EventLog
from deploy.sandbox.faults import GlobalFaults
from deploy.sandbox.journal import Memory
from deploy.sandbox.keyed import KeyedRequests, json_answer
from deploy.sandbox.ours import Ours
from deploy.sandbox.params import Form
from deploy.standins.connections import Reset
from domain.operation import OperationKind

_Thing = TypeVar("_Thing", Refund, Dispute)
_Source = TypeVar("_Source", Bank, EventLog)


class Sandbox:
    """The endpoints."""

    def __init__(self, bank: Bank, memory: Memory) -> None:
        self._bank = bank
        self._faults_of_all = GlobalFaults()
        self._events = memory.events
        self._keyed = KeyedRequests(bank, memory, self._faults_of_all)
        self._ours = Ours(bank, memory, self._faults_of_all)

    def routes(self) -> list[Route]:
        """Return every route."""
        methods = ["GET", "POST", "DELETE", "PUT", "PATCH"]
        unknown = self._guard(_unknown_url)
        searches = [Route(f"/v1/{name}/search", unknown, methods=["GET"]) for name in ("payment_intents", "charges")]
        rest = Route("/{path:path}", unknown, methods=methods)
        stripes = [*self._of_intents(), *self._of_others(), *self._of_disputes()]
        return [*searches, *stripes, *self._ours.routes(), rest]

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
            self._post("/v1/test_helpers/confirmation_tokens", partial(self._make, operations.create_token)),
            self._get("/v1/confirmation_tokens/{id}", reading.get_token),
            self._post("/v1/payment_methods", partial(self._make, operations.create_method)),
            self._get("/v1/payment_methods/{id}", reading.get_method),
            self._post("/v1/refunds", self._refund),
            self._get("/v1/refunds", reading.list_refunds),
            self._get("/v1/refunds/{id}", reading.get_refund),
            self._post("/v1/refunds/{id}", partial(self._on_thing, reading.refund_named, operations.update_refund)),
            Route("/v1/events", self._guard(_told(self._events, list_events)), methods=["GET"]),
            Route("/v1/events/{id}", self._guard(_told(self._events, get_event)), methods=["GET"]),
        ]

    def _of_disputes(self) -> list[Route]:
        one, warnings = "/v1/disputes/{id}", "/v1/radar/early_fraud_warnings"
        return [
            self._get("/v1/disputes", disputes.list_disputes),
            self._get(one, disputes.get_dispute),
            self._post(one, partial(self._on_thing, disputes.dispute_named, disputes.update)),
            self._post(f"{one}/close", partial(self._on_thing, disputes.dispute_named, disputes.close)),
            self._get(warnings, disputes.list_warnings),
            self._get(f"{warnings}/{{id}}", disputes.get_warning),
        ]

    def _post(self, path: str, endpoint: Callable[[Request], Any]) -> Route:
        return Route(path, self._guard(endpoint), methods=["POST"])

    def _get(self, path: str, read: Callable[[Bank, Form, Mapping[str, Any]], dict[str, Any]]) -> Route:
        return Route(path, self._guard(_read(self._bank, read)), methods=["GET"])

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

    async def _create(self, request: Request) -> Response:
        form = params.parse(await request.body())
        kind = OperationKind.AUTHORIZE if form.get("confirm") == "true" else None

        def execute(key: str) -> Done:
            return creating.create(self._bank, form, key, _address(request))

        return await self._keyed.answer(request, form, kind, form.get("payment_method"), execute)

    async def _confirm(self, request: Request) -> Response:
        change = partial(creating.confirm, address=_address(request))
        return await self._change(OperationKind.AUTHORIZE, change, request)

    async def _make(self, make: Callable[[Bank, Form, str], Done], request: Request) -> Response:
        form = params.parse(await request.body())
        return await self._keyed.answer(request, form, None, None, partial(make, self._bank, form))

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
        token = form.get("payment_method") or (intent.behaves_as if intent is not None else None)

        def execute(key: str) -> Done:
            now = self._bank.intent(intent_id)
            if now is None:
                raise missing("payment_intent", intent_id, param)
            return change(self._bank, now, form, key)

        return await self._keyed.answer(request, form, kind, token, execute)

    async def _on_thing(
        self, find: Callable[[Bank, str], _Thing], change: Callable[[Bank, _Thing, Form, str], Done], request: Request
    ) -> Response:
        """Change a refund or a dispute. No test method has a fault for that."""
        form = params.parse(await request.body())

        def execute(key: str) -> Done:
            return change(self._bank, find(self._bank, request.path_params["id"]), form, key)

        return await self._keyed.answer(request, form, None, None, execute)


def create_app(bank: Bank, memory: Memory) -> Starlette:
    """Return the application. memory: that of the bank."""
    return Starlette(routes=Sandbox(bank, memory).routes())


def _read(bank: Bank, read: Callable[[Bank, Form, Mapping[str, Any]], dict[str, Any]]) -> Callable[[Request], Any]:
    return _told(bank, lambda bank, form, path: orjson.dumps(read(bank, form, path)))


def _told(source: _Source, read: Callable[[_Source, Form, Mapping[str, Any]], bytes]) -> Callable[[Request], Any]:
    """Return an endpoint that answers from the bank, or from the events, and changes nothing."""

    async def get(request: Request) -> Response:
        form = params.parse(str(request.url.query).encode())
        return json_answer(200, read(source, form, request.path_params))

    return get


async def _unknown_url(request: Request) -> Response:
    raise elsewhere.refusal(request.method, request.url.path)


def _address(request: Request) -> str:
    return str(request.base_url).rstrip("/")
