"""Events as Stripe sends them, signed as its documentation says; and an endpoint in the test's process."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import aiohttp
import orjson

from deploy.listening import serving
from deploy.webhooks.endpoint import PATH, Endpoint
from deploy.webhooks.keeping import Keeper
from deploy.webhooks.tally import Tally
from domain.ports.notices import KeepsNotices

SECRET = "whsec_test"
TOLERANCE_S = 300.0
OPERATION = str(UUID(int=1))


def now_s() -> float:
    return datetime.now(UTC).timestamp()  # noqa: TID251 - the sender's clock


def event(
    number: int | str, order_id: str, intent_id: str, name: str = "payment_intent.succeeded", operation: str = OPERATION
) -> dict[str, Any]:
    """Make an event about a transaction, or about another object of it."""
    is_intent = name.startswith("payment_intent.")
    thing = {
        "id": intent_id if is_intent else f"obj_{number}",
        "object": "payment_intent" if is_intent else name.split(".", maxsplit=1)[0],
        "payment_intent": intent_id,
        "metadata": {"order_id": order_id, "attempt": "1", "operation_id": operation},
        "receipt_email": "jane@example.com",
        "client_secret": f"{intent_id}_secret_x",
    }
    return {"id": f"evt_{number}", "object": "event", "type": name, "created": int(now_s()), "data": {"object": thing}}


def header(body: bytes, secret: str = SECRET, at_s: float | None = None) -> str:
    at = int(now_s() if at_s is None else at_s)
    mac = hmac.new(secret.encode(), b"%d.%s" % (at, body), hashlib.sha256).hexdigest()
    return f"t={at},v1={mac}"


class Sender:
    """Sends webhooks to one endpoint."""

    def __init__(self, session: aiohttp.ClientSession, address: str, tally: Tally) -> None:
        self.address = address
        self.tally = tally
        self._session = session

    async def post(self, body: bytes, signature: str | None = None, path: str = PATH) -> int:
        """Send a body, signed unless another header is given; return the status."""
        headers = {"Stripe-Signature": header(body) if signature is None else signature}
        async with self._session.post(f"http://{self.address}{path}", data=body, headers=headers) as answer:
            await answer.read()
            return answer.status

    async def send(self, *events: dict[str, Any]) -> list[int]:
        """Send these events at once; return their statuses."""
        return await asyncio.gather(*(self.post(orjson.dumps(one)) for one in events))


@asynccontextmanager
async def endpoint(
    notices: KeepsNotices,
    *secrets: str,
    body_s: float = 10,
    make_keeper: Callable[[KeepsNotices], Keeper] = Keeper,
    connections: int = 64,
    **server: Any,
) -> AsyncIterator[Sender]:
    """Run an endpoint on a free port of loopback, and a sender that uses so many connections."""
    keeper, tally = make_keeper(notices), Tally()
    made = Endpoint(secrets or (SECRET,), keeper, tally, now_s, tolerance_s=TOLERANCE_S, body_s=body_s)
    writing = asyncio.create_task(keeper.run())
    try:
        async with serving("127.0.0.1", 0, made.answer, **server) as address:
            pool = aiohttp.TCPConnector(limit=connections)
            async with aiohttp.ClientSession(connector=pool, timeout=aiohttp.ClientTimeout(total=60)) as session:
                yield Sender(session, address, tally)
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
