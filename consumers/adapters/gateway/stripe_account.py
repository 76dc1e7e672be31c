"""Whether our key is that of the account in which our payments are. A key of another account finds nothing of ours."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import stripe

from consumers.adapters.gateway.stripe_errors import is_missing
from consumers.adapters.gateway.stripe_fields import Thing, part
from consumers.adapters.gateway.stripe_pages import LongList, StripePages
from consumers.adapters.gateway.stripe_requests import INTENTS, StripeRequests, path_to
from domain.ids import OrderId
from domain.operation import GatewayCall, OperationKind, operation_id

OURS_PAGES_MAX: Final = 10
"""How far we search for another transaction of ours."""
TRIES_MAX: Final = 5
"""So many authorizations of one attempt at the most may bear their own operation's id."""
_NEWEST: Final[Mapping[str, Any]] = {}

KnownBefore = Callable[[OrderId], Awaitable[Sequence[str]]]
"""Gives a few transactions of ours, of orders from before this one, the newest first."""


async def _nothing_known(_: OrderId) -> Sequence[str]:
    return ()


class StripeAccount:
    """Looks for payments of ours. What it has seen of the account, it remembers for the life of the process.

    Raises what the SDK raises, and one of UNREADABLE_ERRORS where an answer makes no sense.
    """

    def __init__(self, requests: StripeRequests, pages: StripePages, known_before: KnownBefore | None = None) -> None:
        self._requests = requests
        self._pages = pages
        self._known_before = known_before or _nothing_known
        self._has_ours = False
        self._seen_from: datetime | None = None

    def note_ours(self) -> None:
        """Note that Stripe has a transaction of ours: our key is that of the right account."""
        self._has_ours = True

    async def has_ours(self) -> bool:
        """Whether one of the newest transactions is ours."""
        if self._has_ours:
            return True
        try:
            async with aclosing(self._pages.read(INTENTS, _NEWEST, OURS_PAGES_MAX)) as pages:
                async for page in pages:
                    if any(is_ours(intent) for intent in page.things):
                        self.note_ours()
                        return True
        except LongList:
            pass
        return False

    async def lacks_before(self, call: GatewayCall) -> str | None:
        """Return a transaction of ours from before the call, if the account has none of those that we know of.

        None: it has one, or we know of none. An account may be changed on purpose, so a later transaction proves
        nothing of an earlier call.
        """
        if self._seen_from is not None and self._seen_from <= call.opened_at:
            return None
        known = await self._known_before(call.order_id)
        for transaction_id in known:
            try:
                await self._requests.get(path_to(INTENTS, transaction_id))
            except stripe.StripeError as error:
                if not is_missing(error):
                    raise
            else:
                self.note_ours()
                self._seen_from = min(call.opened_at, self._seen_from or call.opened_at)
                return None
        return known[0] if known else None


def is_ours(intent: Thing) -> bool:
    """Whether the ids in its metadata belong together as ours do. Another system may use the same names."""
    metadata = part(intent, "metadata")
    order, attempt, operation = (metadata.get(name) for name in ("order_id", "attempt", "operation_id"))
    if not (isinstance(order, str) and isinstance(attempt, str) and isinstance(operation, str)):
        return False
    try:
        named, number = UUID(operation), int(attempt)
    except ValueError:
        return False
    tries = range(1, TRIES_MAX + 1)
    return any(named == operation_id(OrderId(order), number, OperationKind.AUTHORIZE, n) for n in tries)
