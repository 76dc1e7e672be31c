"""One request of the gateway: its size and time, its signature, what is kept of it, and its answer."""

import asyncio
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Final

import structlog
from aiohttp import web

from consumers.adapters.gateway.stripe_notices import (
    SIGNATURE_HEADER,
    Forged,
    TooOld,
    Unreadable,
    check_signature,
    read_event,
)
from deploy.webhooks.keeping import Keeper, Overloaded
from deploy.webhooks.tally import Came, Tally
from domain.errors import Transient

PATH: Final = "/webhooks/stripe"
BODY_MAX: Final = 512 * 1024
"""Far above any event of the types that we take."""
BODY_S: Final = 10.0

_STATUS: Final = {
    Came.KEPT: HTTPStatus.OK,
    Came.NOT_OURS: HTTPStatus.OK,
    Came.FORGED: HTTPStatus.BAD_REQUEST,
    Came.TOO_OLD: HTTPStatus.BAD_REQUEST,
    Came.UNREADABLE: HTTPStatus.BAD_REQUEST,
    Came.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Came.TOO_SLOW: HTTPStatus.REQUEST_TIMEOUT,
    Came.NOT_KEPT: HTTPStatus.SERVICE_UNAVAILABLE,
    Came.NOT_HERE: HTTPStatus.NOT_FOUND,
}
_ENDS: Final = frozenset({Came.TOO_LARGE, Came.TOO_SLOW, Came.NOT_HERE})
"""After these the connection is closed: the rest of the body is not read."""


class _TooLarge(Exception):  # noqa: N818 - its name says what is wrong
    """The body is larger than BODY_MAX."""


class _TooSlow(Exception):  # noqa: N818 - its name says what is wrong
    """The body did not come in time, or its sender has gone."""


class Endpoint:
    """Answers requests. now_s: the clock, in Unix seconds. body_s: how long a body may take."""

    def __init__(
        self,
        secrets: Sequence[str],
        keeper: Keeper,
        tally: Tally,
        now_s: Callable[[], float],
        *,
        tolerance_s: float,
        body_s: float = BODY_S,
    ) -> None:
        self._secrets = [secret.encode() for secret in secrets]
        self._keeper = keeper
        self._tally = tally
        self._now_s = now_s
        self._tolerance_s = tolerance_s
        self._body_s = body_s
        self._log: Any = structlog.get_logger("deploy.webhooks")

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Return 200 only if the notice is committed, or if there is nothing to keep."""
        try:
            came, why = await self._take(request)
        except Exception as error:  # noqa: BLE001 - a bug about one request must not take the others down
            self._log.error("a webhook raised; the gateway sends it again", exc_info=error)
            came, why = Came.NOT_KEPT, ""
        self._tally.note(came, asyncio.get_running_loop().time(), why)
        response = web.Response(status=_STATUS[came], text=f"{came}\n")
        if came in _ENDS:
            response.force_close()
        return response

    async def _take(self, request: web.BaseRequest) -> tuple[Came, str]:
        """Check a request and keep what it brings. The text says why a signature was refused."""
        if request.method != "POST" or request.path != PATH:
            return Came.NOT_HERE, ""
        try:
            body = await _body(request, self._body_s)
            header = request.headers.get(SIGNATURE_HEADER, "")
            check_signature(body, header, self._secrets, self._now_s(), self._tolerance_s)
            notice = read_event(body)
            if notice is None:
                return Came.NOT_OURS, ""
            await self._keeper.keep(notice)
        except _TooLarge:
            return Came.TOO_LARGE, ""
        except TooOld as error:
            return Came.TOO_OLD, str(error)
        except Forged as error:
            return Came.FORGED, str(error)
        except Unreadable:
            return Came.UNREADABLE, ""
        except _TooSlow:
            return Came.TOO_SLOW, ""
        except (Transient, Overloaded, TimeoutError):
            return Came.NOT_KEPT, ""
        return Came.KEPT, ""


async def _body(request: web.BaseRequest, within_s: float) -> bytes:
    """Read the raw body, piece by piece, so that no more than BODY_MAX is ever in memory."""
    if (request.content_length or 0) > BODY_MAX:
        raise _TooLarge
    body = bytearray()
    try:
        async with asyncio.timeout(within_s):
            while piece := await request.content.readany():
                body += piece
                if len(body) > BODY_MAX:
                    raise _TooLarge
    except (TimeoutError, OSError, web.RequestPayloadError) as error:
        raise _TooSlow from error
    return bytes(body)
