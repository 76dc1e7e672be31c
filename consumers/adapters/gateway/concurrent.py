"""Many calls at once, their answers in groups as they come."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from domain.errors import DownForEverybody
from domain.operation import GatewayCall
from domain.outcome import GatewayOutcome
from domain.ports.gateway import GatewayAnswer


async def answers(
    calls: Sequence[GatewayCall],
    ask: Callable[[GatewayCall], Awaitable[GatewayOutcome | None]],
    at_once: int,
    request_id: Callable[[], str | None] = lambda: None,
) -> AsyncIterator[Sequence[GatewayAnswer]]:
    """Ask for every call, `at_once` at a time, and yield all answers that are ready, as soon as there are some.

    A call for which ask returns None was not made, and has no answer. Each is asked in a task of its own, in which
    request_id then gives the gateway's id of the request.
    When one is refused for everybody, what already runs is awaited and given, nothing more is asked, and the refusal is
    raised. Leaving early cancels what runs and waits for it to be over.
    """
    refusal: DownForEverybody | None = None
    room = asyncio.Semaphore(at_once)
    finished: asyncio.Queue[asyncio.Task[GatewayAnswer | None]] = asyncio.Queue()

    async def one(call: GatewayCall) -> GatewayAnswer | None:
        nonlocal refusal
        async with room:
            if refusal is not None:
                return None
            try:
                outcome = await ask(call)
                return None if outcome is None else GatewayAnswer(call.operation_id, outcome, request_id())
            except DownForEverybody as down:
                refusal = down
                return None

    tasks = [asyncio.create_task(one(call)) for call in calls]
    for task in tasks:
        task.add_done_callback(finished.put_nowait)
    left = len(tasks)
    try:
        while left:
            ready = [await finished.get()]
            while not finished.empty():
                ready.append(finished.get_nowait())
            left -= len(ready)
            group = [answer for task in ready if (answer := task.result()) is not None]
            if group:
                yield group
        if refusal is not None:
            raise refusal
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
