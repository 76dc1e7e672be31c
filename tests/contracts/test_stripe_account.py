"""A key of another account finds nothing of ours: that must not pass for "never executed"."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from consumers.adapters.gateway.stripe_account import TRIES_MAX, is_ours
from domain.errors import Transient
from domain.ids import OrderId
from domain.operation import OperationKind as K
from domain.operation import operation_id
from domain.outcome import Approved, NotFound, Unknown
from domain.values import replace
from tests.contracts.account import Account, named, world_at
from tests.contracts.gateway_worlds import World, collect, simulated_world


@dataclass
class Memory:
    """What our database knows: the transactions before an order, the newest first."""

    known: dict[OrderId, list[str]] = field(default_factory=dict)
    asked: list[OrderId] = field(default_factory=list)

    async def before(self, order_id: OrderId) -> Sequence[str]:
        self.asked.append(order_id)
        return self.known.get(order_id, [])


@pytest.fixture
def account() -> Account:
    return Account()


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest_asyncio.fixture
async def world(account: Account, memory: Memory) -> AsyncIterator[World]:
    async with world_at(account, memory.before) as made:
        yield made


async def test_an_authorize_is_not_found_only_in_the_account_of_the_payments_before_it(
    account: Account, memory: Memory, world: World
) -> None:
    call = world.authorize()
    memory.known[call.order_id] = ["pi_2", "pi_1"]
    found = await world.look_up(call)
    assert isinstance(found, Unknown)
    assert not found.replayed, "with the right key it may be sent again"
    assert "PAYMENTS_STRIPE_API_KEY" in found.detail
    assert "pi_2" in found.detail

    account.add("pi_1", "succeeded")
    assert await world.look_up(call) == NotFound()


async def test_the_first_order_of_a_new_shop_needs_no_payment_before_it(memory: Memory, world: World) -> None:
    assert await world.look_up(world.authorize()) == NotFound()
    assert len(memory.asked) == 1


async def test_a_later_payment_proves_nothing_of_an_earlier_call(
    account: Account, memory: Memory, world: World
) -> None:
    """The account was changed on purpose: new payments are there, and those before the change are not."""
    late = world.authorize()
    early = replace(world.authorize(), opened_at=late.opened_at - timedelta(hours=1))
    memory.known = {late.order_id: ["pi_new", "pi_old"], early.order_id: ["pi_old"]}
    account.add("pi_new", "succeeded")

    assert await world.look_up(late) == NotFound()
    assert isinstance(await world.look_up(early), Unknown)


async def test_what_was_seen_of_the_account_is_remembered(account: Account, memory: Memory, world: World) -> None:
    call = world.authorize()
    memory.known[call.order_id] = ["pi_1"]
    account.add("pi_1", "succeeded")
    await world.look_up(call)
    await world.look_up(replace(call, opened_at=call.opened_at + timedelta(seconds=1)))

    assert len(memory.asked) == 1
    assert account.asked.count("GET /v1/payment_intents/pi_1") == 1


async def test_a_later_answer_does_not_forget_an_earlier_one(account: Account, memory: Memory, world: World) -> None:
    late = world.authorize()
    early = replace(world.authorize(), opened_at=late.opened_at - timedelta(hours=1))
    memory.known = {late.order_id: ["pi_1"], early.order_id: ["pi_1"]}
    account.add("pi_1", "succeeded")

    found = {answer.outcome for answer in await collect(world.gateway.look_up([early, late]))}
    again = await world.look_up(early)

    assert (found, again) == ({NotFound()}, NotFound())
    assert memory.asked.count(early.order_id) == 1


async def test_a_database_that_does_not_answer_leaves_it_unknown(account: Account) -> None:
    async def down(_: OrderId) -> Sequence[str]:
        raise Transient("PostgreSQL does not answer")

    async with world_at(account, down) as world:
        found = await world.look_up(world.authorize())
    assert isinstance(found, Unknown)
    assert found.detail.endswith("PostgreSQL does not answer")


async def test_what_is_found_needs_no_proof(account: Account, memory: Memory, world: World) -> None:
    call = world.authorize()
    memory.known[call.order_id] = ["pi_9"]
    account.add("pi_1", "succeeded", metadata=named(call))

    assert isinstance(await world.look_up(call), Approved)
    assert memory.asked == []


def _derived(number: int, kind: K = K.AUTHORIZE) -> UUID:
    return operation_id(OrderId("order-1"), 1, kind, number)


OURS = {"order_id": "order-1", "attempt": "1", "operation_id": str(_derived(1))}
FOREIGN: list[Callable[[dict[str, Any]], dict[str, Any]]] = [
    lambda ours: ours | {"operation_id": "42"},
    lambda ours: ours | {"operation_id": str(UUID(int=42))},
    lambda ours: ours | {"operation_id": str(_derived(1, K.REFUND))},
    lambda ours: ours | {"operation_id": str(_derived(TRIES_MAX + 1))},
    lambda ours: ours | {"order_id": "order-2"},
    lambda ours: ours | {"attempt": "2"},
    lambda ours: ours | {"attempt": "first"},
    lambda ours: {"operation_id": ours["operation_id"]},
    lambda _: {},
]


@pytest.mark.parametrize("change", FOREIGN)
def test_metadata_of_another_system_do_not_pass_for_ours(
    change: Callable[[dict[str, Any]], dict[str, Any]],
) -> None:
    assert not is_ours({"metadata": change(OURS)})


def test_whatever_we_made_passes_for_ours() -> None:
    assert is_ours({"metadata": named(simulated_world().authorize())})
    assert all(is_ours({"metadata": OURS | {"operation_id": str(_derived(n))}}) for n in (1, 2, TRIES_MAX))
    assert not is_ours({"metadata": None})
