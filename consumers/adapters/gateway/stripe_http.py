"""The HTTP client under Stripe's SDK: what Stripe says in headers beside its answers.

The SDK drops the headers of an error whose body is no JSON, so they are taken here, where every answer passes. A call
runs in a task of its own: its context holds what was said to it.
"""

from collections.abc import Mapping
from contextvars import Context, ContextVar
from types import MappingProxyType
from typing import Any, Final, cast

import stripe
import structlog

from schemas.fields import REFERENCE_LENGTH_MAX
from schemas.texts import one_line

NOTICE: Final = "Stripe-Notice"
NOTICE_LENGTH_MAX: Final = 1_000
NOTICES_MAX: Final = 100
"""So many distinct notices a process logs; the texts are Stripe's, and so is their number."""
NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})

_headers: ContextVar[Mapping[str, str]] = ContextVar("headers", default=NO_HEADERS)
_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


def last_headers() -> Mapping[str, str]:
    """Return the headers of the answer to this task's last request; empty if it had none."""
    return _headers.get()


def last_request_id() -> str | None:
    """Return Stripe's id of this task's last request that was answered."""
    return _request_id.get()


def take_over(context: Context) -> None:
    """Take over what was said in the context of another task."""
    _headers.set(context.get(_headers, NO_HEADERS))
    _request_id.set(context.get(_request_id))


class ListeningClient(stripe.AIOHTTPClient):
    """Notes each answer's headers and request id. Logs each distinct notice once.

    The SDK makes a Python warning of a notice: it would be printed, or raised in place of the answer where warnings are
    errors. So it does not get to see the header.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._notices: set[str] = set()
        self._log = structlog.get_logger("consumers.stripe")

    async def request_stream_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[Any, int, Mapping[str, str]]:
        """Send one request; return its body, still to be read, its status and its headers."""
        _headers.set(NO_HEADERS)
        body, status, said = await super().request_stream_async(method, url, headers, post_data)
        _headers.set(said)
        request_id = said.get("Request-Id")
        if request_id:
            _request_id.set(one_line(request_id, REFERENCE_LENGTH_MAX))
        return body, status, self._take_notices(said) if NOTICE in said else said

    def _take_notices(self, said: Any) -> Mapping[str, str]:
        """Log the notices; return the other headers. said: aiohttp's, which may hold several of one name."""
        others: Any = said.copy()
        for text in others.popall(NOTICE):
            notice = one_line(text, NOTICE_LENGTH_MAX)
            if notice not in self._notices and len(self._notices) < NOTICES_MAX:
                self._notices.add(notice)
                self._log.warning("Stripe has a notice for us", notice=notice, request_id=last_request_id())
        return cast("Mapping[str, str]", others)
