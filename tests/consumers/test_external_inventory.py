"""With the stock in another system: whatever is lost, late or refused, money and goods agree on both sides."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from consumers.reactions import BY_NAME
from domain.operation import OperationKind
from domain.outcome import Unknown
from schemas.events import Item, Line
from tests.consumers.claims import assert_all_is_well
from tests.consumers.conftest import MakePipeline
from tests.consumers.gateway import Said
from tests.consumers.harness import Pipeline
from tests.consumers.orders import cancel, order, refund
from tests.contracts.inventory_worlds import HttpWorld
from tests.stockhouse.process import StockhouseProcess, running

pytestmark = pytest.mark.integration

FAULTS = (
    *("RESET-BEFORE", "RESET-AFTER", "TIMEOUT-BEFORE", "TIMEOUT-AFTER", "500-AFTER", "503", "429", "HTML"),
    *("TRUNCATED", "GARBAGE", "MIXED-UP"),
)
PAID = ["PaymentAuthorized", "ItemsReserved", "PaidAndConfirmed"]


class Shop:
    """A pipeline whose stock is elsewhere, and a look at that inventory."""

    def __init__(self, pipeline: Pipeline, world: HttpWorld, process: StockhouseProcess) -> None:
        self.pipeline = pipeline
        self.world = world
        self.process = process

    async def hold(self, order_id: str) -> tuple[str, list[str]]:
        """Return the state of the hold of an order there, and what truly happened to it."""
        holds = [one for one in (await self.world.ledger())["holds"] if one["order_id"] == order_id]
        assert len(holds) <= 1
        return (holds[0]["state"], [e["kind"] for e in holds[0]["effects"]]) if holds else ("", [])

    async def all_is_well(self) -> None:
        """Check money and topics as everywhere, and that each hold there is what its order is here."""
        await assert_all_is_well(self.pipeline)
        ledger = await self.world.ledger()
        for one in ledger["stock"]:
            assert one["put_in"] == one["available"] + one["held"] + one["sold"], one
        there = {one["reservation_id"]: one for one in ledger["holds"]}
        for status, reservation, state in await self.pipeline.rows(
            "SELECT o.status, r.reservation_id::text, r.state FROM orders o JOIN reservation r USING (order_id)"
        ):
            sold = state in {"sold", "restocked"}
            assert sold is (there[reservation]["state"] == "confirmed"), (status, state)
        for one in there.values():
            if one["restocked"]:
                continue  # sold, and back again
            (status,) = await self.pipeline.rows("SELECT status FROM orders WHERE order_id = %s", one["order_id"])
            assert (one["state"] == "confirmed") is (status == ("paid_and_confirmed",)), one
            assert one["state"] != "held", one
            kinds = Counter(effect["kind"] for effect in one["effects"])
            assert all(n == 1 for kind, n in kinds.items() if kind != "extend"), one

    async def failed_with(self, order_id: str) -> str:
        """Return the failure code of the order's last PaymentFailed."""
        (*_, failed) = await self.pipeline.events(order_id, "PaymentFailed")
        return str(failed.failure_code)


MakeShop = Callable[..., Awaitable[Shop]]


@pytest.fixture
def stockhouse(tmp_path: Path) -> Iterator[StockhouseProcess]:
    with running(tmp_path / "inventory.jsonl") as process:
        yield process


@pytest_asyncio.fixture
async def make_shop(make_pipeline: MakePipeline, stockhouse: StockhouseProcess) -> AsyncIterator[MakeShop]:
    world = HttpWorld(stockhouse.address)

    async def make(*, join: bool = True, ttl_s: float = 900, **settings: Any) -> Shop:
        """ttl_s: shorter than settings allow, so that a test sees holds lapse."""
        wanted = {"inventory": "http", "inventory_url": stockhouse.address, "inventory_timeout_s": 1} | settings
        pipeline = await make_pipeline(**wanted)
        if join:
            await pipeline.join(reservation_ttl_s=ttl_s)
        return Shop(pipeline, world, stockhouse)

    yield make
    await world.close()


def of(sku: str, order_id: str, token: str = "pm_card_visa", **overrides: Any) -> Any:
    """Make an order for one unit of a SKU."""
    return order(order_id, token, lines=(Line(sku=sku, quantity=1, unit_price_minor=2_550),), **overrides)


async def test_an_order_is_paid_and_its_goods_are_sold_there_after_an_extension(make_shop: MakeShop) -> None:
    shop = await make_shop()
    await shop.world.put_in({"SKU-1": 5, "SKU-2": 5})
    await shop.pipeline.publish(order())
    await shop.pipeline.until_status("paid_and_confirmed", "order-1")
    await shop.all_is_well()
    assert await shop.pipeline.story("order-1") == PAID
    assert await shop.hold("order-1") == ("confirmed", ["reserve", "extend", "confirm"])
    assert await shop.world.shelf("SKU-1") == (3, 0, 2)
    kinds = await shop.pipeline.rows("SELECT kind, state, tries FROM operation ORDER BY opened_at, kind")
    assert Counter(kinds) == Counter(
        (kind, "approved", 1) for kind in ("authorize", "reserve", "extend", "capture", "confirm")
    )
    assert await shop.pipeline.value("SELECT count(*) FROM stock") == 0, "our own stock is not touched"


async def test_every_fault_at_every_call_ends_paid_and_the_goods_are_sold_once(make_shop: MakeShop) -> None:
    shop = await make_shop()
    skus = [f"SKU-FAULT-{fault}-ON-{on}" for fault in FAULTS for on in ("RESERVE", "EXTEND", "CONFIRM")]
    skus += [f"SKU-FAULT-{fault}" for fault in FAULTS] + ["SKU-FAULT-429-ON-LOOKUP", "SKU-FAULT-HTML-ON-LOOKUP"]
    await shop.world.put_in(dict.fromkeys(skus, 1))
    await shop.pipeline.publish(*(of(sku, sku) for sku in skus))
    await shop.pipeline.until_status("paid_and_confirmed", *skus)
    await shop.all_is_well()
    for sku in skus:
        assert await shop.pipeline.story(sku) == PAID, sku
        assert await shop.world.shelf(sku) == (0, 0, 1), sku


async def test_every_fault_of_a_release_ends_with_the_goods_free_again(make_shop: MakeShop) -> None:
    shop = await make_shop()
    skus = [f"SKU-FAULT-{fault}-ON-RELEASE" for fault in FAULTS]
    await shop.world.put_in(dict.fromkeys(skus, 1))
    await shop.pipeline.publish(*(of(sku, sku, "pm_fault_capture_refused") for sku in skus))
    await shop.pipeline.until_status("payment_failed", *skus)
    await shop.all_is_well()
    for sku in skus:
        assert (await shop.pipeline.story(sku)).count("ReservationReleased") == 1, sku
        assert await shop.world.shelf(sku) == (1, 0, 0), sku


async def test_what_is_short_there_fails_the_order_and_names_the_items(make_shop: MakeShop) -> None:
    shop = await make_shop()
    await shop.world.put_in({"SKU-1": 1})
    await shop.pipeline.publish(order())
    await shop.pipeline.until_status("payment_failed", "order-1")
    await shop.all_is_well()
    (failed,) = await shop.pipeline.events("order-1", "ReservationFailed")
    assert [(m.sku, m.requested, m.available) for m in failed.missing] == [("SKU-1", 2, 1), ("SKU-2", 1, None)]
    assert await shop.pipeline.effects("order-1") == ["authorize", "cancel"]


async def test_of_a_hundred_rivals_for_the_last_item_one_is_paid(make_shop: MakeShop) -> None:
    shop = await make_shop()
    await shop.world.put_in({"LAST": 1})
    names = [f"rival-{n}" for n in range(100)]
    await shop.world.faults(share=0.2, seed=3, kinds=["RESET-AFTER", "500-AFTER", "429", "HTML"])
    await shop.pipeline.publish(*(of("LAST", name) for name in names))

    async def all_over() -> bool:
        return True is await shop.pipeline.value(
            "SELECT count(*) = 100 FROM orders WHERE status IN ('paid_and_confirmed', 'payment_failed')"
        )

    await shop.pipeline.until(all_over, "all over", 60)
    await shop.world.faults(share=0)
    await shop.all_is_well()
    outcomes = dict(await shop.pipeline.rows("SELECT status, count(*) FROM orders GROUP BY 1"))
    assert outcomes == {"paid_and_confirmed": 1, "payment_failed": 99}
    assert await shop.world.shelf("LAST") == (0, 0, 1)


async def test_a_hold_that_has_lapsed_before_the_capture_takes_no_money(make_shop: MakeShop) -> None:
    shop = await make_shop(join=False)
    await shop.world.put_in({"SKU-1": 5, "SKU-2": 5})
    await shop.pipeline.join(
        [BY_NAME[name] for name in ("authorize_payment", "reserve_items")], sweep=False, reservation_ttl_s=0.4
    )
    await shop.pipeline.publish(order())
    await shop.pipeline.until_status("items_reserved", "order-1")

    async def free_again() -> bool:
        await shop.world.inventory._requests.send("GET", "/v1/stock")  # it lets lapse what is over
        return await shop.world.shelf("SKU-1") == (5, 0, 0)

    await shop.pipeline.until(free_again, "lapsed there")
    # Our own clock may be behind: only the other side's word counts.
    await shop.pipeline.rows("UPDATE reservation SET expires_at = now() + interval '1 hour'")
    await shop.pipeline.rows("UPDATE orders SET updated_at = now()")
    await shop.pipeline.join()
    await shop.pipeline.until_status("payment_failed", "order-1")
    await shop.all_is_well()
    (failed,) = await shop.pipeline.events("order-1", "ReservationFailed")
    assert failed.reason == "LAPSED"
    assert await shop.failed_with("order-1") == "reservation_lapsed"
    assert await shop.pipeline.effects("order-1") == ["authorize", "cancel"], "never captured"


async def test_a_hold_is_kept_extended_while_its_capture_is_unknown(make_shop: MakeShop) -> None:
    shop = await make_shop(ttl_s=4)
    await shop.world.put_in({"SKU-1": 5, "SKU-2": 5})
    shop.pipeline.gateway.says["order-1"] = Said(OperationKind.CAPTURE, Unknown("time-out"), executed=False)
    await shop.pipeline.publish(order())

    async def extended() -> bool:
        return (await shop.hold("order-1"))[1].count("extend") >= 5

    await shop.pipeline.until(extended, "extended again and again", 60)
    assert (await shop.hold("order-1"))[0] == "held", "longer than one extension lasts"
    shop.pipeline.gateway.says.clear()
    await shop.pipeline.until_status("paid_and_confirmed", "order-1")
    await shop.all_is_well()


async def test_a_confirm_that_is_refused_after_the_capture_is_refunded_and_never_paid(make_shop: MakeShop) -> None:
    shop = await make_shop()
    sku = "SKU-FAULT-TIMEOUT-BEFORE-ON-CONFIRM"
    await shop.world.put_in({sku: 1})
    await shop.pipeline.publish(of(sku, "order-1"))

    async def captured() -> bool:
        return await shop.pipeline.has("SELECT 1 FROM operation WHERE kind = 'confirm'")

    await shop.pipeline.until(captured, "captured")
    reservation = await shop.pipeline.value("SELECT reservation_id::text FROM reservation")
    # Somebody there gives the goods away.
    await shop.world.inventory._requests.send(
        "POST", f"/v1/holds/{reservation}/release", {"order_id": "order-1"}, "somebody"
    )
    await shop.pipeline.until_status("payment_failed", "order-1")
    await shop.all_is_well()
    assert "PaidAndConfirmed" not in await shop.pipeline.story("order-1")
    assert await shop.pipeline.effects("order-1") == ["authorize", "capture", "refund"]
    assert await shop.failed_with("order-1") == "reservation_lapsed"


async def test_with_the_inventory_down_payments_are_authorized_and_go_on_when_it_is_back(make_shop: MakeShop) -> None:
    shop = await make_shop()
    await shop.world.put_in({"SKU-1": 50, "SKU-2": 50})
    await shop.world.faults(down=True)
    names = [f"order-{n}" for n in range(10)]
    await shop.pipeline.publish(*(order(name) for name in names))
    await shop.pipeline.until_status("payment_authorized", *names)
    # The gateway fails without the inventory, too: what it is asked for does not wait for the other.
    await shop.pipeline.publish(of("SKU-1", "declined", "pm_card_chargeDeclined"))
    await shop.pipeline.until_status("payment_failed", "declined")
    await shop.world.faults(down=False)
    await shop.pipeline.until_status("paid_and_confirmed", *names)
    await shop.all_is_well()


async def test_with_the_gateway_down_goods_are_reserved_all_the_same(make_shop: MakeShop) -> None:
    shop = await make_shop(join=False)
    await shop.world.put_in({"SKU-1": 50, "SKU-2": 50})
    names = [f"order-{n}" for n in range(5)]
    first = await shop.pipeline.join([BY_NAME["authorize_payment"]], relay=False)
    await shop.pipeline.publish(*(order(name) for name in names))
    await shop.pipeline.until_status("payment_authorized", *names)
    await first.leave()
    shop.pipeline.members.remove(first)
    shop.pipeline.gateway.refuses_us = True
    await shop.pipeline.publish(order("order-late"))
    second = await shop.pipeline.join(relay=False)

    async def is_down() -> bool:
        return second.engine.breaker.is_down

    await shop.pipeline.until(is_down, "the gateway is down for everybody")
    await shop.pipeline.join([], sweep=False)  # only now the events of the five go out
    await shop.pipeline.until_status("items_reserved", *names)
    assert second.engine.breaker.is_down
    shop.pipeline.gateway.refuses_us = False
    await shop.pipeline.until_status("paid_and_confirmed", *names, "order-late")
    await shop.all_is_well()


async def test_a_hold_that_nobody_captures_runs_out_on_both_sides(make_shop: MakeShop) -> None:
    shop = await make_shop(join=False)
    await shop.world.put_in({"SKU-1": 5, "SKU-2": 5})
    await shop.pipeline.join([BY_NAME[name] for name in ("authorize_payment", "reserve_items")], reservation_ttl_s=0.5)
    await shop.pipeline.publish(order())

    async def expired() -> bool:
        return await shop.pipeline.has("SELECT 1 FROM reservation WHERE state = 'expired'")

    await shop.pipeline.until(expired, "expired")
    await shop.pipeline.join()
    await shop.pipeline.until_status("payment_failed", "order-1")
    await shop.all_is_well()
    assert (await shop.pipeline.story("order-1")).count("ReservationReleased") == 1
    assert await shop.world.shelf("SKU-1") == (5, 0, 0)


async def test_processes_and_the_inventory_are_killed_and_everything_ends_once(make_shop: MakeShop) -> None:
    shop = await make_shop(join=False)
    await shop.world.put_in({"SKU-1": 1_000, "SKU-2": 15})
    member = await shop.pipeline.join()
    names = [f"order-{n}" for n in range(30)]
    await asyncio.gather(*(shop.pipeline.publish(order(name)) for name in names))
    for kind in ("reserve", "extend", "confirm"):

        async def under_way(kind: str = kind) -> bool:
            return await shop.pipeline.has("SELECT 1 FROM operation WHERE kind = %s", kind)

        await shop.pipeline.until(under_way, kind)
        await member.crash()
        shop.pipeline.members.remove(member)
        await shop.pipeline.end_leases()
        member = await shop.pipeline.join()

    async def all_over() -> bool:
        await shop.pipeline.end_leases()
        return True is await shop.pipeline.value(
            "SELECT count(*) = 30 FROM orders WHERE status IN ('paid_and_confirmed', 'payment_failed')"
        )

    await shop.pipeline.until(all_over, "all over", 60)
    await shop.all_is_well()
    outcomes = dict(await shop.pipeline.rows("SELECT status, count(*) FROM orders GROUP BY 1"))
    assert outcomes == {"paid_and_confirmed": 15, "payment_failed": 15}
    assert await shop.world.shelf("SKU-2") == (0, 0, 15)


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("reserve", "TIMEOUT-BEFORE-ON-RESERVE"),
        ("reserve", "TIMEOUT-AFTER-ON-RESERVE"),
        # No extension is ever answered: the cancel does not wait for it, for no money depends on it.
        ("extend", "TIMEOUT-BEFORE-ON-EXTEND-ALWAYS"),
        ("extend", "429-ON-EXTEND-ALWAYS"),
        ("extend", "HTML-ON-EXTEND-ALWAYS"),
    ],
)
async def test_a_cancel_before_the_capture_takes_no_money_and_leaves_nothing_held(
    make_shop: MakeShop, kind: str, fault: str
) -> None:
    shop = await make_shop()
    sku = f"SKU-FAULT-{fault}"
    await shop.world.put_in({sku: 1})
    await shop.pipeline.publish(of(sku, "order-1"))

    async def asked() -> bool:
        return await shop.pipeline.has("SELECT 1 FROM operation WHERE kind = %s", kind)

    await shop.pipeline.until(asked, kind)
    await shop.pipeline.publish(cancel())
    await shop.pipeline.until_status("cancelled", "order-1")
    story = await shop.pipeline.story("order-1")
    assert "PaidAndConfirmed" not in story
    assert await shop.pipeline.effects("order-1") == ["authorize", "cancel"]

    async def free() -> bool:
        return await shop.world.shelf(sku) == (1, 0, 0)

    await shop.pipeline.until(free, "released there")


@pytest.mark.parametrize("fault", [*FAULTS])
async def test_the_goods_of_a_cancelled_order_are_released_whatever_happens_to_the_call(
    make_shop: MakeShop, fault: str
) -> None:
    shop = await make_shop(join=False)
    sku = f"SKU-FAULT-{fault}-ON-RELEASE"
    await shop.world.put_in({sku: 1})
    await shop.pipeline.join([reaction for name, reaction in BY_NAME.items() if name != "capture_payment"])
    await shop.pipeline.publish(of(sku, "order-1"))
    await shop.pipeline.until_status("items_reserved", "order-1")
    await shop.pipeline.publish(cancel())
    await shop.pipeline.until_status("cancelled", "order-1")
    await shop.pipeline.join([BY_NAME["capture_payment"]])
    await shop.all_is_well()
    assert await shop.hold("order-1") == ("released", ["reserve", "release"])
    assert await shop.world.shelf(sku) == (1, 0, 0)


async def test_a_paid_order_is_cancelled_though_the_inventory_is_down(make_shop: MakeShop) -> None:
    shop = await make_shop()
    await shop.world.put_in({"SKU-1": 5, "SKU-2": 5})
    await shop.pipeline.publish(order())
    await shop.pipeline.until_status("paid_and_confirmed", "order-1")
    await shop.world.faults(down=True)
    await shop.pipeline.publish(cancel())
    await shop.pipeline.until_status("cancelled", "order-1")
    assert await shop.pipeline.effects("order-1") == ["authorize", "capture", "refund"]
    await shop.world.faults(down=False)
    await shop.all_is_well()
    assert await shop.world.shelf("SKU-1") == (5, 0, 0), "and its goods are put back when it answers again"
    assert (await shop.pipeline.story("order-1")).count("ItemsRestocked") == 1


async def test_goods_that_a_refund_names_are_put_back_there_once_whatever_is_lost(make_shop: MakeShop) -> None:
    shop = await make_shop()
    skus = [f"SKU-FAULT-{fault}-ON-RESTOCK" for fault in FAULTS]
    await shop.world.put_in(dict.fromkeys(skus, 2))
    lines = {sku: (Line(sku=sku, quantity=2, unit_price_minor=1_275),) for sku in skus}
    await shop.pipeline.publish(*(order(sku, lines=lines[sku]) for sku in skus))
    await shop.pipeline.until_status("paid_and_confirmed", *skus)
    for request_id in ("R-1", "R-2"):
        await shop.pipeline.publish(
            *(refund(sku, request_id, amount_minor=100, lines=(Item(sku=sku, quantity=1),)) for sku in skus)
        )
        await shop.pipeline.until_quiet()
    await shop.all_is_well()
    for sku in skus:
        assert await shop.world.shelf(sku) == (2, 0, 0), sku
        assert (await shop.pipeline.story(sku)).count("ItemsRestocked") == 2, sku
