"""The notifier that tells a webhook of the shop, signed as Standard Webhooks says.

Source: the Standard Webhooks specification (github.com/standard-webhooks/standard-webhooks).
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

import aiohttp
import orjson

from consumers.adapters.notifier.signing import signature
from domain.messages import Delivery, Message, Never, NotNow, Sent

TIMEOUT_S: Final = 15.0
TRY_AGAIN: Final = frozenset({408, 409, 425, 429})
"""Statuses from 400 to 499 that are about now, not about the message."""


class WebhookMessenger:
    """domain.ports.messages.Messenger over HTTP. now: the clock of this machine, for the time-stamp that is signed."""

    def __init__(
        self, url: str, secrets: Sequence[bytes], now: Callable[[], datetime], *, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._url = url
        self._secrets = secrets
        self._now = now
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, message: Message) -> Delivery:
        """Post one message. What counts is the status of the answer; its body is not read."""
        body = body_of(message)
        key, at = str(message.notification.key), int(self._now().timestamp())
        signed = " ".join(signature(secret, key, at, body) for secret in self._secrets)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "payments",
            "webhook-id": key,
            "webhook-timestamp": str(at),
            "webhook-signature": signed,
        }
        try:
            async with self._open().post(self._url, data=body, headers=headers, allow_redirects=False) as answer:
                return _judge(answer.status)
        except aiohttp.ClientConnectorError as error:
            return NotNow(f"the webhook cannot be reached: {type(error).__name__}", down=True)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return NotNow(f"no answer of the webhook: {type(error).__name__}")

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            # aiohttp closes TLS connections a turn of the loop later.
            await asyncio.sleep(0)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar())
        return self._session


def body_of(message: Message) -> bytes:
    """Return the JSON body: the same bytes each time."""
    n = message.notification
    data: dict[str, Any] = {
        "event_id": str(n.key),
        "order_id": n.order_id,
        "customer_id": n.customer_id,
        "kind": n.kind,
        "failure_code": n.failure_code,
        "reason": n.text or None,
        "amount_minor": n.amount_minor,
        "currency": n.currency,
        "money": n.money,
        "retryable": n.retryable,
        "retry_until": n.retry_until,
        "missing": [{"sku": m.sku, "requested": m.requested, "available": m.available} for m in n.missing],
    }
    said = {"type": "customer_notification.requested", "timestamp": n.occurred_at, "data": data}
    return orjson.dumps(said, option=orjson.OPT_UTC_Z)


def _judge(status: int) -> Delivery:
    if 200 <= status < 300:
        return Sent()
    why = f"the webhook answers {status}"
    return Never(why) if 400 <= status < 500 and status not in TRY_AGAIN else NotNow(why)
