"""What a shop's webhook gets, and what its behaviour makes of a message. Real sockets throughout."""

import asyncio
import base64
import hashlib
import hmac
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from consumers.adapters.notifier.signing import read_secret, signature
from consumers.adapters.notifier.webhook import WebhookMessenger
from domain.messages import Delivery, Never, NotNow, Sent
from domain.outcome import Missing
from tests.messages.builders import KEY, message
from tests.messages.mail_server import on_the_wire

NOW = datetime(2026, 11, 28, 12, 0, 5, tzinfo=UTC)
SECRETS = (b"0" * 24, b"1" * 32)


class Receiver:
    """A shop's endpoint: keeps what came, checks signatures as the specification says, and answers this status."""

    def __init__(self, *statuses: int) -> None:
        self.got: list[tuple[dict[str, str], dict[str, Any]]] = []
        self._statuses = list(statuses)

    async def answer(self, request: web.BaseRequest) -> web.Response:
        body = await request.read()
        key, at, signed = (request.headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
        for secret, one in zip(SECRETS, signed.split(" "), strict=True):
            digest = hmac.new(secret, f"{key}.{at}.".encode() + body, hashlib.sha256).digest()
            assert one == "v1," + base64.b64encode(digest).decode()
        self.got.append(({name.lower(): value for name, value in request.headers.items()}, json.loads(body)))
        return web.Response(status=self._statuses.pop(0) if self._statuses else 204)


@asynccontextmanager
async def receiving(receiver: Receiver) -> AsyncIterator[str]:
    runner = web.ServerRunner(web.Server(receiver.answer), shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/told"
    finally:
        await runner.cleanup()


async def send_to(url: str, timeout_s: float = 2) -> Delivery:
    messenger = WebhookMessenger(url, SECRETS, lambda: NOW, timeout_s=timeout_s)
    try:
        return await messenger.send(message(kind="ITEMS_UNAVAILABLE", missing=(Missing("SKU-1", 2, None),)))
    finally:
        await messenger.close()


def test_the_signature_is_that_of_the_specifications_example() -> None:
    secret = read_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_a_message_is_posted_once_signed_with_both_secrets() -> None:
    receiver = Receiver()
    async with receiving(receiver) as url:
        assert await send_to(url) == Sent()
    ((headers, body),) = receiver.got
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == (str(KEY), str(int(NOW.timestamp())))
    assert body == {
        "type": "customer_notification.requested",
        "timestamp": "2026-11-28T12:00:00Z",
        "data": {
            "event_id": str(KEY),
            "order_id": "order-1",
            "customer_id": "customer-1",
            "kind": "ITEMS_UNAVAILABLE",
            "failure_code": "card_expired",
            "reason": "This card has expired. Please try another payment method.",
            "amount_minor": 3080,
            "currency": "EUR",
            "money": "NONE",
            "retryable": True,
            "retry_until": "2026-11-29T12:00:00Z",
            "missing": [{"sku": "SKU-1", "requested": 2, "available": None}],
        },
    }


@pytest.mark.parametrize(
    ("status", "delivery"),
    [
        (200, Sent()),
        (202, Sent()),
        (301, NotNow("the webhook answers 301")),
        (400, Never("the webhook answers 400")),
        (404, Never("the webhook answers 404")),
        (408, NotNow("the webhook answers 408")),
        (410, Never("the webhook answers 410")),
        (429, NotNow("the webhook answers 429")),
        (500, NotNow("the webhook answers 500")),
        (503, NotNow("the webhook answers 503")),
    ],
)
async def test_the_status_decides(status: int, delivery: Delivery) -> None:
    async with receiving(Receiver(status)) as url:
        assert await send_to(url) == delivery


async def test_a_receiver_that_is_not_there_is_down() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        delivery = await send_to(f"http://127.0.0.1:{taken.getsockname()[1]}/")
    assert delivery == NotNow("the webhook cannot be reached: ClientConnectorError", down=True)


@pytest.mark.parametrize(
    ("answer", "sent"),
    [
        (b"", False),
        (b"\x00\xffgarbage\r\n\r\n", False),
        (b"HTTP/1.1 2", False),
        # It has taken the message when it says so; the rest of its answer does not matter.
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhal", True),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\nhal", False),
    ],
)
async def test_a_connection_that_breaks_counts_by_what_was_said_before(answer: bytes, *, sent: bool) -> None:
    async def breaks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async with on_the_wire(breaks) as port:
        delivery = await send_to(f"http://127.0.0.1:{port}/")
    assert isinstance(delivery, Sent) if sent else isinstance(delivery, NotNow)


async def test_a_slow_receiver_is_tried_again() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with on_the_wire(slow) as port:
        delivery = await send_to(f"http://127.0.0.1:{port}/", timeout_s=0.1)
    assert isinstance(delivery, NotNow)
