"""What is no part of the contract: the stock is set, faults are set, and the ledger tells what truly happened."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deploy.stockhouse.bodies import UNITS_MOST, check, read, written
from deploy.stockhouse.calls import hold_json, restock_json
from deploy.stockhouse.faults import FaultsOfAll
from deploy.stockhouse.journal import Memory
from deploy.stockhouse.keyed import refusal
from deploy.stockhouse.problems import Problem, invalid
from deploy.stockhouse.warehouse import Hold, Warehouse
from schemas.fields import SkuText

SKUS_MAX = 100_000


class Free(BaseModel):
    """How many whole units of a SKU are to be free."""

    model_config = ConfigDict(extra="forbid", strict=True)

    available: Annotated[int, Field(ge=0, le=UNITS_MOST)]


class ManyFree(BaseModel):
    """How many whole units of each SKU are to be free."""

    model_config = ConfigDict(extra="forbid", strict=True)

    available: Annotated[dict[SkuText, Annotated[int, Field(ge=0, le=UNITS_MOST)]], Field(max_length=SKUS_MAX)]


class Ours:
    """These endpoints. No fault hits them."""

    def __init__(self, warehouse: Warehouse, memory: Memory, faults: FaultsOfAll) -> None:
        self._warehouse = warehouse
        self._memory = memory
        self._faults = faults

    def routes(self) -> list[Route]:
        """Return every route."""
        return [
            Route("/inventory/health", self._health, methods=["GET"]),
            Route("/inventory/faults", _refusing(self._change_faults), methods=["POST"]),
            Route("/inventory/stock", _refusing(self._set_many), methods=["PUT"]),
            Route("/inventory/stock/{sku:path}", _refusing(self._set), methods=["PUT"]),
            Route("/inventory/ledger", self._ledger, methods=["GET"]),
        ]

    async def _health(self, _request: Request) -> Response:
        return _json({"status": "ok"})

    async def _change_faults(self, request: Request) -> Response:
        self._faults.change(await request.body())
        return _json(self._faults.shown())

    async def _set(self, request: Request) -> Response:
        free = check(Free, read(await request.body()))
        many = check(ManyFree, {"available": {request.path_params["sku"]: free.available}})
        return self._put(many)

    async def _set_many(self, request: Request) -> Response:
        return self._put(check(ManyFree, read(await request.body())))

    def _put(self, wanted: ManyFree) -> Response:
        self._warehouse.lapse()
        put_in = {}
        for sku, free in wanted.available.items():
            shelf = self._warehouse.shelf(sku)
            put_in[sku] = free if shelf is None else free + shelf.held + shelf.sold
            if put_in[sku] > UNITS_MOST:
                raise invalid({"/available": "so many units cannot be counted"})
        for sku, units in put_in.items():
            self._memory.set_stock(sku, units)
        self._memory.flush()
        return _json({"stock": [self._stock(sku) for sku in put_in]})

    async def _ledger(self, _request: Request) -> Response:
        self._warehouse.lapse()
        self._memory.flush()
        return _json(
            {
                "stock": [self._stock(sku) for sku in self._warehouse.skus()],
                "holds": [_with_effects(hold) for hold in self._warehouse.made()],
                "restocks": [{**restock_json(back), "key": back.key} for back in self._warehouse.restocks.values()],
            }
        )

    def _stock(self, sku: str) -> dict[str, Any]:
        shelf = self._warehouse.shelf(sku)
        assert shelf is not None, "this SKU is known"
        return {"sku": sku, "put_in": self._warehouse.put_in[sku], **shelf._asdict()}


def _with_effects(hold: Hold) -> dict[str, Any]:
    effects = [{"kind": kind, "key": key, "at": written(at)} for kind, key, at in hold.effects]
    return {**hold_json(hold), "effects": effects}


def _refusing(endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def refusing(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Problem as problem:
            return refusal(problem)

    return refusing


def _json(document: object) -> Response:
    return Response(orjson.dumps(document), media_type="application/json")
