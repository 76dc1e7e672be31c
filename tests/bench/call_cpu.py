"""What one authorize costs the client in CPU, beside Stripe's SDK, in one run: `python -m tests.bench.call_cpu`.

All make the same calls, in turns, round after round, of a server that gives one answer of the sandbox's to everybody:
so what is left is the client. `http` is the SDK's aiohttp client alone, with headers and form made beforehand and the
answer's bytes thrown away. `sdk raw` is the SDK's raw request, with its form, headers and JSON. `sdk` is its usual call
with its objects. `ours` is the adapter, from the call to the outcome. `building` is our part of `ours` before anything
is sent: the form, encoded.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

import aiohttp
import click
import stripe

from consumers.adapters.gateway.stripe_adapter import StripeGateway
from consumers.adapters.gateway.stripe_forms import authorize_form
from consumers.adapters.gateway.stripe_requests import INTENTS
from consumers.adapters.gateway.stripe_sdk import KEY_HEADER, StripeSdk, encode
from deploy.gateways import SANDBOX_KEY
from deploy.running import now, run
from domain.ids import OrderId
from domain.operation import GatewayCall, OperationKind, idempotency_key, operation_id
from domain.outcome import Approved
from tests.bench.figures import Spread, spread
from tests.sandbox.process import running as running_sandbox

AT_ONCE: Final = 32
AMOUNT: Final = 2_000
WAYS: Final = ("http", "sdk raw", "sdk", "ours", "building")
HEAD: Final = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nRequest-Id: req_bench\r\nContent-Length: {}\r\n\r\n"

Way = Callable[[Sequence[GatewayCall]], Awaitable[None]]


async def record(address: str) -> bytes:
    """Return an answer of the sandbox to an authorize: a PaymentIntent with its charge."""
    call = _calls("recorded", 1)[0]
    headers = {**StripeSdk(SANDBOX_KEY).headers("post"), KEY_HEADER: call.idempotency_key}
    async with aiohttp.ClientSession() as session:
        form = encode(authorize_form(call, AMOUNT))
        async with session.post(address + INTENTS, data=form, headers=headers) as answer:
            return await answer.read()


class _Answering(asyncio.Protocol):
    """Answers every request with the same bytes."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._heard = b""
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._heard += data
        while (end := self._heard.find(b"\r\n\r\n")) >= 0:
            _, _, length = self._heard[:end].lower().partition(b"content-length: ")
            whole = end + 4 + int(length.split(b"\r\n")[0] or 0)
            if len(self._heard) < whole:
                return
            self._heard = self._heard[whole:]
            self._transport.write(self._answer)


async def serve(body: bytes) -> None:
    """Serve the answer on a free port, until stopped; print its address first."""
    answer = HEAD.format(len(body)).encode() + body
    server = await asyncio.get_running_loop().create_server(lambda: _Answering(answer), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    print(f"http://{host}:{port}", flush=True)  # noqa: T201 - the parent reads it
    await server.serve_forever()


async def measure(address: str, rounds: int, calls: int) -> dict[str, list[float]]:
    """Return microseconds of CPU a call, of each way, round by round. The first round only warms up."""
    taken: dict[str, list[float]] = {name: [] for name in WAYS}
    async with AsyncExitStack() as stack:
        ways = await _ways(stack, address)
        for number in range(rounds + 1):
            # Another one begins in each round: whoever comes first pays for what the last one left behind.
            for name in WAYS[number % len(WAYS) :] + WAYS[: number % len(WAYS)]:
                asked = _calls(f"{number}-{name.replace(' ', '-')}", calls)
                begun = time.process_time()
                await ways[name](asked)
                if number:
                    taken[name].append(1e6 * (time.process_time() - begun) / calls)
    return taken


async def _ways(stack: AsyncExitStack, address: str) -> dict[str, Way]:
    gateway = StripeGateway(SANDBOX_KEY, api_base=address, concurrency=AT_ONCE)
    stack.push_async_callback(gateway.close)
    connector = aiohttp.TCPConnector(limit=AT_ONCE)
    session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
    http = stripe.AIOHTTPClient(session=session, timeout=aiohttp.ClientTimeout(total=30))
    sdk = stripe.StripeClient(SANDBOX_KEY, base_addresses={"api": address}, http_client=http, max_network_retries=0)
    headers = {**StripeSdk(SANDBOX_KEY).headers("post"), KEY_HEADER: "key"}
    form = encode(authorize_form(_calls("form", 1)[0], AMOUNT))

    async def send(_: GatewayCall) -> None:
        await http.request_async("post", address + INTENTS, headers, form)

    async def send_raw(call: GatewayCall) -> None:
        params = dict(authorize_form(call, AMOUNT))
        await sdk.raw_request_async("post", INTENTS, idempotency_key=call.idempotency_key, **params)

    async def create(call: GatewayCall) -> None:
        await sdk.v1.payment_intents.create_async(
            authorize_form(call, AMOUNT), {"idempotency_key": call.idempotency_key}
        )

    async def perform(calls: Sequence[GatewayCall]) -> None:
        async for group in gateway.perform(calls):
            if not all(isinstance(answer.outcome, Approved) for answer in group):
                raise RuntimeError(f"not approved: {group}")

    async def build(calls: Sequence[GatewayCall]) -> None:
        for call in calls:
            encode(authorize_form(call, AMOUNT))

    return {
        "http": partial(_each, send),
        "sdk raw": partial(_each, send_raw),
        "sdk": partial(_each, create),
        "ours": perform,
        "building": build,
    }


async def _each(send: Callable[[GatewayCall], Awaitable[None]], calls: Sequence[GatewayCall]) -> None:
    """Send every call, AT_ONCE at a time, with as little of our own as possible."""
    left = iter(calls)

    async def work() -> None:
        for call in left:
            await send(call)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


def _calls(name: str, count: int) -> list[GatewayCall]:
    kind, made = OperationKind.AUTHORIZE, now()
    orders = [OrderId(f"{name}-{number}") for number in range(count)]
    return [
        GatewayCall(
            operation_id(order, 1, kind, 1),
            kind,
            idempotency_key(order, 1, kind, 1),
            order,
            1,
            AMOUNT,
            "EUR",
            "pm_card_visa",
            None,
            None,
            made,
        )
        for order in orders
    ]


def table(taken: dict[str, list[float]], body_bytes: int) -> str:
    """Show least, median and most over the rounds, and ours beside each of the others in the same round."""
    lines = [f"An answer of {body_bytes:,} bytes. CPU of the client, microseconds a call:", ""]
    lines += [f"{name:9} {_range(spread(some), 0)}" for name, some in taken.items()]
    lines += [
        f"ours / {name:8} {_range(spread([o / t for o, t in zip(taken['ours'], taken[name], strict=True)]), 2)}"
        for name in WAYS[:3]
    ]
    return "\n".join(lines)


def _range(some: Spread, digits: int) -> str:
    return f"{some.least:,.{digits}f} {some.median:,.{digits}f} {some.most:,.{digits}f}"


async def _run(rounds: int, calls: int) -> str:
    with tempfile.TemporaryDirectory() as folder, running_sandbox(Path(folder) / "journal.jsonl") as sandbox:
        body = await record(sandbox.address)
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.call_cpu", "--serve"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        server.stdin.write(body)
        server.stdin.write_eof()
        address = (await server.stdout.readline()).decode().strip()
        return table(await measure(address, rounds, calls), len(body))
    finally:
        server.terminate()
        await server.wait()


@click.command()
@click.option("--rounds", default=9, show_default=True)
@click.option("--calls", default=400, show_default=True, help="In each round, of each way.")
@click.option("--serve", "only_serve", is_flag=True, hidden=True)
def main(rounds: int, calls: int, only_serve: bool) -> None:  # noqa: FBT001 - click's options
    """Measure the client's CPU of an authorize call: least, median and most over the rounds."""
    if only_serve:
        run(serve(sys.stdin.buffer.read()))
        return
    click.echo(run(_run(rounds, calls)))


if __name__ == "__main__":
    main()
