"""Stripe's list of events through the SDK, from the sandbox: page after page, and what is not ours is passed over."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from consumers.adapters.gateway.stripe_adapter import StripeGateway
from domain.errors import Transient
from domain.notices import Notice
from tests.sandbox.client import client_of
from tests.sandbox.process import SandboxProcess, running

KEY = "sk_test_events"
OPERATION = "00000000-0000-0000-0000-000000000001"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """Run a sandbox with 120 authorizations of ours and one of somebody else's."""
    with running(tmp_path_factory.mktemp("events") / "journal") as process, client_of(process.address) as client:
        client.intent()
        for number in range(120):
            client.intent(**{"metadata[order_id]": f"order-{number}", "metadata[operation_id]": OPERATION})
        yield process


@pytest.fixture
async def gateway(sandbox: SandboxProcess) -> AsyncIterator[StripeGateway]:
    made = StripeGateway(KEY, api_base=sandbox.address)
    yield made
    await made.close()


async def read_all(gateway: StripeGateway, since: datetime) -> list[Notice]:
    found: list[Notice] = []
    after: str | None = None
    while True:
        page = await gateway.events.list_notices(since, after)
        found += page.notices
        after = page.after
        if after is None:
            return found


async def test_all_events_of_ours_are_read_newest_first_over_several_pages(gateway: StripeGateway) -> None:
    first = await gateway.events.list_notices(LONG_AGO, None)
    assert (len(first.notices), first.after, first.newest) == (
        100,
        first.notices[-1].notice_id,
        first.notices[0].occurred_at,
    )
    found = await read_all(gateway, LONG_AGO)
    assert [notice.order_id for notice in found] == [f"order-{number}" for number in reversed(range(120))]
    assert {notice.type for notice in found} == {"payment_intent.amount_capturable_updated"}


async def test_nothing_older_is_read(gateway: StripeGateway) -> None:
    newest = (await gateway.events.list_notices(LONG_AGO, None)).newest
    assert newest is not None
    assert await read_all(gateway, newest + timedelta(seconds=1)) == []


async def test_a_place_that_the_gateway_has_forgotten_is_an_error_that_may_pass(gateway: StripeGateway) -> None:
    with pytest.raises(Transient, match="resource_missing"):
        await gateway.events.list_notices(LONG_AGO, "evt_gone")


async def test_a_gateway_that_does_not_answer_is_an_error_that_may_pass(
    gateway: StripeGateway, sandbox: SandboxProcess
) -> None:
    async with httpx.AsyncClient(base_url=sandbox.address, trust_env=False) as http:
        await http.post("/sandbox/faults", json={"down": True})
        with pytest.raises(Transient, match="Stripe does not answer"):
            await gateway.events.list_notices(LONG_AGO, None)
        await http.post("/sandbox/faults", json={"down": False})


async def test_a_key_that_is_refused_is_an_error_of_this_reader_alone(sandbox: SandboxProcess) -> None:
    gateway = StripeGateway("pk_wrong", api_base=sandbox.address)
    try:
        with pytest.raises(Transient, match="401"):
            await gateway.events.list_notices(LONG_AGO, None)
    finally:
        await gateway.close()
