"""What Stripe says in headers, and what the SDK does unasked: nothing is lost, and nothing comes out of the adapter."""

import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from domain.operation import GatewayCall
from domain.operation import OperationKind as K
from domain.outcome import Approved, Declined, NotExecuted, NotFound, Unknown
from domain.ports.gateway import GatewayAnswer
from tests.contracts.gateway_worlds import World, collect, same, stripe_world
from tests.contracts.own_stripe import OwnStripe, intent, own_stripe, said

FAILED: dict[str, Any] = {"error": {"type": "api_error", "message": "m"}}
DECLINED: dict[str, Any] = {"error": {"type": "card_error", "code": "card_declined", "decline_code": "lost_card"}}
PROXY = b"<html>bad gateway</html>"


@pytest.fixture
async def stripe() -> AsyncIterator[OwnStripe]:
    async with own_stripe() as made:
        yield made


@pytest.fixture
async def world(stripe: OwnStripe) -> AsyncIterator[World]:
    made = stripe_world(stripe.address)
    yield made
    await made.gateway.close()


async def answer(world: World, call: GatewayCall) -> GatewayAnswer:
    (found,) = await collect(world.gateway.perform([call]))
    return found


@pytest.mark.parametrize(
    ("body", "status", "outcome"),
    [
        (intent(), 200, Approved),
        (DECLINED, 402, Declined),
        (FAILED, 500, Unknown),
        (PROXY, 502, Unknown),
        (b"{", 200, Unknown),
        (intent(status=[]), 200, Unknown),
        ({"error": {"code": "rate_limit"}}, 429, NotExecuted),
    ],
)
async def test_every_answer_comes_with_its_request_id(
    stripe: OwnStripe, world: World, body: Any, status: int, outcome: type
) -> None:
    stripe.says(said(body, status, Request_Id="req_1"))

    found = await answer(world, world.authorize())

    assert (type(found.outcome), found.request_id) == (outcome, "req_1")


async def test_calls_that_run_together_keep_their_own_request_ids(stripe: OwnStripe, world: World) -> None:
    stripe.says(*(said(intent(id=f"pi_{n}"), Request_Id=f"req_{n}") for n in range(20)))

    found = await collect(world.gateway.perform([world.authorize() for _ in range(20)]))

    told = {getattr(each.outcome, "transaction_id", "").removeprefix("pi_"): each.request_id for each in found}
    assert told == {str(n): f"req_{n}" for n in range(20)}


async def test_a_look_up_gives_the_id_of_its_own_request_and_a_listing_to_all_that_it_was_for(
    stripe: OwnStripe, world: World
) -> None:
    calls = [world.authorize(), world.authorize(), world.call(K.VOID, transaction_id="pi_1")]
    page = {"object": "list", "data": [], "has_more": False}
    stripe.says(said(page, Request_Id="req_list"))
    listed = await collect(world.gateway.look_up(calls[:2]))
    stripe.says(said(intent(status="canceled"), Request_Id="req_get"))
    got = await collect(world.gateway.look_up(calls[2:]))
    stripe.says(said(PROXY, 502, Request_Id="req_lost"))
    lost = await collect(world.gateway.look_up(calls))

    assert [(each.outcome, each.request_id) for each in listed] == [(NotFound(), "req_list")] * 2
    assert [each.request_id for each in got] == ["req_get"]
    assert [each.request_id for each in lost] == ["req_lost"] * 3


async def test_the_last_request_counts_when_one_call_needs_two(stripe: OwnStripe, world: World) -> None:
    conflict = {"error": {"type": "invalid_request_error", "code": "payment_intent_unexpected_state"}}
    stripe.says(
        said(conflict, 400, Request_Id="req_post"),
        said(intent(status="succeeded", amount_received=1250), Request_Id="b"),
    )

    assert (await answer(world, world.call(K.CAPTURE, transaction_id="pi_1"))).request_id == "b"


async def test_an_answer_without_a_request_id_has_none(stripe: OwnStripe, world: World) -> None:
    stripe.says(said(intent()))
    assert (await answer(world, world.authorize())).request_id is None


@pytest.mark.parametrize(
    ("body", "status"), [(FAILED, 500), (PROXY, 503), ({"nothing": 1}, 503), ({"error": "text"}, 500)]
)
async def test_advice_is_heeded_whatever_the_body_is(stripe: OwnStripe, world: World, body: Any, status: int) -> None:
    stripe.says(said(body, status, Stripe_Should_Retry="false", Retry_After="30"))
    advised = (await answer(world, world.authorize())).outcome
    stripe.says(said(body, status, Stripe_Should_Retry="true", Idempotent_Replayed="true"))
    again = (await answer(world, world.authorize())).outcome

    assert same(advised) == Unknown("", replayed=True, retry_after_s=30)
    assert same(again) == Unknown("")


async def test_a_limit_of_requests_is_before_the_execution_whatever_stripe_advises(
    stripe: OwnStripe, world: World
) -> None:
    """The key remembers nothing, so it can be sent again, by our back-off."""
    limited = {"error": {"type": "invalid_request_error", "code": "rate_limit"}}
    stripe.says(said(limited, 429, Stripe_Should_Retry="false", Retry_After="7"), said(intent()))
    call = world.authorize()

    assert await world.perform(call) == NotExecuted("HTTP 429 rate_limit", retry_after_s=7)
    assert await world.perform(call) == Approved("pi_1", amount_minor=1250)


async def test_a_look_up_that_fails_heeds_the_pause_and_says_nothing_of_the_key(
    stripe: OwnStripe, world: World
) -> None:
    stripe.says(said({"error": {"code": "rate_limit"}}, 429, Stripe_Should_Retry="false", Retry_After="7"))
    for call in (world.call(K.VOID, transaction_id="pi_1"), world.authorize()):
        assert await world.look_up(call) == Unknown("the look-up was refused", retry_after_s=7)


async def test_a_notice_becomes_one_line_of_the_log_for_each_text(stripe: OwnStripe, world: World) -> None:
    noticed = said(
        intent(), 200, ("Stripe-Notice", "Use\N{NO-BREAK SPACE}test keys."), ("Stripe-Notice", "Old version.")
    )
    with capture_logs() as lines:
        for status in (noticed, said(DECLINED, 402, Stripe_Notice="Old version."), noticed):
            stripe.says(status)
            await answer(world, world.authorize())

    told = [(line["log_level"], line["notice"]) for line in lines]
    assert told == [("warning", "Use\N{REPLACEMENT CHARACTER}test keys."), ("warning", "Old version.")]


async def test_an_answer_with_a_notice_is_an_answer_like_any_other(stripe: OwnStripe, world: World) -> None:
    stripe.says(said(intent(), Stripe_Notice="n", Request_Id="req_1"))
    assert await answer(world, call := world.authorize()) == GatewayAnswer(
        call.operation_id, Approved("pi_1", amount_minor=1250), "req_1"
    )


CALLS_TWICE = """
import asyncio, sys
from datetime import UTC, datetime
from consumers.adapters.gateway.stripe_adapter import StripeGateway
from tests.contracts.gateway_worlds import collect, stripe_world

async def main():
    world = stripe_world(sys.argv[1])
    for _ in range(2):
        [answer] = await collect(world.gateway.perform([world.authorize()]))
        assert answer.request_id == "req_1", answer
    await world.gateway.close()

asyncio.run(main())
"""


def test_the_sdk_writes_no_file_and_sends_nothing_of_this_machine(tmp_path: Path) -> None:
    heard: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append({name.lower(): value for name, value in self.headers.items()})
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps(intent()).encode()
            self.send_response(200)
            self.send_header("Request-Id", "req_1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            root = Path(__file__).parents[2]
            address = f"http://127.0.0.1:{server.server_address[1]}"
            command = [sys.executable, "-c", CALLS_TWICE, address]
            environment = {"HOME": str(tmp_path), "PYTHONPATH": str(root)}
            subprocess.run(command, env=environment, cwd=root, check=True, timeout=60)
        finally:
            server.shutdown()
            serving.join()

    assert list(tmp_path.rglob("*")) == []
    assert len(heard) == 2
    for headers in heard:
        assert "x-stripe-client-telemetry" not in headers
        client = json.loads(headers["x-stripe-client-user-agent"])
        assert client.keys() == {"bindings_version", "lang", "lang_version", "httplib"}
