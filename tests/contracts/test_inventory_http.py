"""The client of an inventory elsewhere believes only what fits its call; all else is unknown, and a look-up tells."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from domain.errors import DownForEverybody
from domain.operation import OperationKind as K
from domain.outcome import AlreadySold, Approved, Lapsed, NotExecuted, NotFound, Outcome, Reserved, Unknown
from domain.stock_calls import StockCall
from tests.contracts.inventory_worlds import Ask, HttpWorld, lines, stock_call
from tests.stockhouse.process import StockhouseProcess, running

LOST = ("RESET-BEFORE", "RESET-AFTER", "TIMEOUT-BEFORE", "TIMEOUT-AFTER", "500-AFTER", "HTML", "TRUNCATED", "GARBAGE")
DONE = frozenset({"RESET-AFTER", "TIMEOUT-AFTER", "500-AFTER", "TRUNCATED", "GARBAGE", "MIXED-UP"})
"""Faults after which the call was executed."""
TIMEOUT_S = 1.0


@pytest.fixture(scope="module")
def stockhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StockhouseProcess]:
    with running(tmp_path_factory.mktemp("inventory") / "inventory.jsonl") as process:
        yield process


@pytest_asyncio.fixture
async def world(stockhouse: StockhouseProcess) -> AsyncIterator[HttpWorld]:
    made = HttpWorld(stockhouse.address, timeout_s=TIMEOUT_S)
    yield made
    await made.faults(down=False, share=0)
    await made.close()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Name an order of this test's own: the inventory is shared."""
    return f"o{abs(hash(request.node.nodeid)) % 10**9}"


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the inventory's clock


async def held(world: HttpWorld, name: str, sku: str) -> StockCall:
    """Have one unit held; return the call that did it. A fault that was to come is waited out."""
    await world.put_in({sku: 3})
    call = stock_call(Ask(K.RESERVE, name, lines(**{sku: 1})))
    for _ in range(3):
        (outcome,) = await world.perform([call])
        if isinstance(outcome, Reserved):
            return call
    raise AssertionError(outcome)


@pytest.mark.parametrize("kind", [K.RESERVE, K.CONFIRM, K.RELEASE, K.EXTEND])
@pytest.mark.parametrize("fault", [*LOST, "MIXED-UP"])
async def test_an_answer_that_is_lost_is_unknown_and_the_same_call_again_tells_the_truth(
    world: HttpWorld, name: str, fault: str, kind: K
) -> None:
    sku = f"SKU-FAULT-{fault}-ON-{kind.upper()}-{name}"
    reserve = stock_call(Ask(K.RESERVE, name, lines(**{sku: 1})))
    if kind is K.RESERVE:
        await world.put_in({sku: 3})
        call = reserve
    else:
        await held(world, name, sku)
        call = stock_call(Ask(kind, name, ()), now() + timedelta(hours=1))
    (first,) = await world.perform([call])
    # The HTTP client sends a PUT again by itself when a connection that was used before is reset: the key is the same.
    at_once = kind is K.RESERVE and fault.startswith("RESET") and isinstance(first, Reserved)
    assert at_once or isinstance(first, Unknown), first
    (found,) = await world.look_up([call])
    assert isinstance(found, Reserved | Approved if fault in DONE or at_once else NotFound), found
    (again,) = await world.perform([call])
    assert isinstance(again, Reserved | Approved), again
    assert (await world.look_up([call])) == [again]
    shelf = {K.RESERVE: (2, 1, 0), K.CONFIRM: (2, 0, 1), K.RELEASE: (3, 0, 0), K.EXTEND: (2, 1, 0)}[kind]
    assert await world.shelf(sku) == shelf, "it was executed once"


@pytest.mark.parametrize("fault", ["429", "503"])
async def test_what_was_not_begun_is_sent_again_by_the_same_key(world: HttpWorld, name: str, fault: str) -> None:
    sku = f"SKU-FAULT-{fault}-{name}"
    await world.put_in({sku: 3})
    call = stock_call(Ask(K.RESERVE, name, lines(**{sku: 1})))
    (first,) = await world.perform([call])
    assert isinstance(first, NotExecuted)
    assert not first.everybody
    assert isinstance((await world.perform([call]))[0], Reserved)
    assert await world.shelf(sku) == (2, 1, 0)


@pytest.mark.parametrize("fault", ["RESET-AFTER", "500-AFTER", "HTML", "TRUNCATED", "GARBAGE", "429"])
async def test_a_whole_batch_that_is_lost_is_unknown_call_by_call(world: HttpWorld, name: str, fault: str) -> None:
    sku = f"S-{name}"
    await world.put_in({sku: 50})
    calls = [stock_call(Ask(K.RESERVE, f"{name}-{n}", lines(**{sku: 1}))) for n in range(30)]
    await world.look_up(calls[:1])
    assert isinstance((await world.perform([stock_call(Ask(K.RELEASE, f"{name}-x"))]))[0], Approved), "it is known"
    await world.faults(share=1, kinds=[fault], seed=7)
    first = await world.perform(calls)
    expected = NotExecuted if fault == "429" else Unknown
    assert {type(outcome) for outcome in first} == {expected}
    await world.faults(share=0)
    again = await world.perform(calls)
    assert all(isinstance(outcome, Reserved) for outcome in again)
    assert await world.shelf(sku) == (20, 30, 0), "each was executed once"


async def test_one_wrong_entry_of_a_batch_holds_up_no_other(world: HttpWorld, name: str) -> None:
    bad = f"SKU-FAULT-RESET-AFTER-{name}"
    await world.put_in({bad: 5, f"S-{name}": 50})
    calls = [stock_call(Ask(K.RESERVE, f"{name}-{n}", lines(**{f"S-{name}": 1}))) for n in range(9)]
    calls.insert(4, stock_call(Ask(K.RESERVE, f"{name}-bad", lines(**{bad: 1}))))
    outcomes = await world.perform(calls)
    assert [n for n, outcome in enumerate(outcomes) if not isinstance(outcome, Reserved)] == [4]
    assert isinstance(outcomes[4], Unknown)
    assert isinstance((await world.look_up([calls[4]]))[0], Reserved)


async def test_a_hold_that_has_lapsed_is_extended_confirmed_and_made_by_no_call(world: HttpWorld, name: str) -> None:
    sku = f"S-{name}"
    await world.put_in({sku: 1})
    reserve = stock_call(Ask(K.RESERVE, name, lines(**{sku: 1})), now() + timedelta(seconds=0.3))
    assert isinstance((await world.perform([reserve]))[0], Reserved)
    async with asyncio.timeout(10):
        while await world.shelf(sku) != (1, 0, 0):
            await world.look_up([reserve])
    calls: list[StockCall] = [stock_call(Ask(kind, name)) for kind in (K.EXTEND, K.CONFIRM)]
    assert [await world.perform([call]) for call in calls] == [[Lapsed()], [Lapsed()]]
    assert await world.look_up([reserve, *calls]) == [Lapsed()] * 3
    assert await world.perform([stock_call(Ask(K.RELEASE, name))]) == [Approved()], "nothing is held"


async def test_a_release_keeps_a_late_copy_of_the_reserve_from_holding_anything(world: HttpWorld, name: str) -> None:
    sku = f"S-{name}"
    await world.put_in({sku: 1})
    assert await world.perform([stock_call(Ask(K.RELEASE, name))]) == [Approved()]
    reserve = stock_call(Ask(K.RESERVE, name, lines(**{sku: 1})))
    assert await world.perform([reserve]) == [Lapsed()]
    assert await world.look_up([reserve]) == [Lapsed()]
    assert await world.shelf(sku) == (1, 0, 0)


async def test_sold_goods_need_no_extension_and_cannot_be_released(world: HttpWorld, name: str) -> None:
    sku = f"S-{name}"
    await held(world, name, sku)
    assert await world.perform([stock_call(Ask(K.CONFIRM, name))]) == [Approved()]
    until = now() + timedelta(hours=2)
    assert await world.perform([stock_call(Ask(K.EXTEND, name), until)]) == [Reserved(until)]
    release = stock_call(Ask(K.RELEASE, name))
    assert await world.perform([release]) == await world.look_up([release]) == [AlreadySold()]
    assert await world.shelf(sku) == (2, 0, 1)


async def test_a_key_that_was_used_for_another_call_is_looked_up_and_never_sent_again(
    world: HttpWorld, name: str
) -> None:
    call = await held(world, name, f"S-{name}")
    other = stock_call(Ask(K.RESERVE, name, lines(**{f"S-{name}": 2})))
    (outcome,) = await world.perform([other])
    assert isinstance(outcome, Unknown)
    assert outcome.replayed
    assert isinstance((await world.look_up([other]))[0], Unknown), "another number of units is held"
    assert isinstance((await world.look_up([call]))[0], Reserved)


async def test_without_a_connection_nothing_was_executed_and_every_call_fails(world: HttpWorld, name: str) -> None:
    nowhere = HttpWorld("http://127.0.0.1:9", timeout_s=TIMEOUT_S)
    call = stock_call(Ask(K.CONFIRM, name))
    outcomes: list[Outcome] = [*await nowhere.perform([call]), *await nowhere.look_up([call])]
    await nowhere.close()
    first, looked = outcomes
    assert isinstance(first, NotExecuted)
    assert first.everybody
    assert isinstance(looked, Unknown), "a look-up that was not made says nothing"


async def test_an_inventory_that_refuses_the_token_is_down_for_everybody(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "token").write_text("open-sesame\n")
    with running(folder / "inventory.jsonl", ["--token-file", str(folder / "token")]) as guarded:
        for token in (None, "guess"):
            stranger = HttpWorld(guarded.address, token=token)
            with pytest.raises(DownForEverybody, match="PAYMENTS_INVENTORY_TOKEN_FILE"):
                await stranger.perform([stock_call(Ask(K.RELEASE, "o-1"))])
            await stranger.close()
        friend = HttpWorld(guarded.address, token="open-sesame")
        assert await friend.perform([stock_call(Ask(K.RELEASE, "o-1"))]) == [Approved()]
        await friend.close()


async def test_without_batches_each_call_goes_alone(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running(tmp_path_factory.mktemp("single") / "inventory.jsonl", ["--batch-max", "0"]) as single:
        world = HttpWorld(single.address)
        await world.put_in({"S-1": 30})
        calls = [Ask(K.RESERVE, f"o-{n}", lines(**{"S-1": 1})) for n in range(40)]
        outcomes = await world.ask(*calls)
        assert sum(isinstance(outcome, Reserved) for outcome in outcomes) == 30
        await world.close()
