"""The endpoints that are ours, not Stripe's: the ledger, faults on demand, health, the customer, the dashboard."""

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deploy.playbank.bank import Bank
from deploy.sandbox import dashboard
from deploy.sandbox.customer import Customer
from deploy.sandbox.errors import ApiError
from deploy.sandbox.faults import GlobalFaults
from deploy.sandbox.journal import Memory, Stored
from deploy.sandbox.keyed import json_answer
from deploy.sandbox.render import ledger_json


class Ours:
    """Answers below `/sandbox`, without a key. memory: that of the bank."""

    def __init__(self, bank: Bank, memory: Memory, faults_of_all: GlobalFaults) -> None:
        self._bank = bank
        self._memory = memory
        self._faults_of_all = faults_of_all
        self._customer = Customer(bank, memory)

    def routes(self) -> list[Route]:
        """Return every route."""
        return [
            Route("/sandbox/ledger", self._ledger, methods=["GET"]),
            Route("/sandbox/faults", self._faults, methods=["POST"]),
            Route("/sandbox/health", self._health, methods=["GET"]),
            Route("/sandbox/dashboard", self._dashboard, methods=["POST"]),
            Route("/sandbox/3ds/{id}", self._act, methods=["GET", "POST"]),
        ]

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

    async def _dashboard(self, request: Request) -> Response:
        try:
            done = dashboard.act(self._bank, await request.body())
            self._memory.remember(None, Stored("", 200, b"", self._bank.now()), done.changed)
            if done.refusal is not None:
                raise done.refusal
        except ApiError as error:
            return json_answer(error.status, error.body())
        return json_answer(200, orjson.dumps(done.body))

    async def _act(self, request: Request) -> Response:
        try:
            return await self._customer.answer(request)
        except ApiError as error:
            return json_answer(error.status, error.body())
