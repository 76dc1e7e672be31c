"""How a request that changes something is answered: with its fault, and once for each idempotency key.

In this order: the fault of its payment method, what its key remembers, the execution, the journal, the answer.
"""

import asyncio
from collections.abc import Callable, Mapping
from hashlib import blake2b

import orjson
from starlette.requests import Request
from starlette.responses import Response

from deploy.playbank.bank import Bank
from deploy.playbank.methods import SLOW_S, Fault, method_of
from deploy.sandbox.creating import Done
from deploy.sandbox.errors import internal, invalid, key_in_use, key_reused, rate_limited
from deploy.sandbox.faults import GlobalFaults
from deploy.sandbox.journal import Memory, Stored
from deploy.sandbox.params import Form
from deploy.standins.connections import Reset, bad_gateway, cut, hold
from domain.operation import OperationKind

KEY_LENGTH_MAX = 255
_UNEXECUTED: Mapping[Fault, Callable[[], Response]] = {
    Fault.RESET_BEFORE: Reset,
    Fault.HTML: bad_gateway,
    Fault.RATE_LIMITED: lambda: json_answer(429, rate_limited().body()),
}


class KeyedRequests:
    """Executes requests that change something. A key that was answered gets the same answer again."""

    def __init__(self, bank: Bank, memory: Memory, faults_of_all: GlobalFaults) -> None:
        self._bank = bank
        self._memory = memory
        self._faults_of_all = faults_of_all
        self._running: set[str] = set()

    async def answer(
        self,
        request: Request,
        form: Form,
        kind: OperationKind | None,
        token: str | None,
        execute: Callable[[str], Done],
    ) -> Response:
        """Execute a request, or repeat the answer of its key. kind and token: decide on its fault.

        execute: called with the key, or with "" where there is none. Raises ApiError for what no key remembers.
        """
        key = request.headers.get("idempotency-key")
        if key is not None and not 0 < len(key) <= KEY_LENGTH_MAX:
            raise invalid(f"An idempotency key has 1 to {KEY_LENGTH_MAX} characters.")
        fault = self._fault(kind, token, key)
        if fault is Fault.TIMEOUT_BEFORE:
            return await hold(request)
        if fault is not None and fault in _UNEXECUTED:
            return _UNEXECUTED[fault]()
        answer, replayed = await self._execute(request, form, key, fault, execute)
        if fault is Fault.RESET_AFTER:
            return Reset()
        if fault is Fault.TIMEOUT_AFTER:
            return await hold(request)
        headers = _headers(key, answer, replayed=replayed)
        if fault is Fault.TRUNCATED:
            # What cuts the answer is no part of Stripe, and gives no advice of Stripe's.
            headers.pop("Stripe-Should-Retry", None)
            return json_answer(answer.status, cut(answer.body), headers)
        return json_answer(answer.status, answer.body, headers)

    def _fault(self, kind: OperationKind | None, token: str | None, key: str | None) -> Fault | None:
        method = method_of(token) if token is not None else None
        if method is None or kind is None:
            return None
        fault = method.fault_for(kind, self._memory.times_struck(key) if key is not None else 0)
        if fault is not None and key is not None:
            self._memory.strike(key)
        return fault

    async def _execute(
        self, request: Request, form: Form, key: str | None, fault: Fault | None, execute: Callable[[str], Done]
    ) -> tuple[Stored, bool]:
        """Return the answer, and whether it is an earlier one of this key."""
        fingerprint = _fingerprint(request, form)
        if key is not None:
            if key in self._running:
                raise key_in_use()
            stored = self._memory.stored(key)
            if stored is not None:
                if stored.fingerprint != fingerprint:
                    raise key_reused()
                return stored, True
        delay_s = SLOW_S if fault is Fault.SLOW else self._faults_of_all.delay_s(key or "")
        if delay_s:
            await self._wait(key, delay_s)
        done = execute(key or "")
        if fault is Fault.ERROR_AFTER:
            status, body = 500, internal().body()
        elif done.refusal is not None:
            status, body = done.refusal.status, done.refusal.body()
        else:
            status, body = 200, orjson.dumps(done.body)
        answer = Stored(fingerprint, status, body, self._bank.now(), request.state.request_id)
        self._memory.remember(key, answer, done.changed)
        return answer, False

    async def _wait(self, key: str | None, delay_s: float) -> None:
        if key is not None:
            self._running.add(key)
        try:
            await asyncio.sleep(delay_s)
        finally:
            self._running.discard(key or "")


def json_answer(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response whose body is JSON."""
    return Response(body, status, headers, media_type="application/json")


def _headers(key: str | None, answer: Stored, *, replayed: bool) -> dict[str, str]:
    """Return what Stripe says of a key: which request it first came with, and that a retry would change nothing."""
    if key is None:
        return {}
    headers = {"Idempotency-Key": key}
    if answer.request_id:
        headers["Original-Request"] = answer.request_id
    if answer.status < 500:
        headers["Stripe-Should-Retry"] = "false"
    return headers | ({"Idempotent-Replayed": "true"} if replayed else {})


def _fingerprint(request: Request, form: Form) -> str:
    return blake2b(repr((request.url.path, sorted(form.items()))).encode(), digest_size=16).hexdigest()
