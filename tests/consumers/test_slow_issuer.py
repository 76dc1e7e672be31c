"""An issuer takes 40 s, the gateway is given up after 20 s, the customer asks again after 25 s: one capture."""

import asyncio

import pytest

from deploy.playbank.methods import Fault
from domain.operation import OperationKind
from schemas.events import NotificationKind
from tests.consumers.between import Seen
from tests.consumers.claims import assert_all_is_well
from tests.consumers.orders import order, retry
from tests.consumers.real_gateway import MakeWorld, World, make_world

__all__ = ["make_world"]

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

ISSUER_S, TIMEOUT_S, RETRY_S, AGAIN_S = 40, 20, 2, 25
UNDECIDED = {"status": "requires_payment_method", "last_payment_error": None, "latest_charge": None}
"""What the gateway shows of a payment while its issuer is silent."""


@pytest.mark.parametrize("scale", [0.1, pytest.param(1.0, marks=pytest.mark.long)])
async def test_a_customer_who_asks_again_while_the_issuer_is_slow_pays_once(
    make_world: MakeWorld, scale: float
) -> None:
    world = await make_world(
        TIMEOUT_S * scale, unknown_retry_s=RETRY_S * scale, backoff_max_s=60 * scale, gateway_connect_timeout_s=1
    )
    pipeline, proxy = world
    await pipeline.stock(SKU_1=10, SKU_2=10)
    await world.join()

    # Of one the gateway shows that nobody has decided yet, of the other nothing before it is decided.
    proxy.seen = {"seen": Seen(OperationKind.AUTHORIZE, UNDECIDED, fault=Fault.TIMEOUT_AFTER, stays=True)}
    await pipeline.publish(order("seen"))
    begun = await _in_the_books(world, "seen")
    await proxy.weather(slow_share=1, slow_s=ISSUER_S * scale)
    await pipeline.publish(order("unseen"))
    await pipeline.until(lambda: _given_up(world), "both were given up", 60)
    await proxy.weather(slow_share=0)

    await _until(world, begun + AGAIN_S * scale)
    assert await pipeline.effects("unseen") == [], "its issuer has not decided"
    await pipeline.publish(retry("seen", after_attempt=1), retry("unseen", after_attempt=1))
    await pipeline.until(lambda: _told_twice(world), "both customers are told to wait")
    assert {await pipeline.status(order_id) for order_id in ("seen", "unseen")} == {"confirmed"}

    await _until(world, begun + ISSUER_S * scale)
    proxy.seen["seen"].over = True
    await pipeline.until_status("paid_and_confirmed", "seen", "unseen")
    await assert_all_is_well(pipeline)
    for order_id in ("seen", "unseen"):
        (entry,) = await pipeline.ledger(order_id)
        assert [effect.kind for effect in entry.effects] == ["authorize", "capture"]
        assert entry.held_minor == 0
        (notice,) = await pipeline.events(order_id, "CustomerNotificationRequested")
        assert notice.kind is NotificationKind.RETRY_REFUSED
        assert "still in progress" in notice.reason
    assert proxy.seen["seen"].shown >= 2, "it was looked up while nobody had decided"


async def _in_the_books(world: World, order_id: str) -> float:
    async def known() -> bool:
        return bool(await world.pipeline.ledger(order_id))

    await world.pipeline.until(known, f"{order_id} at the gateway")
    return asyncio.get_running_loop().time()


async def _given_up(world: World) -> bool:
    return bool(await world.pipeline.value("SELECT count(*) = 2 FROM operation WHERE state = 'unknown'"))


async def _told_twice(world: World) -> bool:
    return bool(await world.pipeline.value("SELECT count(*) = 2 FROM notification WHERE kind = 'RETRY_REFUSED'"))


async def _until(world: World, at: float) -> None:
    """Wait for the scenario's own clock: what happens then is a part of it."""

    async def is_time() -> bool:
        return asyncio.get_running_loop().time() >= at

    await world.pipeline.until(is_time, "time passes", ISSUER_S + 10)
