"""Requests to the inventory: how many at a time, time-outs, sizes; and what they come back with."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
import orjson

from consumers.adapters.inventory.http_outcomes import RETRY_AFTER_MAX_S, Reply
from domain.outcome import NotExecuted, Unknown

ANSWER_BYTES_MAX: Final = 64 << 20
"""A larger answer is not read. A batch with the largest lists that the contract allows is smaller."""
CONNECT_TIMEOUT_S: Final = 5.0
_JSON: Final = "application/json"
_PROBLEM: Final = "application/problem+json"
Came = Reply | Unknown | NotExecuted


class HttpRequests:
    """Sends requests, so many at a time, over all sequences. url: without a slash at its end."""

    def __init__(self, url: str, token: str | None, *, at_once: int, timeout_s: float) -> None:
        self._url = url
        self._headers = {"User-Agent": "payments", "Accept-Encoding": "identity"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(timeout_s, CONNECT_TIMEOUT_S))
        self._at_once = at_once
        self.room = asyncio.Semaphore(at_once)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, method: str, path: str, body: Any = None, key: str | None = None) -> Came:
        """Send one request; return the answer, or what is known without one. The caller has room for it."""
        headers: dict[str, str] = {}
        if body is not None:
            headers["Content-Type"] = _JSON
        if key is not None:
            headers["Idempotency-Key"] = key
        data = None if body is None else orjson.dumps(body)
        try:
            async with self._open().request(
                method, self._url + path, data=data, headers=headers, allow_redirects=False
            ) as answer:
                return await _read(answer)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            # There never was a connection, and every other call fails as well.
            return NotExecuted(f"no connection ({type(error).__name__})", everybody=True)
        except TimeoutError:
            return Unknown("time-out")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Unknown(f"connection lost ({type(error).__name__})")

    async def close(self) -> None:
        """Close the connections. A later request opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
            # aiohttp closes TLS connections a turn of the loop later.
            await asyncio.sleep(0)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._at_once),
                timeout=self._timeout,
                headers=self._headers,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._session


async def _read(answer: aiohttp.ClientResponse) -> Came:
    """Read an answer that is JSON, of a size that we can hold. Any other counts by its status alone."""
    body = bytearray()
    async for part in answer.content.iter_chunked(1 << 16):
        body += part
        if len(body) > ANSWER_BYTES_MAX:
            answer.close()
            return Unknown("the answer is too large")
    wanted = _JSON if answer.status == 200 else _PROBLEM
    try:
        said = orjson.loads(bytes(body)) if answer.content_type == wanted else None
    except orjson.JSONDecodeError:
        said = None
    if answer.status == 200 and said is None:
        return Unknown("unreadable answer")
    return Reply(answer.status, said, retry_after(answer.headers))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that the header Retry-After names; None if it names none."""
    said = headers.get("Retry-After", "")
    return float(said) if said.isascii() and said.isdecimal() and int(said[:9]) <= RETRY_AFTER_MAX_S else None
