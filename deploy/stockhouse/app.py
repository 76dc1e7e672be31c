"""The inventory sandbox as an ASGI application: the calls of the contract, and who may make them."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping
from hashlib import blake2b
from typing import Any, Final

import orjson
from pydantic import TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from deploy.standins.connections import Gone, Reset
from deploy.stockhouse import lists, problems
from deploy.stockhouse.bodies import KEY, Batch, CallKind, IdText, check, read, written
from deploy.stockhouse.calls import HOLD_MAX_S, hold_json, restock_json
from deploy.stockhouse.faults import Fault, FaultsOfAll
from deploy.stockhouse.journal import Memory
from deploy.stockhouse.keyed import JSON, Asked, KeyedCalls, played, refusal
from deploy.stockhouse.ours import Ours
from deploy.stockhouse.problems import Problem
from deploy.stockhouse.warehouse import Warehouse

BODY_BYTES_MAX: Final = 8 * 2**20
"""A batch of a hundred calls with the longest lists of lines is no larger."""
BATCH_MAX: Final = 100
_ID: Final = TypeAdapter(IdText)
Endpoint = Callable[[Request, bytes], Awaitable[Response]]
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Stockhouse:
    """The endpoints of the contract. token: callers must send it; None: nothing. batch_max: 0: there are no batches."""

    def __init__(self, warehouse: Warehouse, memory: Memory, token: str | None, batch_max: int) -> None:
        self._warehouse = warehouse
        self._memory = memory
        self._token = token
        self._batch_max = batch_max
        self.faults = FaultsOfAll()
        self._keyed = KeyedCalls(warehouse, memory, self.faults)

    def routes(self) -> list[Route]:
        """Return every route of the contract."""
        hold, restock = "/v1/holds/{id}", "/v1/restocks/{id}"
        changes = [
            self._route(f"{hold}/{kind}", POST=self._changes(kind))
            for kind in (CallKind.CONFIRM, CallKind.RELEASE, CallKind.EXTEND)
        ]
        return [
            self._route("/v1", GET=self._about),
            self._route("/v1/holds", GET=self._holds),
            self._route("/v1/stock", GET=self._stock),
            self._route(hold, PUT=self._changes(CallKind.RESERVE), GET=self._hold),
            *changes,
            self._route(restock, POST=self._changes(CallKind.RESTOCK), GET=self._restock),
            *([self._route("/v1/batch", POST=self._batch)] if self._batch_max else []),
        ]

    def nowhere(self) -> Route:
        """Return the route of everything else."""
        return self._route("/{path:path}", **dict.fromkeys(METHODS, _nowhere))

    def _route(self, path: str, **endpoints: Endpoint) -> Route:
        async def guarded(request: Request) -> Response:
            if self.faults.down:
                return Reset()
            try:
                self._authenticate(request)
                endpoint = endpoints.get(request.method)
                if endpoint is None:
                    raise problems.wrong_method(list(endpoints))
                body = await _body(request)
                fault = self.faults.draw(_name(request, body))
                if fault is Fault.SLOW:
                    await asyncio.sleep(self.faults.slow_s)
                return await played(fault, request, lambda: endpoint(request, body))
            except Problem as problem:
                answer = refusal(problem)
                if problem.status == 405:
                    answer.headers["Allow"] = ", ".join(endpoints)
                return answer
            except ClientDisconnect:
                return Gone()

        return Route(path, guarded, methods=METHODS)

    def _authenticate(self, request: Request) -> None:
        given = request.headers.get("authorization", "")
        if self._token is not None and not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
            raise problems.unauthorized()

    def _changes(self, kind: CallKind) -> Endpoint:
        async def change(request: Request, body: bytes) -> Response:
            thing_id, keys = _id(request), request.headers.getlist("idempotency-key")
            if len(keys) != 1 or not KEY.fullmatch(keys[0]):
                raise problems.key_missing()
            return await self._keyed.alone(request, Asked(kind, thing_id, keys[0], _document(request, body)))

        return change

    async def _batch(self, request: Request, body: bytes) -> Response:
        batch = check(Batch, _document(request, body))
        if len(batch.calls) > self._batch_max:
            raise problems.invalid({"/calls": f"at most {self._batch_max} calls are in one batch"})
        for name in ("key", "id"):
            if len({getattr(call, name) for call in batch.calls}) < len(batch.calls):
                raise problems.invalid({"/calls": f"no two calls of a batch have the same {name}"})
        asked = [Asked(call.call, call.id, call.key, call.body) for call in batch.calls]
        answers = await asyncio.gather(*(self._keyed.in_batch(one) for one in asked))
        self._memory.flush()
        return _json({"answers": [answer for answer in answers if answer is not None]})

    async def _about(self, request: Request, _body: bytes) -> Response:
        lists.query(request, ())
        return _json(
            {
                "version": "1",
                "now": written(self._warehouse.now()),
                "batch_max": self._batch_max,
                "page_max": lists.PAGE_MAX,
                "body_bytes_max": BODY_BYTES_MAX,
                "hold_max_s": HOLD_MAX_S,
            }
        )

    async def _hold(self, request: Request, _body: bytes) -> Response:
        thing_id = _id(request)
        known = self._warehouse.holds.get(thing_id)

        async def answer() -> Response:
            self._settle()
            hold = self._warehouse.holds.get(thing_id)
            if hold is None:
                raise problems.unknown_hold()
            return _json(hold_json(hold))

        return await self._looked_up(request, thing_id, list(known.lines) if known else [], answer)

    async def _restock(self, request: Request, _body: bytes) -> Response:
        thing_id = _id(request)
        known = self._warehouse.restocks.get(thing_id)

        async def answer() -> Response:
            self._settle()
            if known is None:
                raise problems.unknown_restock()
            return _json(restock_json(known))

        return await self._looked_up(request, thing_id, list(known.lines) if known else [], answer)

    async def _looked_up(
        self, request: Request, thing_id: str, skus: list[str], answer: Callable[[], Awaitable[Response]]
    ) -> Response:
        lists.query(request, ())
        fault = self._keyed.lookup_fault(thing_id, skus)
        if fault is Fault.SLOW:
            await asyncio.sleep(self.faults.slow_s)
        return await played(fault, request, answer)

    async def _holds(self, request: Request, _body: bytes) -> Response:
        self._settle()
        return _json(lists.holds(self._warehouse, lists.query(request, ("since", "after", "limit"))))

    async def _stock(self, request: Request, _body: bytes) -> Response:
        self._settle()
        return _json(lists.stock(self._warehouse, lists.query(request, ("after", "limit"))))

    def _settle(self) -> None:
        """Before somebody reads: let lapse what is over, and write down what they will see."""
        self._warehouse.lapse()
        self._memory.flush()


def create_app(
    warehouse: Warehouse, memory: Memory, *, token: str | None = None, batch_max: int = BATCH_MAX
) -> Starlette:
    """Return the application. memory: that of the warehouse."""
    house = Stockhouse(warehouse, memory, token, batch_max)
    ours = Ours(warehouse, memory, house.faults)
    return Starlette(routes=[*house.routes(), *ours.routes(), house.nowhere()])


async def _body(request: Request) -> bytes:
    """Read a body of at most BODY_BYTES_MAX."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_BYTES_MAX:
            raise problems.too_large(BODY_BYTES_MAX)
        parts.append(part)
    return b"".join(parts)


def _document(request: Request, body: bytes) -> object:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise problems.malformed("Send JSON, with the header Content-Type: application/json.", 415)
    return read(body)


def _id(request: Request) -> str:
    try:
        return _ID.validate_python(request.path_params["id"])
    except ValidationError:
        raise problems.invalid({"": "the id in the path is a UUID in lower case"}) from None


def _name(request: Request, body: bytes) -> str:
    """Return what stays the same when a call is repeated."""
    key = request.headers.get("idempotency-key")
    return key or f"{request.method} {request.url.path}?{request.url.query} {blake2b(body, digest_size=16).hexdigest()}"


def _json(document: Mapping[str, Any]) -> Response:
    return Response(orjson.dumps(document), media_type=JSON)


async def _nowhere(_request: Request, _body: bytes) -> Response:
    raise problems.unknown_url()
