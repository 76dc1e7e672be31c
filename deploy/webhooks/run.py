"""The endpoint for webhooks as work of a process: it listens until a stop is set, and ends in order."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any

import structlog

from deploy.failures import WRONG_USAGE, Failure
from deploy.listening import every, serving
from deploy.webhooks.endpoint import PATH, Endpoint
from deploy.webhooks.keeping import Keeper
from deploy.webhooks.tally import EVERY_S, Tally
from domain.ports.notices import KeepsNotices


class Webhooks:
    """secrets: at least one. tolerance_s: how far a time-stamp may be from now. hear: called with what came."""

    def __init__(
        self,
        notices: KeepsNotices,
        secrets: Sequence[str],
        host: str,
        port: int,
        tolerance_s: float,
        now: Callable[[], datetime],
        hear: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.tally = Tally(hear=hear)
        self._keeper = Keeper(notices)
        self._endpoint = Endpoint(secrets, self._keeper, self.tally, lambda: now().timestamp(), tolerance_s=tolerance_s)
        self._host, self._port = host, port
        self._log: Any = structlog.get_logger("deploy.webhooks")

    async def run(self, stop: asyncio.Event, listening: Callable[[], None] = lambda: None) -> None:
        """Listen until stop is set; then answer what is under way. listening: called once it listens.

        Raises Failure if it cannot listen there, and what is a bug.
        """
        async with asyncio.TaskGroup() as group, AsyncExitStack() as until_end:
            writing = group.create_task(self._keeper.run())
            until_end.callback(writing.cancel)
            address = await self._listen(until_end)
            self._log.info("listening for webhooks", address=address, path=PATH)
            listening()
            await every(EVERY_S, self.tally.tell, stop)

    async def _listen(self, until_end: AsyncExitStack) -> str:
        try:
            return await until_end.enter_async_context(serving(self._host, self._port, self._endpoint.answer))
        except OSError as error:
            raise Failure(
                f"cannot listen for webhooks at {self._host}:{self._port} ({error.strerror}): set "
                "PAYMENTS_WEBHOOKS_LISTEN to a free address of this machine",
                WRONG_USAGE,
            ) from error
