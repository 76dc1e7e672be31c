"""The stock in another system, over HTTP, by the contract deploy/contracts/inventory.openapi.yaml."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Any, Final, NamedTuple

from consumers.adapters.inventory import http_forms as forms
from consumers.adapters.inventory import http_outcomes as outcomes
from consumers.adapters.inventory.http_outcomes import Reply
from consumers.adapters.inventory.http_requests import Came, HttpRequests
from domain.errors import DownForEverybody
from domain.outcome import NotExecuted, Outcome, Unknown
from domain.ports.inventory import BeginStock, InventoryAnswer, begin_always
from domain.stock_calls import StockCall

AT_ONCE: Final = 16
"""Requests at a time, a process; each may be a batch."""
BATCH_MOST: Final = 500
"""Calls in a batch, also if the inventory takes more: an answer that is lost makes all of them unknown."""
LOST: Final = Unknown("no answer to this call in that of its batch")
VERSION: Final = "1"
Answers = Sequence[InventoryAnswer]


class About(NamedTuple):
    """What the inventory offers. batch_max: calls in a batch; 0: there are none. body_bytes_max: of a request."""

    batch_max: int
    body_bytes_max: int


class HttpInventory:
    """`RemoteInventory` over HTTP. url: without a slash at its end. timeout_s bounds one request, from its start."""

    def __init__(self, url: str, token: str | None = None, *, timeout_s: float = 10.0, at_once: int = AT_ONCE) -> None:
        self._requests = HttpRequests(url, token, at_once=at_once, timeout_s=timeout_s)
        self._about: About | None = None

    async def perform(self, calls: Sequence[StockCall], begin: BeginStock = begin_always) -> AsyncIterator[Answers]:
        """Make the calls, in batches if the inventory takes them."""
        about = await self._ask_about()
        if not isinstance(about, About):
            yield [_answer(call, about) for call in calls]
            return
        cut = forms.portions(calls, min(about.batch_max, BATCH_MOST), about.body_bytes_max)
        async with aclosing(_all(cut, lambda portion: self._perform(portion, begin))) as groups:
            async for group in groups:
                yield group

    async def look_up(self, calls: Sequence[StockCall]) -> AsyncIterator[Answers]:
        """Read the holds and restocks that the calls are about."""
        async with aclosing(_all(([call] for call in calls), self._look_up)) as groups:
            async for group in groups:
                yield group

    async def close(self) -> None:
        """Close the connections. A later call opens new ones."""
        await self._requests.close()

    async def _ask_about(self) -> About | NotExecuted:
        """Ask what the inventory offers, once. Raises DownForEverybody if it speaks another version of the contract."""
        if self._about is not None:
            return self._about
        async with self._requests.room:
            came = await self._requests.send("GET", forms.ABOUT)
        if isinstance(came, Unknown):
            return NotExecuted(f"it does not say what it offers: {came.detail}", everybody=True)
        if isinstance(came, NotExecuted):
            return came
        outcomes.check_allowed(came, outcomes.word_of(came))
        if came.status != 200:
            return NotExecuted(f"it does not say what it offers: HTTP {came.status}", came.retry_after_s)
        about = _read_about(came.body)
        if about is None:
            raise DownForEverybody(
                f"the inventory does not follow version {VERSION} of the contract: check PAYMENTS_INVENTORY_URL"
            )
        self._about = about
        return about

    async def _perform(self, portion: Sequence[StockCall], begin: BeginStock) -> Answers:
        async with self._requests.room:
            begun = [call for call in portion if begin(call)]
            if not begun:
                return []
            if len(begun) == 1:
                return [await self._perform_alone(begun[0])]
            came = await self._requests.send("POST", forms.BATCH, forms.batch_of(begun))
            if not isinstance(came, Reply):
                return [_answer(call, came) for call in begun]
            word = outcomes.word_of(came)
            outcomes.check_allowed(came, word)
            if came.status == 200:
                return _read_batch(begun, came.body)
            refused = outcomes.not_begun(came, word)
            if refused is None:
                unknown = Unknown(f"HTTP {came.status} {word or 'in another form'}", retry_after_s=came.retry_after_s)
                return [_answer(call, unknown) for call in begun]
            if came.status in {429, 503}:
                return [_answer(call, refused) for call in begun]
            # It does not take this batch. One wrong call must not hold up the others, so each goes alone, once.
            self._about = None
            return [await self._perform_alone(call) for call in begun if begin(call)]

    async def _perform_alone(self, call: StockCall) -> InventoryAnswer:
        form = forms.form_of(call)
        came = await self._requests.send(form.method, form.path, form.body, call.idempotency_key)
        return _answer(call, outcomes.read_answer(call, came) if isinstance(came, Reply) else came)

    async def _look_up(self, calls: Sequence[StockCall]) -> Answers:
        (call,) = calls
        async with self._requests.room:
            came: Came = await self._requests.send("GET", forms.form_of(call).look_up)
        if isinstance(came, NotExecuted):
            # A look-up that was not made says nothing about the call.
            return [_answer(call, Unknown(f"look-up: {came.detail}"))]
        return [_answer(call, outcomes.read_look_up(call, came) if isinstance(came, Reply) else came)]


def _answer(call: StockCall, outcome: Outcome) -> InventoryAnswer:
    return InventoryAnswer(call.operation_id, outcome)


def _read_batch(calls: Sequence[StockCall], body: Any) -> Answers:
    """Read the answers of a batch: one for each call. What has none, or two, is unknown."""
    said = body.get("answers") if isinstance(body, dict) else None
    replies: dict[str, Reply | None] = {}
    for one in said if isinstance(said, list) else ():
        key = one.get("key") if isinstance(one, dict) else None
        if isinstance(key, str):
            replies[key] = _read_entry(one) if key not in replies else None
    found: list[InventoryAnswer] = []
    for call in calls:
        reply = replies.get(call.idempotency_key)
        # 401 for one call of many is about that call alone: nobody knows what it means.
        fits = reply is not None and reply.status not in {401, 403}
        found.append(_answer(call, outcomes.read_answer(call, reply) if reply is not None and fits else LOST))
    return found


def _read_entry(one: dict[str, Any]) -> Reply | None:
    status, after = one.get("status"), one.get("retry_after_s")
    if type(status) is not int or "body" not in one:
        return None
    waits = type(after) is int and 0 <= after <= outcomes.RETRY_AFTER_MAX_S
    return Reply(status, one["body"], float(after) if after is not None and waits else None)


def _read_about(body: Any) -> About | None:
    if not isinstance(body, dict) or body.get("version") != VERSION:
        return None
    most, size = body.get("batch_max"), body.get("body_bytes_max")
    if type(most) is not int or type(size) is not int or most < 0 or size < 1:
        return None
    return About(most, size)


async def _all(
    portions: Iterable[Sequence[StockCall]], ask: Callable[[Sequence[StockCall]], Awaitable[Answers]]
) -> AsyncGenerator[Answers, None]:
    """Ask for all portions at once, and yield their answers as they come.

    When one is refused for everybody, what runs is awaited and given, and then the refusal is raised. Leaving early
    cancels what runs and waits for it to be over.
    """
    refusal: DownForEverybody | None = None

    async def one(portion: Sequence[StockCall]) -> Answers:
        nonlocal refusal
        if refusal is not None:
            return []
        try:
            return await ask(portion)
        except DownForEverybody as down:
            refusal = down
            return []

    tasks = [asyncio.ensure_future(one(portion)) for portion in portions]
    try:
        for task in asyncio.as_completed(tasks):
            group = await task
            if group:
                yield group
        if refusal is not None:
            raise refusal
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
