"""How a call that changes something is answered: with its fault, and once for each key."""

import asyncio
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import orjson
from starlette.requests import Request
from starlette.responses import Response

from deploy.standins.connections import Reset, bad_gateway, cut, hold
from deploy.stockhouse import problems
from deploy.stockhouse.bodies import CallKind
from deploy.stockhouse.calls import perform
from deploy.stockhouse.faults import Fault, FaultsOfAll, fault_of, garbled, names_fault
from deploy.stockhouse.journal import Memory, Stored
from deploy.stockhouse.problems import CONTENT_TYPE, Problem
from deploy.stockhouse.warehouse import Warehouse

JSON: Final = "application/json"


class Asked(NamedTuple):
    """A call that changes something. document: its body, read but not checked."""

    kind: CallKind
    thing_id: str
    key: str
    document: object

    @property
    def fingerprint(self) -> str:
        """Return what must be the same when the key comes again."""
        content = orjson.dumps([self.kind, self.thing_id, self.document], option=orjson.OPT_SORT_KEYS)
        return blake2b(content, digest_size=16).hexdigest()


class KeyedCalls:
    """Executes calls. A key that was answered gets the same answer again."""

    def __init__(self, warehouse: Warehouse, memory: Memory, faults: FaultsOfAll) -> None:
        self._warehouse = warehouse
        self._memory = memory
        self._faults = faults
        self._running: set[str] = set()

    async def alone(self, request: Request, asked: Asked) -> Response:
        """Answer a call that came alone. Raises Problem."""
        fault = self._fault(asked)
        return await played(fault, request, lambda: self._answer(asked, fault))

    async def in_batch(self, asked: Asked) -> dict[str, Any] | None:
        """Answer a call of a batch, with its own fault; None: its answer is lost. `flush` comes after all."""
        try:
            fault = self._fault(asked)
            match fault:
                case Fault.RESET_BEFORE | Fault.TIMEOUT_BEFORE:
                    return None
                case Fault.TOO_MANY:
                    raise problems.too_many()
                case Fault.UNAVAILABLE:
                    raise problems.unavailable()
                case Fault.HTML:
                    return {"key": asked.key, "status": 502, "body": bytes(bad_gateway().body).decode()}
                case _:
                    pass
            stored = await self._execute(asked, fault)
        except Problem as problem:
            answer = {"key": asked.key, "status": problem.status, "body": problem.body}
            return answer if problem.retry_after_s is None else {**answer, "retry_after_s": problem.retry_after_s}
        match fault:
            case Fault.RESET_AFTER | Fault.TIMEOUT_AFTER | Fault.TRUNCATED:
                return None
            case Fault.BROKEN_AFTER:
                return {"key": asked.key, "status": 500, "body": problems.broken().body}
            case Fault.GARBAGE | Fault.MIXED_UP:
                return {"key": asked.key, "status": 200, "body": orjson.loads(garbled(fault, stored.body))}
            case _:
                return {"key": asked.key, "status": stored.status, "body": orjson.loads(stored.body)}

    def lookup_fault(self, thing_id: str, skus: list[str]) -> Fault | None:
        """Return the fault of reading one hold or restock."""
        if not names_fault(skus):
            return None
        fault = fault_of(skus, "LOOKUP", self._memory.strike(f"lookup:{thing_id}"))
        self._memory.flush()
        return fault

    async def _answer(self, asked: Asked, fault: Fault | None) -> Response:
        stored = await self._execute(asked, fault)
        self._memory.flush()
        return answer_of(stored)

    def _fault(self, asked: Asked) -> Fault | None:
        skus = self._skus(asked)
        if not names_fault(skus):
            return None
        fault = fault_of(skus, asked.kind.upper(), self._memory.strike(asked.key))
        self._memory.flush()
        return fault

    def _skus(self, asked: Asked) -> list[str]:
        """Return the SKUs that a call is about: those it names, else those of its hold."""
        lines = asked.document.get("lines") if isinstance(asked.document, dict) else None
        if isinstance(lines, list):
            named = [line.get("sku") for line in lines if isinstance(line, dict)]
            return [sku for sku in named if isinstance(sku, str)]
        known = self._warehouse.holds.get(asked.thing_id)
        return [] if known is None else list(known.lines)

    async def _execute(self, asked: Asked, fault: Fault | None) -> Stored:
        """Execute it, or repeat the answer of its key. Raises Problem for what no key remembers."""
        if asked.key in self._running:
            raise problems.key_running()
        stored = self._memory.stored(asked.key)
        if stored is not None:
            if stored.fingerprint != asked.fingerprint:
                raise problems.key_reused()
            return stored
        if fault is Fault.SLOW:
            self._running.add(asked.key)
            try:
                await asyncio.sleep(self._faults.slow_s)
            finally:
                self._running.discard(asked.key)
        self._warehouse.lapse()
        hold = restock = None
        try:
            done = perform(self._warehouse, asked.kind, asked.thing_id, asked.document, asked.key)
            status, body, hold, restock = 200, done.body, done.hold, done.restock
        except Problem as problem:
            if not problem.remembered:
                raise
            status, body = problem.status, problem.body
        stored = Stored(asked.fingerprint, status, orjson.dumps(body), self._warehouse.now())
        self._memory.remember(asked.key, stored, hold, restock)
        return stored


async def played(fault: Fault | None, request: Request, answer: Callable[[], Awaitable[Response]]) -> Response:
    """Answer with a fault. One that is slow is so by itself. Raises Problem."""
    match fault:
        case None | Fault.SLOW:
            return await answer()
        case Fault.RESET_BEFORE:
            return Reset()
        case Fault.TIMEOUT_BEFORE:
            return await hold(request)
        case Fault.UNAVAILABLE:
            raise problems.unavailable()
        case Fault.TOO_MANY:
            raise problems.too_many()
        case Fault.HTML:
            return bad_gateway()
        case _:
            return await _spoilt(fault, request, await answer())


async def _spoilt(fault: Fault, request: Request, truth: Response) -> Response:
    """Lose or spoil the answer of what was executed. Raises Problem."""
    match fault:
        case Fault.RESET_AFTER:
            return Reset()
        case Fault.TIMEOUT_AFTER:
            return await hold(request)
        case Fault.BROKEN_AFTER:
            raise problems.broken()
        case Fault.TRUNCATED:
            return Response(cut(bytes(truth.body)), truth.status_code, media_type=truth.media_type)
        case _:
            return Response(garbled(fault, bytes(truth.body)), 200, media_type=JSON)


def answer_of(stored: Stored) -> Response:
    """Return an executed call's answer."""
    return Response(stored.body, stored.status, media_type=JSON if stored.status == 200 else CONTENT_TYPE)


def refusal(problem: Problem) -> Response:
    """Return a refusal."""
    headers = {} if problem.retry_after_s is None else {"Retry-After": str(problem.retry_after_s)}
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(orjson.dumps(problem.body), problem.status, headers, media_type=CONTENT_TYPE)
