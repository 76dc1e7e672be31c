"""Stripe's lists, page after page: the one place that says what a list may look like, and when it is not whole.

Half a list would look like lost money, or like a payment that never happened. So each of these is an error: a page that
is no page, one that says that more follows and is empty, one that was given before, an end that never comes.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, TypeVar

import stripe
import structlog

from consumers.adapters.gateway.stripe_fields import UNREADABLE_ERRORS, Thing, text
from consumers.adapters.gateway.stripe_requests import CONNECTION_ERRORS, StripeRequests
from domain.errors import Transient

PAGE: Final = 100
"""The largest page that Stripe gives."""
PAUSE_S: Final = 1.0
"""Before the first further try of a page; it doubles with each."""

_Read = TypeVar("_Read")


class BrokenList(ValueError):  # noqa: N818 - the family of what cannot be read; its text says what to do
    """Stripe's list is no list, or does not go on as it says."""


class LongList(BrokenList):
    """The list has more pages than we may go through."""


class Page(NamedTuple):
    """Objects of one list, the newest first. after: where the next page begins; None: this is the last one."""

    things: list[Thing]
    after: str | None


class StripePages:
    """Reads lists. tries_max: of each page, after a lost connection, 429 or 5xx; pause: between them, in seconds."""

    def __init__(
        self,
        requests: StripeRequests,
        tries_max: int = 1,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._requests = requests
        self._tries_max = tries_max
        self._pause = pause

    async def read(self, path: str, asked: Mapping[str, Any], pages_max: int) -> AsyncGenerator[Page]:
        """Yield the pages of a list, the newest objects first.

        Raises BrokenList, LongList behind pages_max pages, and what a request raises (StripeRequests.get).
        """
        after: str | None = None
        begun: set[str | None] = set()
        for _ in range(pages_max):
            page = await self.read_page(path, asked, after)
            after = page.after
            if after in begun:
                raise BrokenList(f"Stripe's list {path} does not go on behind {after}: try again later.")
            begun.add(after)
            yield page
            if after is None:
                return
        raise LongList(f"Stripe's list {path} has more than {pages_max} pages: ask for a shorter time.")

    async def read_page(self, path: str, asked: Mapping[str, Any], after: str | None = None) -> Page:
        """Return one page: the first, or the one behind an object. Raises as read does."""
        cursor = {} if after is None else {"starting_after": after}
        page = _page_of(path, await self._get(path, {"limit": PAGE, **asked, **cursor}))
        if after is not None and page.after == after:
            raise BrokenList(f"Stripe's list {path} does not go on behind {after}: try again later.")
        return page

    async def listed(self, path: str, asked: Mapping[str, Any], pages_max: int) -> AsyncGenerator[Page]:
        """Yield the pages of a list. Raises Transient, with what to do, if it does not come whole."""
        pages = self.read(path, asked, pages_max)
        while True:
            with as_transient(f"list {path}"):
                page = await anext(pages, None)
            if page is None:
                return
            yield page

    async def _get(self, path: str, asked: Mapping[str, Any]) -> Thing:
        for tried in range(1, self._tries_max):
            try:
                return await self._requests.get(path, asked)
            except stripe.StripeError as error:
                # Stripe's own errors of a connection have no status.
                if error.http_status is not None and error.http_status < 500 and error.http_status != 429:
                    raise
            except CONNECTION_ERRORS:
                pass
            await self._pause(PAUSE_S * 2 ** (tried - 1))
        return await self._requests.get(path, asked)


def read_all(things: Iterable[Thing], read: Callable[[Thing], _Read]) -> list[_Read]:
    """Read every object, where one less would be a wrong answer. Raises Transient if one makes no sense."""
    try:
        return [read(thing) for thing in things]
    except UNREADABLE_ERRORS as error:
        raise Transient("Stripe's list has an object that this release cannot read: report it.") from error


def read_each(things: Iterable[Thing], read: Callable[[Thing], _Read | None]) -> list[_Read]:
    """Read the objects of which each stands for itself; what read returns None for is left out.

    One that makes no sense must not hide the others: it is a line in the log, for a person to look at.
    """
    found = []
    for thing in things:
        try:
            one = read(thing)
        except UNREADABLE_ERRORS as error:
            structlog.get_logger("consumers.gateway").error(
                "an object in the gateway's list cannot be read; look it up there", id=thing["id"], why=str(error)
            )
            continue
        if one is not None:
            found.append(one)
    return found


@contextmanager
def as_transient(what: str) -> Iterator[None]:
    """Raise Transient, with what to do, in place of every way in which Stripe fails to say something."""
    try:
        yield
    except stripe.StripeError as error:
        raise Transient(_refusal(what, error)) from error
    except CONNECTION_ERRORS as error:
        raise Transient(f"Stripe does not answer ({type(error).__name__}, {what}): try again.") from error
    except BrokenList as error:
        raise Transient(str(error)) from error
    except UNREADABLE_ERRORS as error:
        raise Transient(f"Stripe's {what} cannot be read: is PAYMENTS_STRIPE_API_BASE right?") from error


def _page_of(path: str, said: Thing) -> Page:
    things, more = said.get("data"), said.get("has_more")
    if not isinstance(things, list) or not isinstance(more, bool):
        raise BrokenList(f"Stripe's list {path} cannot be read: is PAYMENTS_STRIPE_API_BASE right?")
    if not all(isinstance(thing, dict) and isinstance(thing.get("id"), str) and thing["id"] for thing in things):
        raise BrokenList(f"Stripe's list {path} has an object without an id: report it.")
    if more and not things:
        raise BrokenList(f"Stripe's list {path} does not go on behind an empty page: try again later.")
    return Page(things, text(things[-1], "id") if more else None)


def _refusal(what: str, error: stripe.StripeError) -> str:
    status = error.http_status
    if status is None:
        return f"Stripe does not answer ({type(error.__cause__ or error).__name__}, {what}): try again."
    todo = "try again"
    if status in {401, 403}:
        todo = f"PAYMENTS_STRIPE_API_KEY needs the permission for this {what}"
    code = f", {error.code}" if isinstance(error.code, str) else ""
    return f"Stripe refuses its {what} (HTTP {status}{code}): {todo}."
