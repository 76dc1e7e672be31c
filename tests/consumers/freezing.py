"""`python -m tests.consumers.freezing SETTINGS`: a consumer that stops itself, as SIGSTOP does, after its first plan.

SETTINGS is a JSON object. It prints `called` for each call at the gateway, `given back` for each lease that it ends.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from consumers.adapters.inventory.internal import InternalInventory
from consumers.adapters.notifier import LogNotifier
from consumers.order_confirmed import authorize_payment
from consumers.reactions import BY_NAME
from consumers.runtime.engine import Engine
from consumers.runtime.ports import Ports
from deploy.bounds import bounds_of
from deploy.contracts import codec_of
from deploy.playbank.in_process import SimulatedGateway
from deploy.settings import Settings
from deploy.sources import source_maker
from deploy.wiring import rules_of
from domain.operation import GatewayCall, Operation
from domain.ports.gateway import Begin, GatewayAnswer, at_once
from domain.ports.store import Transaction
from outbox.driver.connections import Connections
from outbox.store import PostgresStore
from tests.consumers.harness import now


class Telling(SimulatedGateway):
    """A gateway that says when it is called."""

    async def perform(
        self, calls: Sequence[GatewayCall], begin: Begin = at_once
    ) -> AsyncIterator[Sequence[GatewayAnswer]]:
        """Say so, for each."""
        calls = [call for call in calls if begin(call)]
        for _ in calls:
            say("called")
        async for group in super().perform(calls):
            yield group


class Freezing:
    """A store after whose first transaction the process stops."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store
        self.frozen = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @asynccontextmanager
    async def transaction(self, *, contended: bool = False) -> AsyncIterator[Transaction]:
        """Commit, then stop until somebody says go on."""
        async with self._store.transaction(contended=contended) as transaction:
            yield transaction
        if not self.frozen:
            self.frozen = True
            os.kill(os.getpid(), signal.SIGSTOP)

    async def give_back(self, operations: Sequence[Operation]) -> None:
        """Say so, for each."""
        await self._store.give_back(operations)
        for _ in operations:
            say("given back")


def say(what: str) -> None:
    sys.stdout.write(what + "\n")
    sys.stdout.flush()


async def main(settings: Settings) -> None:
    """Consume OrderConfirmed until killed."""
    codec = codec_of(settings)
    store = Freezing(PostgresStore(Connections(settings.psycopg_url(), 4), codec.encode, prefix=settings.topic_prefix))
    gateway = Telling(now, asyncio.sleep)
    ports = Ports(store, gateway, InternalInventory(), LogNotifier(), codec.decode, codec)
    engine = Engine(ports, BY_NAME, rules_of(settings), bounds_of(settings))
    await engine.run(asyncio.Event(), [authorize_payment], source_maker(settings), sweep=False)


if __name__ == "__main__":
    asyncio.run(main(Settings(**json.loads(sys.argv[1]))))
