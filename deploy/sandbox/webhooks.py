"""Webhooks as Stripe sends them: signed, at least once, in no order, and again later if they are not answered 2xx."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import aiohttp

from consumers.adapters.gateway.stripe_notices import SIGNATURE_HEADER, sign
from deploy.sandbox.events import Event, EventLog

AT_ONCE: Final = 8
WAITING_MAX: Final = 10_000
"""So many events wait to be sent. Further ones are only in the list of events."""
TRIES_MAX: Final = 12
PAUSE_MIN_S: Final = 0.25
PAUSE_MAX_S: Final = 60.0
"""Stripe tries for three days, with hours between. Here it is some minutes."""
ANSWER_S: Final = 20.0
TICK_S: Final = 0.1


class Hook(NamedTuple):
    """Where webhooks go, and what signs them."""

    url: str
    secret: bytes


@asynccontextmanager
async def telling(events: EventLog, hook: Hook | None, now_s: Callable[[], float]) -> AsyncIterator[None]:
    """While inside, look for what time changes, and send every new event to the hook, if there is one."""
    ticking = asyncio.create_task(_tick(events))
    try:
        if hook is None:
            yield
            return
        timeout = aiohttp.ClientTimeout(total=ANSWER_S)
        async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=AT_ONCE)) as session:
            sender = Sender(session, hook, now_s)
            events.tell = sender.put
            try:
                yield
            finally:
                await sender.close()
    finally:
        ticking.cancel()


async def _tick(events: EventLog) -> None:
    while True:
        events.tick()
        await asyncio.sleep(TICK_S)


class Sender:
    """Sends events to one endpoint. What is not sent when it closes is only in the list of events."""

    def __init__(self, session: aiohttp.ClientSession, hook: Hook, now_s: Callable[[], float]) -> None:
        self._session = session
        self._hook = hook
        self._now_s = now_s
        self._tasks: set[asyncio.Task[None]] = set()

    def put(self, event: Event) -> None:
        """Send an event, now and again until it is answered 2xx. Returns at once."""
        if len(self._tasks) < WAITING_MAX:
            task = asyncio.get_running_loop().create_task(self._send(event.body))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give up what is not answered yet."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _send(self, body: bytes) -> None:
        pause_s = PAUSE_MIN_S
        for _ in range(TRIES_MAX):
            if await self._post(body):
                return
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, PAUSE_MAX_S)

    async def _post(self, body: bytes) -> bool:
        """Send it once, with a signature of now; return whether it was answered 2xx."""
        headers = {
            SIGNATURE_HEADER: sign(body, self._hook.secret, int(self._now_s())),
            "Content-Type": "application/json; charset=utf-8",
        }
        try:
            async with self._session.post(self._hook.url, data=body, headers=headers) as answer:
                return answer.ok
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False
