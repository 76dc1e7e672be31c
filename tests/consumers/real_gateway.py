"""A pipeline in the test's process whose gateway is the real adapter, before a sandbox that is a process of its own."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest_asyncio

from consumers.adapters.gateway.stripe_adapter import StripeGateway
from deploy.playbank.ledger import SandboxLedger
from domain.ports.gateway import LedgerEntry
from tests.consumers.between import Between, between
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import Member, Pipeline
from tests.sandbox.process import running


class Gateway(StripeGateway):
    """The real adapter, with the sandbox's ledger for the audit."""

    def __init__(self, api_base: str, ledger: str, timeout_s: float) -> None:
        super().__init__(
            "sk_test_faults", api_base=api_base, concurrency=128, timeout_s=timeout_s, connect_timeout_s=timeout_s
        )
        self._ledger = SandboxLedger(ledger)

    async def entries(self) -> Sequence[LedgerEntry]:
        """Return the sandbox's transactions."""
        return await self._ledger.entries()


class World(NamedTuple):
    """A pipeline whose gateway is the real adapter, and what stands between it and the sandbox."""

    pipeline: Pipeline
    proxy: Between

    async def join(self, *arguments: Any, **named: Any) -> Member:
        """Start a process, as Pipeline.join."""
        return await self.pipeline.join(*arguments, **named)


MakeWorld = Callable[..., Awaitable[World]]


@pytest_asyncio.fixture
async def make_world(make_pipeline: MakePipeline, tmp_path: Path) -> AsyncIterator[MakeWorld]:
    """Make the test's world with settings of its own; no process runs in it yet."""
    async with AsyncExitStack() as stack:

        async def make(timeout_s: float = 1.0, **settings: Any) -> World:
            sandbox = stack.enter_context(running(tmp_path / "ledger.jsonl", pending_s=0.3))
            proxy = await stack.enter_async_context(between(sandbox.address))
            quick = {"gateway_timeout_s": timeout_s, "unknown_retry_s": 0.2, "backoff_max_s": 1.0}
            pipeline = await make_pipeline(**{**quick, **settings})
            gateway: Any = Gateway(proxy.address, sandbox.address, timeout_s)
            stack.push_async_callback(gateway.close)
            pipeline.gateway = gateway
            return World(pipeline, proxy)

        yield make
