"""The gateways of the suite, and the sandbox before which the Stripe adapter stands."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from tests.contracts.gateway_worlds import World, simulated_world, stripe_world
from tests.sandbox.process import SandboxProcess, running


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with running(tmp_path_factory.mktemp("sandbox") / "journal.jsonl") as process:
        yield process


@pytest.fixture(params=["simulated", "stripe"])
async def world(request: pytest.FixtureRequest, sandbox: SandboxProcess) -> AsyncIterator[World]:
    made = simulated_world() if request.param == "simulated" else stripe_world(sandbox.address)
    yield made
    await made.gateway.close()


@pytest.fixture
async def closing() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack
