"""Stripe's list of events, for what no webhook brought. It has the events of 30 days, the newest first."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from consumers.adapters.gateway.stripe_fields import whole
from consumers.adapters.gateway.stripe_notices import notice_of
from consumers.adapters.gateway.stripe_pages import StripePages, as_transient, read_each
from domain.notices import TYPES
from domain.ports.notices import NoticePage

EVENTS: Final = "/v1/events"


class StripeEventList:
    """Reads pages of the list."""

    def __init__(self, pages: StripePages) -> None:
        self._pages = pages

    async def list_notices(self, since: datetime, after: str | None) -> NoticePage:
        """Return a page of the events since then. Raises Transient with Stripe's reason if it gives none."""
        asked: Mapping[str, Any] = {"created": {"gte": int(since.timestamp())}, "types": list(TYPES)}
        with as_transient("list of events"):
            page = await self._pages.read_page(EVENTS, asked, after)
            # The newest first, so the first one tells how far the list reaches.
            newest = max((datetime.fromtimestamp(whole(event, "created"), UTC) for event in page.things), default=None)
        return NoticePage(read_each(page.things, notice_of), newest, page.after)
