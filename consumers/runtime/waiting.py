"""Pauses that end early when the process has to stop."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def pause(stop: asyncio.Event, seconds: float, until: Coroutine[Any, Any, object] | None = None) -> bool:
    """Wait until stop is set, until `until` has ended, or for so long; return whether stop is set."""
    waits = [asyncio.ensure_future(work) for work in (stop.wait(), until) if work is not None]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waits:
            task.cancel()
    return stop.is_set()
