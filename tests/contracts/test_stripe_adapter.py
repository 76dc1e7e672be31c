"""What only the Stripe adapter can get wrong: credentials, connections, bounds and leftovers."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator

import pytest
from aiohttp import web

from consumers.adapters.gateway.concurrent import answers
from consumers.adapters.gateway.stripe_adapter import StripeGateway, check_play
from deploy.playbank.ledger import SandboxLedger
from domain.errors import DownForEverybody, Transient
from domain.operation import GatewayCall
from domain.operation import OperationKind as K
from domain.outcome import Approved, GatewayOutcome, NotExecuted, NotFound, Unknown
from domain.ports.gateway import GatewayAnswer
from tests.contracts.gateway_worlds import TIMEOUT_S, collect, simulated_world, stripe_world
from tests.contracts.own_stripe import own_stripe, said
from tests.sandbox.client import client_of
from tests.sandbox.process import SandboxProcess, running


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with running(tmp_path_factory.mktemp("sandbox") / "journal.jsonl") as process:
        yield process


@pytest.fixture
def nobody() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


async def test_a_refused_key_is_down_for_everybody(sandbox: SandboxProcess) -> None:
    world = stripe_world(sandbox.address)
    world.gateway = StripeGateway("nonsense", api_base=sandbox.address)
    for ask in (world.gateway.perform, world.gateway.look_up):
        with pytest.raises(DownForEverybody, match="PAYMENTS_STRIPE_API_KEY"):
            await collect(ask([world.authorize() for _ in range(3)]))
    await world.gateway.close()


LACKS = "The provided key 'rk_test_***' does not have the required permissions for this endpoint on account 'acct_1'."


@pytest.fixture
async def forbidding() -> AsyncIterator[str]:
    """Give the address of a Stripe that permits nothing to our key."""

    async def refuse(_: web.Request) -> web.Response:
        error = {"type": "invalid_request_error", "code": "more_permissions_required", "message": LACKS}
        return web.json_response({"error": error}, status=403)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}"
    await runner.cleanup()


async def test_a_call_for_which_our_key_lacks_a_permission_leaves_the_others_alone(forbidding: str) -> None:
    world = stripe_world(forbidding)
    calls = [world.authorize(), *(world.call(kind, transaction_id="pi_1") for kind in (K.CAPTURE, K.VOID, K.REFUND))]

    performed = await collect(world.gateway.perform(calls))
    looked_up = await collect(world.gateway.look_up(calls))

    wanted = NotExecuted(f"HTTP 403: {LACKS}", forbidden=True)
    assert {a.operation_id: a.outcome for a in performed} == {call.operation_id: wanted for call in calls}
    refused = Unknown(f"the look-up was refused: HTTP 403: {LACKS}", forbidden=True)
    assert {a.operation_id: a.outcome for a in looked_up} == {call.operation_id: refused for call in calls}
    await world.gateway.close()


async def test_answers_that_were_there_are_given_before_the_refusal() -> None:
    world = simulated_world()
    calls = [world.authorize() for _ in range(100)]
    begun = asyncio.Event()
    asked: list[GatewayCall] = []

    async def ask(call: GatewayCall) -> GatewayOutcome:
        asked.append(call)
        if call is calls[1]:
            begun.set()
            raise DownForEverybody("no")
        await begun.wait()
        return NotFound()

    given: list[GatewayAnswer] = []

    async def listen() -> None:
        async for group in answers(calls, ask, 2):
            given.extend(group)

    with pytest.raises(DownForEverybody):
        await listen()

    assert asked == calls[:2]
    assert given == [GatewayAnswer(calls[0].operation_id, NotFound())]


async def test_a_bug_is_not_an_outcome() -> None:
    async def ask(call: GatewayCall) -> GatewayOutcome:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await collect(answers([simulated_world().authorize()], ask, 1))


async def test_nobody_listening_is_not_executed(nobody: str) -> None:
    world = stripe_world(nobody)

    outcome = await world.perform(world.authorize())
    assert isinstance(outcome, NotExecuted)
    assert outcome.everybody, "it says nothing of this order, so it is no try of it"
    assert isinstance(await world.look_up(world.authorize()), Unknown)
    with pytest.raises(Transient):
        await SandboxLedger(nobody).entries()
    await world.gateway.close()


async def test_a_gateway_that_is_down_leaves_everything_unknown_and_nothing_done(sandbox: SandboxProcess) -> None:
    world = stripe_world(sandbox.address)
    call = world.authorize()
    with client_of(sandbox.address) as client:
        client.http.post("/sandbox/faults", json={"down": True})
        first = await world.perform(call)
        seen = await world.look_up(call)
        client.http.post("/sandbox/faults", json={"down": False})

    assert isinstance(first, Unknown)
    assert isinstance(seen, Unknown)
    assert await world.effects(call.order_id) == []
    assert isinstance(await world.perform(call), Approved)
    await world.gateway.close()


async def test_what_lies_beyond_the_bound_of_the_search_is_unknown(sandbox: SandboxProcess) -> None:
    world = stripe_world(sandbox.address)
    calls = [world.authorize() for _ in range(101)]
    await world.perform(calls[0])
    await collect(world.gateway.perform(calls[1:]))
    bounded = StripeGateway("sk_test_1", api_base=sandbox.address, listing_pages_max=1)

    found = {answer.operation_id: answer.outcome for answer in await collect(bounded.look_up(calls))}

    assert isinstance(found[calls[0].operation_id], Unknown)
    assert all(isinstance(found[call.operation_id], Approved) for call in calls[1:])
    await bounded.close()
    await world.gateway.close()


async def test_a_call_is_asked_whether_it_may_begin_only_when_its_turn_has_come(sandbox: SandboxProcess) -> None:
    world = stripe_world(sandbox.address)
    gateway = StripeGateway("sk_test_1", api_base=sandbox.address, concurrency=1, timeout_s=TIMEOUT_S)
    now = asyncio.get_running_loop().time
    asked_at: list[float] = []

    def begin(_: GatewayCall) -> bool:
        asked_at.append(now())
        return len(asked_at) < 3

    # Each in an iteration of its own: they share the room for requests.
    stuck = [world.authorize("pm_fault_timeout_before_always") for _ in range(4)]
    answered = await asyncio.gather(*(collect(gateway.perform([call], begin)) for call in stuck))

    assert [len(each) for each in answered] == [1, 1, 0, 0]
    assert asked_at[1] - asked_at[0] >= TIMEOUT_S / 2
    assert asked_at[2] - asked_at[1] >= TIMEOUT_S / 2
    await gateway.close()
    await world.gateway.close()


async def test_cancelling_the_iteration_cancels_its_calls(sandbox: SandboxProcess) -> None:
    world = stripe_world(sandbox.address)
    gateway = StripeGateway("sk_test_1", api_base=sandbox.address, concurrency=2)
    stuck = [world.authorize("pm_fault_timeout_before") for _ in range(5)]
    others = asyncio.all_tasks()
    iteration = asyncio.create_task(collect(gateway.perform(stuck)))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(iteration), 0.2)

    iteration.cancel()
    await asyncio.gather(iteration, return_exceptions=True)

    assert iteration.cancelled()
    assert asyncio.all_tasks() == others
    assert [answer.outcome for answer in await collect(gateway.look_up(stuck))] == [NotFound()] * 5
    await gateway.close()
    await world.gateway.close()


@pytest.mark.parametrize("key", ["sk_live_1", "rk_live_1"])
def test_play_money_refuses_a_live_key(key: str) -> None:
    with pytest.raises(ValueError, match="live") as refused:
        check_play(key, "http://127.0.0.1:1")
    assert key not in str(refused.value)


@pytest.mark.parametrize("base", ["https://api.stripe.com", "http://192.0.2.1:80", "", "127.0.0.1:80"])
def test_play_money_refuses_an_api_elsewhere(base: str) -> None:
    with pytest.raises(ValueError, match="this machine"):
        check_play("sk_test_1", base)


def test_play_money_takes_this_machine() -> None:
    for base in ("http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"):
        check_play("sk_test_1", base)


async def test_an_id_is_known_with_the_order_that_it_is_of_and_one_that_was_never_given_is_not(
    sandbox: SandboxProcess,
) -> None:
    world = stripe_world(sandbox.address)
    gateway = world.gateway
    assert isinstance(gateway, StripeGateway)
    call = world.authorize()
    (approved,) = await collect(gateway.perform([call]))
    assert isinstance(approved.outcome, Approved)
    assert approved.outcome.transaction_id is not None
    assert await gateway.order_of(approved.outcome.transaction_id) == call.order_id
    for reference in ("pi_never", "re_never"):
        assert await gateway.order_of(reference) is None
    await gateway.close()


async def test_a_gateway_that_does_not_answer_does_not_say_that_there_is_no_such_id(nobody: str) -> None:
    gateway = StripeGateway("sk_test_1", api_base=nobody)
    with pytest.raises(Transient, match="does not say what pi_1 is"):
        await gateway.order_of("pi_1")
    await gateway.close()


async def test_a_refund_of_a_charge_without_a_payment_intent_is_of_no_order() -> None:
    foreign = {"id": "re_1", "object": "refund", "amount": 500, "currency": "eur", "payment_intent": None}
    async with own_stripe(said(foreign)) as stripe:
        gateway = StripeGateway("sk_test_1", api_base=stripe.address)
        assert await gateway.order_of("re_1") == ""
        await gateway.close()
